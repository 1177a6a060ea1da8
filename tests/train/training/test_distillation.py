"""A student is measured against its teachers as the formulas say, image by image and pair by pair."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.datasets.crops import UNKNOWN
from train.models.training_output import TrainingOutput
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Distillation
from train.training.distillation import DistillationObjective, similarity_loss, teacher_loss

IMAGES, LENGTH, LENGTHS, PEOPLE = 6, 5, (4, 3), 2


def random_rows(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(one: Tensor, other: Tensor) -> float:
    """Cosine of two vectors by its definition."""
    product = sum(a * b for a, b in zip(one.tolist(), other.tolist(), strict=True))
    return product / math.sqrt(sum(a * a for a in one.tolist()) * sum(b * b for b in other.tolist()))


def objective(taught: list[Tensor], identities: list[int], *, labels_weight: float = 0.0) -> DistillationObjective:
    recipe = find_recipe("distil_osnet").variant("small", distillation=Distillation(2.0, labels_weight))
    return DistillationObjective(
        recipe,
        taught=taught,
        identities=torch.tensor(identities),
        classes=sum(LENGTHS) + PEOPLE,
        gather=lambda rows: rows,
    )


def test_the_teacher_loss_is_the_mean_of_one_minus_cosine() -> None:
    """Against a loop over the images."""
    mapped, taught = random_rows(0, IMAGES, 4), random_rows(1, IMAGES, 4)
    expected = sum(1 - cosine(one, other) for one, other in zip(mapped, taught, strict=True)) / IMAGES
    assert float(teacher_loss(mapped, taught)) == pytest.approx(expected, rel=1e-12)


def test_the_similarity_loss_is_the_mean_squared_difference_over_all_pairs() -> None:
    """Against two loops; descriptors of student and teacher may have other lengths."""
    own, taught = random_rows(0, IMAGES, LENGTH), random_rows(1, IMAGES, 4)
    expected = 0.0
    for i in range(IMAGES):
        for j in range(IMAGES):
            expected += (cosine(own[i], own[j]) - cosine(taught[i], taught[j])) ** 2 / IMAGES**2
    assert float(similarity_loss(own, taught)) == pytest.approx(expected, rel=1e-12)


def test_several_teachers_are_averaged_and_each_has_its_own_columns() -> None:
    """Labels choose the rows of each teacher's table; the classifier's columns are the teachers', one after another."""
    tables = [random_rows(seed, 2 * IMAGES, length).float() for seed, length in enumerate(LENGTHS)]
    labels = torch.tensor([1, 0, 5, 8, 11, 2])
    mapped = random_rows(2, IMAGES, sum(LENGTHS) + PEOPLE).float()
    descriptors = random_rows(3, IMAGES, LENGTH).float()
    found = objective(tables, [UNKNOWN] * IMAGES)
    measured = found.measure([TrainingOutput((mapped,), (descriptors,))], labels)
    parts = mapped[:, :4], mapped[:, 4:7]
    taught = [table[labels] for table in tables]
    wanted = sum(float(teacher_loss(own, rows)) for own, rows in zip(parts, taught, strict=True)) / 2
    similar = sum(float(similarity_loss(descriptors, rows)) for rows in taught) / 2
    assert set(measured) == {"teacher", "similarity"}
    assert float(found.total(measured, with_triplet=True)) == pytest.approx(wanted + 2.0 * similar, rel=1e-5)


def test_only_images_of_known_identity_are_classified() -> None:
    """With a weight for labels the cross entropy of the last columns is added, over the labelled images alone."""
    tables = [random_rows(seed, 2 * IMAGES, length).float() for seed, length in enumerate(LENGTHS)]
    mapped = random_rows(2, IMAGES, sum(LENGTHS) + PEOPLE).float().requires_grad_()
    output = TrainingOutput((mapped,), (random_rows(3, IMAGES, LENGTH).float(),))
    labels = torch.arange(0, 2 * IMAGES, 2)
    found = objective(tables, [1, UNKNOWN, 0, UNKNOWN, UNKNOWN, 1], labels_weight=0.5)
    measured = found.measure([output], labels)
    expected = functional.cross_entropy(mapped[[0, 2, 5], 7:], torch.tensor([1, 0, 1]), label_smoothing=0.1)
    assert float(measured["classifier"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    without = found.total({name: measured[name] for name in ("teacher", "similarity")}, with_triplet=True)
    with_labels = found.total(measured, with_triplet=True)
    assert float((with_labels - without).detach()) == pytest.approx(0.5 * float(expected.detach()), rel=1e-4)
    nobody = objective(tables, [UNKNOWN] * IMAGES, labels_weight=0.5).measure([output], labels)
    assert float(nobody["classifier"].detach()) == 0


def test_accuracy_is_how_often_the_teachers_descriptor_of_the_image_is_the_nearest() -> None:
    """Of the first teacher, among the images of the batch."""
    tables = [torch.eye(2 * IMAGES)[:, : LENGTHS[0]] + 0.01, torch.ones(2 * IMAGES, LENGTHS[1])]
    mapped = torch.zeros(4, sum(LENGTHS) + PEOPLE)
    mapped[:, :4] = torch.eye(4)[[0, 1, 3, 3]]
    found = objective(tables, [UNKNOWN] * IMAGES)
    output = TrainingOutput((mapped,), (torch.ones(4, LENGTH),))
    assert float(found.accuracy(output, torch.arange(4))) == 0.75
