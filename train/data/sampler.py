"""Which images make a batch: shuffled, or P identities of K images each."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def shuffled_batches(count: int, *, size: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """One epoch in random order; the last, incomplete batch is left out."""
    order = random.permutation(count)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def identity_batches(
    labels: NDArray[np.int64], *, identities: int, images: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """One epoch of batches of `identities` x `images`, in which every identity gives its images once.

    Each identity's images are shuffled and cut into groups of `images`; the last group is filled up by drawing from
    the identity again. Groups of different identities are then combined at random until too few identities are left.
    labels: (N,) class numbers. Yields positions, (identities * images,), grouped by identity.
    """
    groups: dict[int, list[NDArray[np.int64]]] = {}
    for label in np.unique(labels):
        positions = random.permutation(np.flatnonzero(labels == label))
        missing = -len(positions) % images
        filled = np.concatenate([positions, random.choice(positions, missing)]) if missing else positions
        groups[int(label)] = list(filled.reshape(-1, images))
    while len(groups) >= identities:
        chosen = random.choice(sorted(groups), identities, replace=False)
        yield np.concatenate([groups[label].pop() for label in chosen])
        groups = {label: left for label, left in groups.items() if left}
