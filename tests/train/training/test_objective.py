"""The objective is the sum a recipe writes down, and each weight acts on what it should."""

import pytest
import torch
from torch.nn import functional

from train.models.training_output import TrainingOutput
from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule
from train.training.losses import batch_hard_triplet, entropy, label_smoothed_cross_entropy
from train.training.objective import Objective, accuracy, attribute_entropy, cross_entropy
from train.training.optimisers import build_centre_optimiser

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
CLASSES, LENGTH = 3, 4


def recipe(losses: Losses, *, networks: int = 1) -> Recipe:
    return Recipe(
        name="small",
        architecture="none",
        data_set="none",
        height_px=8,
        width_px=8,
        batches=Batches(size=6, images_per_identity=2),
        augmentation=Augmentation(),
        losses=losses,
        optimiser=Optimiser("sgd", 0.1),
        schedule=Schedule(epochs=1, shape="cosine"),
        expected=Expected("test"),
        networks=networks,
    )


def objective(losses: Losses, *, networks: int = 1) -> Objective:
    return Objective(
        recipe(losses, networks=networks),
        classify=cross_entropy(losses),
        classes=CLASSES,
        lengths=[LENGTH, LENGTH],
        gather=lambda rows: rows,
    )


def output(seed: int) -> TrainingOutput:
    """A training output of two branches."""
    random = torch.Generator().manual_seed(seed)
    logits = tuple(torch.randn(6, CLASSES, generator=random, requires_grad=True) for _ in range(2))
    return TrainingOutput(logits, tuple(torch.randn(6, LENGTH, generator=random, requires_grad=True) for _ in range(2)))


@torch.no_grad()
def test_branches_are_summed_and_triplets_see_their_concatenation() -> None:
    """Pyramid: sum of the classifiers' losses, one triplet loss on unit-length embeddings side by side."""
    losses = Losses(over_branches="sum", triplet_weight=2.0, triplet_on="concatenation", triplet_on_unit_length=True)
    one, found = output(1), objective(losses)
    measured = found.measure([one], LABELS)
    classified = sum(float(label_smoothed_cross_entropy(rows, LABELS, smoothing=0.1)) for rows in one.logits)
    joined = functional.normalize(torch.cat(one.embeddings, dim=1))
    mined = float(batch_hard_triplet(joined, LABELS, margin=0.3))
    assert float(found.total(measured, with_triplet=True)) == pytest.approx(classified + 2 * mined, rel=1e-5)
    assert float(found.total(measured, with_triplet=False)) == pytest.approx(classified, rel=1e-5)


@torch.no_grad()
def test_a_confident_prediction_is_penalised() -> None:
    """The entropy is subtracted; branches are averaged by default."""
    one, found = output(2), objective(Losses(entropy_weight=0.5))
    classified = [float(label_smoothed_cross_entropy(rows, LABELS, smoothing=0.1)) for rows in one.logits]
    confused = [float(entropy(rows)) for rows in one.logits]
    total = float(found.total(found.measure([one], LABELS), with_triplet=True))
    assert total == pytest.approx(sum(classified) / 2 - 0.5 * sum(confused) / 2, rel=1e-5)


def test_each_network_gets_all_of_its_own_loss() -> None:
    """Two networks: the gradient of each one's logits is that of training alone, plus what its peer teaches."""
    alone, first, second = output(3), output(3), output(4)
    found = objective(Losses())
    found.total(found.measure([alone], LABELS), with_triplet=True).backward()
    both = objective(Losses(mutual_weight=1e-9), networks=2)
    both.total(both.measure([first, second], LABELS), with_triplet=True).backward()
    assert first.logits[1].grad is not None
    assert torch.allclose(first.logits[1].grad, alone.logits[1].grad)


@pytest.mark.parametrize("weight", [5e-4, 0.5])
def test_centres_move_at_their_own_rate(weight: float) -> None:
    """Whatever the weight of the centre loss and the number of branches; frozen ones have no optimiser."""
    torch.manual_seed(0)
    losses = Losses(centre_weight=weight, centre_learning_rate=0.5)
    found, one = objective(losses), output(5)
    optimiser = build_centre_optimiser(found, losses)
    assert optimiser is not None
    centres = next(found.parameters())
    before = centres.detach().clone()
    found.total(found.measure([one], LABELS), with_triplet=True).backward()
    found.unscale_centre_gradients()
    optimiser.step()
    pull = 2 * (before[LABELS] - one.embeddings[0].detach()) / len(LABELS)
    expected = before - 0.5 * torch.zeros_like(before).index_add(0, LABELS, pull)
    assert torch.allclose(centres, expected, atol=1e-6)
    frozen = Losses(centre_weight=weight, centres="frozen")
    assert build_centre_optimiser(objective(frozen), frozen) is None


def test_attributes_are_right_one_by_one() -> None:
    """Three of four decisions; and a rare attribute weighs more."""
    logits = torch.tensor([[2.0, -1.0], [-3.0, -0.5]])
    labels = torch.tensor([[1, 0], [1, 0]])
    assert float(accuracy(logits, labels)) == 0.75
    assert float(accuracy(torch.eye(3), torch.tensor([0, 1, 1]))) == pytest.approx(2 / 3)
    wrong = torch.tensor([[-4.0, 4.0]])
    rare, common = (
        float(attribute_entropy(torch.tensor(ratios))(wrong, torch.tensor([[1, 1]])))
        for ratios in ([0.01, 0.5], [0.9, 0.5])
    )
    assert rare > 2 * common
