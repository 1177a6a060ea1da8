"""Same person or not, by a threshold on the distance: true-positive rate at a fixed false-positive rate."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, DataError
from train.scoring.metrics import Interval, Labels, bootstrap_ratio, judge_rows


@dataclass(frozen=True)
class PairVerification:
    """Pairs of a query and a gallery image, accepted where `distance < threshold`.

    right_pairs, accepted_pairs: (Q,) int64, per query, the number of right pairs, and how many of them are accepted.
    wrong_pairs: their number over all queries. false_positive_rate: share of wrong pairs that are accepted.
    """

    threshold: float
    false_positive_rate: float
    wrong_pairs: int
    right_pairs: NDArray[np.int64]
    accepted_pairs: NDArray[np.int64]

    @property
    def true_positive_rate(self) -> float:
        """Share of all right pairs that are accepted."""
        return float(self.accepted_pairs.sum() / self.right_pairs.sum())

    def true_positive_interval(self) -> Interval:
        """The true-positive rate with its 95 % bootstrap interval over queries, at this threshold."""
        return bootstrap_ratio(self.accepted_pairs, self.right_pairs)


def verify_pairs(
    blocks: Iterable[NDArray[np.floating]],
    *,
    query_identities: Labels,
    gallery_identities: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
    false_positive_rate: float,
) -> PairVerification:
    """True-positive rate and threshold at a fixed false-positive rate, over all pairs of query and gallery.

    The pairs are those that retrieval ranks: images of a query's identity and camera, and junk, are left out;
    distractors are wrong. The threshold is the largest distance of a wrong pair below which at most that share of
    the wrong pairs lies.

    blocks: (B, G) distances of a few queries each, in the order of the queries (`distance_blocks`).
    Only right pairs and the nearest wrong ones are kept, so memory does not grow with all pairs.

    Raises:
        ConfigError: the rate is not between 0 and 1.
        DataError: see `judge_rows`; there is no right pair; or too few wrong pairs for so small a rate.
    """
    if not 0 < false_positive_rate < 1:
        raise ConfigError(f"expected a false-positive rate between 0 and 1, found {false_positive_rate}")
    rows = judge_rows(
        blocks,
        query_identities=query_identities,
        gallery_identities=gallery_identities,
        query_cameras=query_cameras,
        gallery_cameras=gallery_cameras,
    )
    pairs = len(query_identities) * len(gallery_identities)
    nearest_wrong = _Smallest(_allowed(false_positive_rate, pairs) + 1)
    right: list[NDArray[np.floating]] = []
    wrong_pairs = 0
    for row in rows:
        right.append(row.distances[row.right])
        wrong = row.distances
        wrong[row.right] = np.inf
        wrong_pairs += int(np.isfinite(wrong).sum())
        nearest_wrong.add(wrong)
    allowed = _allowed(false_positive_rate, wrong_pairs)
    _check_counts(sum(map(len, right)), wrong_pairs, allowed=allowed, rate=false_positive_rate)
    wrong = nearest_wrong.ascending()
    threshold = float(wrong[allowed])
    return PairVerification(
        threshold=threshold,
        false_positive_rate=float((wrong < threshold).sum() / wrong_pairs),
        wrong_pairs=wrong_pairs,
        right_pairs=np.array([len(distances) for distances in right], np.int64),
        accepted_pairs=np.array([(distances < threshold).sum() for distances in right], np.int64),
    )


def _allowed(rate: float, wrong_pairs: int) -> int:
    return int(rate * wrong_pairs + 1e-9)  # 0.29 * 100 is 28.999...


def _check_counts(right_pairs: int, wrong_pairs: int, *, allowed: int, rate: float) -> None:
    if right_pairs == 0:
        raise DataError("no query has a right image in the gallery from another camera; nothing can be verified")
    if allowed == 0:
        raise DataError(
            f"a false-positive rate of {rate:g} needs at least {round(1 / rate)} wrong pairs, found {wrong_pairs}; "
            "ask for a larger rate or give more images"
        )


class _Smallest:
    """Keeps the `count` smallest of all numbers that are added."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._kept: list[NDArray[np.floating]] = []
        self._held = 0
        self._limit = np.inf

    def add(self, values: NDArray[np.floating]) -> None:
        candidates = values[values < self._limit]
        self._kept.append(candidates)
        self._held += len(candidates)
        if self._held > 2 * self._count + len(values):
            smallest = np.partition(np.concatenate(self._kept), self._count - 1)[: self._count]
            self._kept, self._held, self._limit = [smallest], self._count, smallest.max()

    def ascending(self) -> NDArray[np.floating]:
        """At most `count` numbers, the smallest first."""
        return np.asarray(np.sort(np.concatenate(self._kept))[: self._count])
