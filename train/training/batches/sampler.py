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
    """One epoch of batches of `identities` x `images`, in which every image is used once.

    Each identity's images are shuffled and divided into groups of `images`; the last group is completed by drawing from
    the identity again. Groups of different identities are combined at random until too few identities are left.
    labels: (N,) class numbers. Yields positions, (identities * images,), grouped by identity.
    """
    groups: dict[int, list[NDArray[np.int64]]] = {}
    for label in np.unique(labels):
        filled = _shuffled_and_filled(np.flatnonzero(labels == label), multiple=images, random=random)
        groups[int(label)] = list(filled.reshape(-1, images))
    while len(groups) >= identities:
        chosen = random.choice(sorted(groups), identities, replace=False)
        yield np.concatenate([groups[label].pop() for label in chosen])
        groups = {label: left for label, left in groups.items() if left}


def each_identity_once(
    labels: NDArray[np.int64], *, identities: int, images: int, random: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """One epoch of batches of `identities` x `images`, in which every identity gives `images` images, drawn at random.

    An identity with fewer images repeats some; the last batch is completed with identities of earlier ones. Yields
    nothing if there are too few identities for one batch. labels: (N,) class numbers. Yields positions, (identities *
    images,), grouped by identity.
    Source: what the public re-implementations of MGN call an epoch; see `Batches.epoch`.
    """
    order = random.permutation(np.unique(labels))
    whole = len(order) // identities * identities
    if not whole:
        return
    again = random.choice(order[:whole], -len(order) % identities, replace=False)
    for chosen in np.concatenate([order, again]).reshape(-1, identities):
        positions = (np.flatnonzero(labels == label) for label in chosen)
        yield np.concatenate([_shuffled_and_filled(own, multiple=images, random=random)[:images] for own in positions])


def _shuffled_and_filled(
    positions: NDArray[np.int64], *, multiple: int, random: np.random.Generator
) -> NDArray[np.int64]:
    """All positions in random order, then some of them again until their number is a multiple."""
    shuffled = random.permutation(positions)
    missing = -len(positions) % multiple
    return np.concatenate([shuffled, random.choice(positions, missing)]) if missing else shuffled
