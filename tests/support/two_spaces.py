"""Made-up people seen by two models: what both know of a person, and what each adds of its own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.gallery.bridge import Bridge
from edge_runtime.gallery.bridge_fitting import BridgeLimits, fit_bridge
from edge_runtime.gallery.space_pairs import SpacePairs

OLD_SPACE, NEW_SPACE = "0" * 15 + "a", "0" * 15 + "b"
OLD_LENGTH, NEW_LENGTH = 96, 80
_KNOWN = 64
_MAPS = np.random.default_rng(42)
_TO_OLD = _MAPS.standard_normal((_KNOWN, OLD_LENGTH)) / 8
_TO_NEW = _MAPS.standard_normal((_KNOWN, NEW_LENGTH)) / 8


@dataclass(frozen=True)
class Looks:
    """Row i of both is one moment: old (N, 96), new (N, 80), unit rows; people: (N,)."""

    old: NDArray[np.float32]
    new: NDArray[np.float32]
    people: NDArray[np.intp]


def make_looks(people: int, moments: int, *, seed: int, old_noise: float = 0.1, new_noise: float = 0.1) -> Looks:
    """Moments of people. noise: what a model adds to each moment that the other one does not see."""
    random = np.random.default_rng(seed)
    known = np.repeat(random.standard_normal((people, _KNOWN)), moments, axis=0)
    known += 0.3 * random.standard_normal(known.shape)
    old, new = known @ _TO_OLD, known @ _TO_NEW
    old = old + 0.7 + old_noise * random.standard_normal(old.shape)
    new = new + 0.7 + new_noise * random.standard_normal(new.shape)
    return Looks(normalise(old), normalise(new), np.repeat(np.arange(people), moments))


def as_pairs(looks: Looks) -> SpacePairs:
    """Each person is one track."""
    return SpacePairs(OLD_SPACE, NEW_SPACE, looks.old, looks.new, looks.people)


def make_bridge(*, now_ns: int = 0, keep_s: float = 3600.0, old_noise: float = 0.1) -> Bridge:
    """A bridge of 600 pairs of 150 people, accepted whatever it keeps."""
    pairs = as_pairs(make_looks(150, 4, seed=1, old_noise=old_noise))
    return fit_bridge(pairs, BridgeLimits(least_kept=0.0, keep_s=keep_s), now_ns=now_ns)
