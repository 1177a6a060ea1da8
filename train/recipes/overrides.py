"""Changes of a recipe by a user's options (data set, epochs, batch size) and by the size of the data set."""

import logging
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, DataError
from train.recipes.recipe import Expected, Recipe

logger = logging.getLogger(__name__)


def on_data_set(recipe: Recipe, name: str) -> Recipe:
    """The recipe for another data set of the same task; without the figures that its paper reports."""
    splits = recipe.splits if name == recipe.data_set else 1
    return recipe.variant(recipe.name, data_set=name, splits=splits, expected=Expected("another data set"))


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """A shorter or longer run: steps, warm-up and all other epochs of the schedule change in proportion.

    Raises:
        ConfigError: fewer than one epoch.
    """
    if epochs < 1:
        raise ConfigError(f"--epochs must be at least 1, found {epochs}")
    schedule, losses = recipe.schedule, recipe.losses
    share = epochs / schedule.epochs
    steps = {max(1, round(step * share)) for step in schedule.steps}
    changed = replace(
        schedule,
        epochs=epochs,
        steps=tuple(sorted(step for step in steps if step < epochs)),
        warm_up_epochs=round(schedule.warm_up_epochs * share),
        classifier_only_epochs=round(schedule.classifier_only_epochs * share),
    )
    sooner = replace(losses, triplet_from_epoch=round(losses.triplet_from_epoch * share))
    return recipe.variant(recipe.name, schedule=changed, losses=sooner)


def with_batch(recipe: Recipe, size: int) -> Recipe:
    """Batches of another size; the learning rate does not change.

    Raises:
        ConfigError: batches that the recipe's sampler cannot draw.
    """
    images = recipe.batches.images_per_identity or 1
    if size < 2 * images or size % images:
        raise ConfigError(
            f"--batch must be a multiple of {images}, at least {2 * images}, for {recipe.name}, found {size}"
        )
    return recipe.variant(recipe.name, batches=replace(recipe.batches, size=size))


def fit_batches(recipe: Recipe, labels: NDArray[np.int64], *, processes: int) -> Recipe:
    """The recipe with batches that a small data set can fill; warns if they shrink.

    Raises:
        DataError: fewer than two images, or fewer than two identities if batches are made of identities.
        ConfigError: the batches cannot be shared out evenly among the processes.
    """
    batches = recipe.batches
    per_identity = batches.images_per_identity
    largest = len(labels)
    if per_identity is not None:
        largest = len(np.unique(labels)) * per_identity
        largest = min(largest, len(labels)) if recipe.dynamic else largest
    size = batches.size if largest >= batches.size else _rounded(largest, (per_identity or 1) * processes)
    least = 2 * (per_identity or 1)
    if size < least:
        raise DataError(
            f"a batch of recipe {recipe.name} takes at least {least} images{_of_two(per_identity)}, "
            f"found {len(labels)} of {len(np.unique(labels))} identities; use a larger data set"
        )
    if size % ((per_identity or 1) * processes):
        raise ConfigError(
            f"a batch of {size} cannot be shared out evenly among {processes} processes; "
            f"use --batch {_rounded(size, (per_identity or 1) * processes)}"
        )
    if size < batches.size:
        logger.warning(
            "the data set is smaller than a batch of %d: batches shrink to %d (choose with --batch N)",
            batches.size,
            size,
        )
    return recipe.variant(recipe.name, batches=replace(batches, size=size))


def _rounded(size: int, step: int) -> int:
    return size // step * step


def _of_two(per_identity: int | None) -> str:
    return "" if per_identity is None else " of two identities"
