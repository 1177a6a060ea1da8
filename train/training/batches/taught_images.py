"""Batches for distillation, whose labels say which descriptors of the teachers belong to each image."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.machine.processes import Processes
from train.recipes.recipe import Recipe
from train.training.batches.loader import TrainingBatch, TrainingImages
from train.training.batches.store import PixelStore, upload

_MIRRORS = 3
"""Part of the seed that keeps these random numbers apart from those of the augmentation."""


class TaughtImages(TrainingImages):
    """Training images whose label is 2n for image n and 2n + 1 where it was mirrored, as teachers' rows are ordered.

    Mirrored images are drawn here, after all other augmentation: a teacher describes a mirrored image with
    other numbers.
    """

    def __init__(
        self, store: PixelStore, labels: NDArray[np.int64], *, recipe: Recipe, processes: Processes, fill: Tensor
    ) -> None:
        self._mirrored_share = recipe.augmentation.flip
        unmirrored = recipe.variant(recipe.name, augmentation=replace(recipe.augmentation, flip=0.0))
        super().__init__(store, labels, recipe=unmirrored, processes=processes, fill=fill)

    def epoch(self, number: int, *, seed: int) -> tuple[int, Iterator[TrainingBatch]]:
        """See `TrainingImages`."""
        length, batches = super().epoch(number, seed=seed)
        random = np.random.default_rng([seed, number, self._processes.rank, _MIRRORS])
        return length, (self._mirror(batch, random) for batch in batches)

    def _mirror(self, batch: TrainingBatch, random: np.random.Generator) -> TrainingBatch:
        drawn = torch.from_numpy(random.random(len(batch.images)) < self._mirrored_share)
        is_mirrored = upload(drawn, batch.images.device)
        images = torch.where(is_mirrored[:, None, None, None], batch.images.flip(3), batch.images)
        return TrainingBatch(images.contiguous(memory_format=torch.channels_last), 2 * batch.labels + is_mirrored)
