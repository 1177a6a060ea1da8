"""One step of every recipe runs, on generated images that are smaller than the recipe's."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edge_runtime.contract.manifest import Input
from train.machine.mixed_precision import precision_for
from train.machine.processes import Processes
from train.models.catalog import build, embedding_lengths
from train.recipes.catalog import all_recipes
from train.recipes.overrides import with_batch, with_epochs
from train.recipes.recipe import Recipe
from train.training.batches.loader import TrainingImages
from train.training.batches.store import KeptPixels
from train.training.loop import EpochReport, Trainer
from train.training.objective import Classify, Objective, attribute_entropy, cross_entropy

ATTRIBUTES = 26
ALONE = Processes(torch.device("cpu"))


def what_a_step_depends_on(recipe: Recipe) -> tuple[object, ...]:
    return (
        recipe.architecture,
        recipe.losses,
        recipe.optimiser,
        recipe.task,
        recipe.dynamic,
        recipe.networks,
        recipe.batches.images_per_identity,
    )


DIFFERENT = list({what_a_step_depends_on(recipe): recipe for recipe in reversed(all_recipes())}.values())[::-1]


def size_of(recipe: Recipe) -> tuple[int, int]:
    """The smallest that still has six stripes for Pyramid, three for MGN, and a whole number of them for PLR-OSNet."""
    return (32, 32) if recipe.task == "classification" else (96 if "pyramid" in recipe.architecture else 64, 32)


def labels_for(recipe: Recipe) -> NDArray[np.int64]:
    """One batch; two identities where batches are made of them."""
    size = recipe.batches.size
    if recipe.task == "attributes":
        return np.random.default_rng(0).integers(0, 2, (size, ATTRIBUTES))
    return np.arange(size) // (recipe.batches.images_per_identity or 1)


def trainer_for(recipe: Recipe) -> Trainer:
    labels, (height_px, width_px) = labels_for(recipe), size_of(recipe)
    pixels = np.random.default_rng(1).integers(0, 256, (len(labels), height_px, width_px, 3), np.uint8)
    classes = ATTRIBUTES if recipe.task == "attributes" else len(np.unique(labels))
    input_ = Input(height_px=height_px, width_px=width_px)
    objective = Objective(
        recipe,
        classify=classify(recipe, labels),
        classes=classes,
        lengths=lengths_for(recipe, classes),
        gather=ALONE.gather,
    )
    store = KeptPixels(torch.from_numpy(pixels), device=ALONE.device)
    images = TrainingImages(store, labels, recipe=recipe, processes=ALONE, fill=torch.zeros(3, dtype=torch.uint8))
    torch.manual_seed(0)
    networks = [build(recipe.architecture, classes=classes) for _ in range(recipe.networks)]
    return Trainer(
        networks,
        recipe,
        images=images,
        objective=objective,
        input_=input_,
        processes=ALONE,
        seed=0,
        precision=precision_for(ALONE.device),
    )


def lengths_for(recipe: Recipe, classes: int) -> tuple[int, ...]:
    if not recipe.losses.centre_weight:
        return ()
    height_px, width_px = size_of(recipe)
    return embedding_lengths(recipe.architecture, classes=classes, height_px=height_px, width_px=width_px)


def classify(recipe: Recipe, labels: NDArray[np.int64]) -> Classify:
    if recipe.task == "attributes":
        return attribute_entropy(torch.from_numpy(labels.mean(axis=0)).float())
    return cross_entropy(recipe.losses)


@pytest.mark.parametrize("recipe", DIFFERENT, ids=lambda recipe: recipe.name)
def test_one_step_of_every_recipe_moves_its_networks(recipe: Recipe) -> None:
    """Recipes that share all that a step depends on take it once, as the first of them."""
    small = with_epochs(with_batch(recipe, 2 * (recipe.batches.images_per_identity or 4)), 1)
    trainer = trainer_for(small)
    before = [next(network.parameters()).detach().clone() for network in trainer.networks]
    reports: list[EpochReport] = []
    trainer.run(after_epoch=reports.append)
    assert [np.isfinite(report.loss) for report in reports] == [True]
    for old, network in zip(before, trainer.networks, strict=True):
        assert not torch.equal(old, next(network.parameters()))
