"""Augmented batches of training images, on the device."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge_runtime.contract.errors import DataError
from train.machine.processes import Processes
from train.recipes.recipe import Recipe
from train.training.batches.augment import augment
from train.training.batches.sampler import each_identity_once, identity_batches, shuffled_batches
from train.training.batches.store import PixelStore, Positions, upload
from train.training.dynamic_training import Phase

_AHEAD = 4
_MOST_PROCESSES = 1024

AskPhase = Callable[[], Phase]
"""Returns what the next batch is drawn from: any images ("id"), or some of each identity ("both")."""


@dataclass(frozen=True)
class TrainingBatch:
    """images: (N, 3, H, W) uint8, RGB, channels-last. Both are on the device.

    labels: (N,) int64 class numbers, or (N, A) int64 with 1 for an attribute the image has and 0 for one it has not.
    """

    images: Tensor
    labels: Tensor


class TrainingImages:
    """The training images of a data set as batches of one recipe; each process gets its share of every batch.

    labels: see `TrainingBatch`. fill: (3,) uint8, the colour of erased rectangles.

    Raises:
        DataError: there are too few images or identities for one batch.
    """

    def __init__(
        self, store: PixelStore, labels: NDArray[np.int64], *, recipe: Recipe, processes: Processes, fill: Tensor
    ) -> None:
        self._store = store
        self._labels = labels
        self._labels_there = torch.from_numpy(labels).to(processes.device)
        self._recipe = recipe
        self._processes = processes
        self._fill = fill.to(processes.device)
        is_steered = recipe.dynamic is not None
        if not self._order(0, seed=0) or (is_steered and len(labels) < recipe.batches.size):
            raise DataError(
                f"a batch of recipe {recipe.name} takes {recipe.batches.size} images, found too few: "
                f"{len(labels)} of {len(np.unique(labels))} identities; use a larger data set or smaller batches"
            )

    def epoch(self, number: int, *, seed: int) -> tuple[int, Iterator[TrainingBatch]]:
        """The number of batches in an epoch, and the batches. They depend only on seed, number and process."""
        order = self._order(number, seed=seed)
        shares = (self._processes.share(batch) for batch in order)
        fetched = (
            map(self._fetch, shares) if self._store.is_instant else prepare_ahead(self._fetch, shares, count=_AHEAD)
        )
        return len(order), self._augmented(fetched, number, seed=seed)

    def dynamic_epoch(self, number: int, *, seed: int, phase: AskPhase) -> tuple[int, Iterator[TrainingBatch]]:
        """An epoch of dynamic training, as long as one over all images; `phase` is called before every batch."""
        length = len(self._labels) // self._recipe.batches.size
        shares = (self._processes.share(batch) for batch in self._steered(length, number, seed=seed, phase=phase))
        return length, self._augmented(map(self._fetch, shares), number, seed=seed)

    def _order(self, number: int, *, seed: int) -> list[Positions]:
        """The whole batches of one epoch."""
        random = np.random.default_rng([seed, number])
        is_shuffled = self._recipe.batches.images_per_identity is None
        return list(self._shuffled(random) if is_shuffled else self._by_identity(random))

    def _steered(self, length: int, number: int, *, seed: int, phase: AskPhase) -> Iterator[Positions]:
        sources = {
            "id": _endless(self._shuffled, seed=[seed, number, 0]),
            "both": _endless(self._by_identity, seed=[seed, number, 1]),
        }
        for _ in range(length):
            yield next(sources[phase()])

    def _shuffled(self, random: np.random.Generator) -> Iterator[Positions]:
        return shuffled_batches(len(self._labels), size=self._recipe.batches.size, random=random)

    def _by_identity(self, random: np.random.Generator) -> Iterator[Positions]:
        batches = self._recipe.batches
        images = batches.images_per_identity or 1
        draw = each_identity_once if batches.epoch == "identities" else identity_batches
        return draw(self._labels, identities=batches.size // images, images=images, random=random)

    def _fetch(self, positions: Positions) -> TrainingBatch:
        there = upload(torch.from_numpy(positions), self._processes.device)
        return TrainingBatch(self._store.fetch(positions), self._labels_there[there])

    def _augmented(self, batches: Iterator[TrainingBatch], number: int, *, seed: int) -> Iterator[TrainingBatch]:
        random = torch.Generator().manual_seed((seed * 100_003 + number) * _MOST_PROCESSES + self._processes.rank)
        for batch in batches:
            changed = augment(batch.images, self._recipe.augmentation, random=random, fill=self._fill)
            yield TrainingBatch(changed.contiguous(memory_format=torch.channels_last), batch.labels)


def _endless(draw: Callable[[np.random.Generator], Iterator[Positions]], *, seed: list[int]) -> Iterator[Positions]:
    for again in count():
        yield from draw(np.random.default_rng([*seed, again]))


Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prepare_ahead(prepare: Callable[[Item], Prepared], items: Iterable[Item], *, count: int) -> Iterator[Prepared]:
    """Yield `prepare(item)` for each item in order, computed by a thread that is up to `count` items ahead.

    Raises:
        What `prepare` raises, when that item is due.
    """
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for item in items:
            waiting.append(thread.submit(prepare, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
