"""Same person or not: how true-positive rate and threshold of an engine differ from its parent's."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.manifest import Change, Score, Verification
from train.scoring.distances import distance_blocks
from train.scoring.metrics import Interval, bootstrap_ratio, judge_rows
from train.scoring.scoring import Described
from train.scoring.verification import verify_pairs

RATES = (1e-3, 1e-4)
"""False-positive rates that are reported."""

_LEAST_FALSE_POSITIVES = 10  # a threshold that depends on fewer wrong pairs says nothing
_ROUNDS = 300


@dataclass(frozen=True)
class Pairs:
    """Descriptors of query and gallery by one engine: L2-normalised, without junk."""

    query: Described
    gallery: Described

    def labels(self) -> dict[str, NDArray[np.int64]]:
        """Identities and cameras, as keyword arguments of the functions in train/scoring."""
        return {
            "query_identities": self.query.identities,
            "gallery_identities": self.gallery.identities,
            "query_cameras": self.query.cameras,
            "gallery_cameras": self.gallery.cameras,
        }

    def distances(self) -> Iterator[NDArray[np.floating]]:
        """Cosine distances of a few queries at a time."""
        return distance_blocks(self.query.descriptors, self.gallery.descriptors, distance="cosine")


def compare_verification(parent: Pairs, child: Pairs) -> tuple[Verification, ...]:
    """Compare two engines on the same images, at each of `RATES` for which there are enough wrong pairs."""
    wrong_pairs = _wrong_pairs(child)
    rates = [rate for rate in RATES if rate * wrong_pairs.sum() >= _LEAST_FALSE_POSITIVES]
    return tuple(_at_rate(rate, parent, child=child, wrong_pairs=wrong_pairs) for rate in rates)


def pairs_needed(rate: float) -> int:
    """How many wrong pairs a rate needs."""
    return round(_LEAST_FALSE_POSITIVES / rate)


def _at_rate(rate: float, parent: Pairs, *, child: Pairs, wrong_pairs: NDArray[np.int64]) -> Verification:
    before, after = (verify_pairs(p.distances(), false_positive_rate=rate, **p.labels()) for p in (parent, child))
    change = bootstrap_ratio(after.accepted_pairs - before.accepted_pairs, after.right_pairs)
    thresholds = [_drawn_thresholds(p, rate=rate, wrong_pairs=wrong_pairs) for p in (parent, child)]
    low, high = np.percentile(thresholds[0] - thresholds[1], [2.5, 97.5])  # cosine is 1 - distance
    return Verification(
        false_positive_rate=rate,
        true_positive_rate=as_score(after.true_positive_interval()),
        true_positive_rate_change=as_change(change),
        threshold=1 - after.threshold,
        threshold_change=Change(value=before.threshold - after.threshold, low=float(low), high=float(high)),
    )


def as_score(interval: Interval) -> Score:
    """An interval as a `Score` of the manifest."""
    return Score(value=interval.value, low=interval.low, high=interval.high)


def as_change(interval: Interval) -> Change:
    """An interval as a `Change` of the manifest."""
    return Change(value=interval.value, low=interval.low, high=interval.high)


def _wrong_pairs(pairs: Pairs) -> NDArray[np.int64]:
    """The number of wrong pairs of each query, (Q,)."""
    rows = judge_rows(pairs.distances(), **pairs.labels())
    return np.array([np.isfinite(row.distances).sum() - len(row.right) for row in rows], np.int64)


def _drawn_thresholds(pairs: Pairs, *, rate: float, wrong_pairs: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bootstrap of the threshold, as distances (rounds,); every engine gets the same draws of queries."""
    distances, queries = _nearest_wrong(pairs, count=round(4 * rate * wrong_pairs.sum()) + 1)
    random = np.random.default_rng(0)
    thresholds = []
    for _ in range(_ROUNDS):
        times = np.bincount(random.integers(0, len(wrong_pairs), len(wrong_pairs)), minlength=len(wrong_pairs))
        passed = np.cumsum(times[queries])
        allowed = rate * (times * wrong_pairs).sum()
        place = min(int(np.searchsorted(passed, allowed, side="right")), len(distances) - 1)
        thresholds.append(float(distances[place]))
    return np.array(thresholds)


def _nearest_wrong(pairs: Pairs, *, count: int) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Distances of the `count` nearest wrong pairs, ascending, and the query of each pair."""
    distances, queries = np.empty(0, np.float32), np.empty(0, np.int64)
    waiting: list[tuple[NDArray[np.floating], NDArray[np.int64]]] = []
    limit, held = np.inf, 0
    for query, row in enumerate(judge_rows(pairs.distances(), **pairs.labels())):
        row.distances[row.right] = np.inf
        near = row.distances[row.distances < limit]
        waiting.append((near, np.full(len(near), query)))
        held += len(near)
        if held > count or query == len(pairs.query.identities) - 1:  # sorting after every query would be slow
            distances = np.concatenate([distances, *(near for near, _ in waiting)])
            queries = np.concatenate([queries, *(who for _, who in waiting)])
            order = np.argsort(distances, kind="stable")[:count]
            distances, queries = distances[order], queries[order]
            waiting, held = [], 0
            limit = float(distances[-1]) if len(distances) == count else np.inf
    return distances, queries
