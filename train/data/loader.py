"""Training images, decoded once, kept as uint8 on the device, and served as augmented batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from edge_runtime.contract.errors import DataError
from train.data.augment import augment
from train.data.datasets import ReidData, load_images
from train.data.sampler import identity_batches, shuffled_batches
from train.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """images: (N, 3, H, W) uint8, RGB, channels-last. labels: (N,) int64 class numbers. Both on the device."""

    images: Tensor
    labels: Tensor


class TrainingImages:
    """All training images of a data set in memory: about 100 kB each at 256x128.

    Raises:
        DataError: an image cannot be decoded, or there are too few for one batch.
    """

    def __init__(self, data: ReidData, recipe: Recipe, *, device: torch.device, fill: Tensor) -> None:
        with tqdm(total=len(data.train), desc="reading images", unit="image", leave=False, disable=None) as bar:
            pixels = load_images(data.train, height_px=recipe.height_px, width_px=recipe.width_px, progress=bar.update)
        classes = {identity: number for number, identity in enumerate(data.train_identities)}
        self._labels = np.array([classes[sample.identity] for sample in data.train], np.int64)
        self._images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(device)  # (N, 3, H, W), channels-last
        self._recipe = recipe
        self._fill = fill.to(device)
        if not self.batches_per_epoch(seed=0):
            raise DataError(
                f"a batch of recipe {recipe.name} takes {recipe.batches.size} images, found too few: "
                f"{len(data.train)} of {len(classes)} identities; use a larger data set or smaller batches"
            )

    def epoch(self, number: int, *, seed: int) -> Iterator[Batch]:
        """The batches of one epoch; they depend on nothing but seed and epoch number."""
        positions = np.random.default_rng([seed, number])
        augmentation = torch.Generator().manual_seed(seed * 100_003 + number)
        batches = self._recipe.batches
        if batches.images_per_identity is None:
            chosen = shuffled_batches(len(self._labels), size=batches.size, random=positions)
        else:
            chosen = identity_batches(
                self._labels,
                identities=batches.size // batches.images_per_identity,
                images=batches.images_per_identity,
                random=positions,
            )
        for indices in chosen:
            images = self._images[torch.from_numpy(indices).to(self._images.device)]
            changed = augment(images, self._recipe.augmentation, augmentation, fill=self._fill)
            labels = torch.from_numpy(self._labels[indices]).to(self._images.device)
            yield Batch(changed.contiguous(memory_format=torch.channels_last), labels)

    def batches_per_epoch(self, *, seed: int) -> int:
        """How many batches the first epoch holds; others differ by a few where identities are drawn."""
        batches = self._recipe.batches
        if batches.images_per_identity is None:
            return len(self._labels) // batches.size
        identities = batches.size // batches.images_per_identity
        return sum(
            1
            for _ in identity_batches(
                self._labels,
                identities=identities,
                images=batches.images_per_identity,
                random=np.random.default_rng([seed, 0]),
            )
        )
