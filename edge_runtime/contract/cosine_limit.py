"""From which cosine on two descriptors count as one person, so that a promised share of wrong pairs passes.

Known are the cosines of pairs that are surely of two people, far fewer than one in a thousand needs. All is done in
Fisher's z = atanh(cosine), which has no end at 1. Three estimates are mixed; the first two have a shape that is much
the same over places and networks, so that only its scale is learnt:

- spread: each factor of ten fewer pairs is 1.4 standard deviations further out, and a little more with few tracks, for
  want of two of them. It uses all pairs, so it is the steadiest, and the least exact.
- tail: beyond what a fifth of the pairs exceeds, the excess follows a generalised Pareto distribution with a fixed
  shape, a little shorter than an exponential one; its scale is the mean excess here. Source: Pickands, Annals of
  Statistics 1975; a shape shared by places as in Hosking and Wallis, Regional Frequency Analysis, 1997.
- counted: what this share of the pairs exceeds. It assumes nothing, and needs many tracks.

With few tracks the spread counts most: at 50 it and the tail count the same. The counted one takes over where more than
five tracks are expected beyond it. benchmarks/site_thresholds.py measures what is promised against what comes true.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TAIL = 0.2
_SHAPE = 0.06
_DEVIATIONS_PER_TENTH = 1.4
_EVEN_TRACKS = 50.0
_EVEN_BEYOND = 5.0
_LEAST_PAIRS, _LEAST_TRACKS = 20, 5
_ROUNDS = 200
_SHARES = 10.0 ** -np.linspace(0.7, 5.0, 87)
_MOST = 0.9999


@dataclass(frozen=True)
class CosineLimit:
    """The least cosine that lets a promised share of wrong pairs through.

    low, high: 95 % interval of the share that really passes at this place; cosine_low, cosine_high: of the limit.
    is_borrowed: by the figures of another place, for want of pairs; the intervals then span everything.
    """

    cosine: float
    low: float
    high: float
    is_borrowed: bool
    cosine_low: float = -1.0
    cosine_high: float = 1.0


class WrongPairs:
    """Pairs that are surely of two people.

    cosines: (N,) floating. tracks: (N, 2) integers that name the two tracks of each. Pairs of crops carry the names of
    their tracks: pairs that share a track are not independent.
    """

    def __init__(self, cosines: NDArray[np.floating], tracks: NDArray[np.integer]) -> None:
        order = np.argsort(cosines)
        self.cosines = np.asarray(cosines, np.float64)[order]
        names, numbers = np.unique(tracks, return_inverse=True)
        self.tracks = len(names)
        self._ends = numbers.reshape(-1, 2)[order]
        self._fisher = np.arctanh(np.clip(self.cosines, -_MOST, _MOST))

    def limit(self, share: float) -> CosineLimit | None:
        """The limit for a share in (0, 0.2), its intervals by drawing tracks; None with too few pairs or tracks."""
        if len(self.cosines) < _LEAST_PAIRS or self.tracks < _LEAST_TRACKS:
            return None
        at = np.array([share])
        [cosine] = self._curve(np.ones(len(self.cosines)), at)
        limits, shares = [], []
        for weights in self._draws():
            curve = self._curve(weights, np.append(_SHARES, at))
            limits.append(curve[-1])
            shares.append(10.0 ** np.interp(cosine, curve[:-1], np.log10(_SHARES)))
        (low, high), (cosine_low, cosine_high) = (np.percentile(drawn, [2.5, 97.5]) for drawn in (shares, limits))
        return CosineLimit(float(cosine), float(low), float(high), False, float(cosine_low), float(cosine_high))

    def means_of_tracks(self) -> NDArray[np.float64]:
        """(tracks,): the mean cosine of the pairs that each track is in."""
        ends = self._ends.ravel()
        sums = np.bincount(ends, weights=np.repeat(self.cosines, 2), minlength=self.tracks)
        return np.asarray(sums / np.bincount(ends, minlength=self.tracks))

    def _draws(self) -> Iterator[NDArray[np.float64]]:
        """Weights of the pairs, (N,): all the same, then as tracks are drawn; draws with too few pairs are left out."""
        random = np.random.default_rng(0)
        yield np.ones(len(self.cosines))
        for _ in range(_ROUNDS):
            times = np.bincount(random.integers(0, self.tracks, self.tracks), minlength=self.tracks)
            weights = (times[self._ends[:, 0]] * times[self._ends[:, 1]]).astype(np.float64)
            if weights.sum() >= _LEAST_PAIRS:
                yield weights

    def _curve(self, weights: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """The cosines that such shares of wrong pairs exceed, (S,), the pairs weighted."""
        z = self._fisher
        reached = np.cumsum(weights) / weights.sum()
        begin, *counted = z[np.searchsorted(reached, 1 - np.append(_TAIL, shares) - 1e-12)]
        beyond = weights * (z > begin)
        excess = beyond @ (z - begin) / max(beyond.sum(), 1.0)
        tail = begin + excess * (1 + _SHAPE) / _SHAPE * (1 - (shares / _TAIL) ** _SHAPE)
        mean = weights @ z / weights.sum()
        deviation = np.sqrt(weights @ (z - mean) ** 2 / weights.sum())
        spread = mean - _DEVIATIONS_PER_TENTH * (1 + 2 / self.tracks) * np.log10(shares) * deviation
        by_tail = self.tracks / (self.tracks + _EVEN_TRACKS)
        by_count = self.tracks * shares / (self.tracks * shares + _EVEN_BEYOND)
        mixed = by_tail * tail + (1 - by_tail) * spread
        return np.asarray(np.tanh(by_count * np.array(counted) + (1 - by_count) * mixed))
