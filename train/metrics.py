"""Retrieval scores: CMC, mean average precision and mean inverse negative penalty, with the field's junk rules."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError

JUNK = -1
"""Identity of gallery images that count neither as right nor as wrong."""

PrecisionRule = Literal["rectangular", "trapezoid"]


@dataclass(frozen=True)
class Retrieval:
    """Scores of every query that has at least one right gallery image.

    average_precision, inverse_negative_penalty: (V,) float64, one per valid query.
    first_match: (V,) int64, 0-based rank of the first right image.
    """

    average_precision: NDArray[np.float64]
    inverse_negative_penalty: NDArray[np.float64]
    first_match: NDArray[np.int64]
    queries: int

    @property
    def mean_ap(self) -> float:
        """Mean average precision over valid queries."""
        return float(self.average_precision.mean())

    @property
    def mean_inp(self) -> float:
        """Mean inverse negative penalty over valid queries.

        Source: Ye et al., "Deep Learning for Person Re-identification: A Survey and Outlook", TPAMI 2021, section 4.1:
        right images / rank of the last right image.
        """
        return float(self.inverse_negative_penalty.mean())

    def rank(self, k: int) -> float:
        """Share of valid queries with a right image among the first k (cumulative matching characteristic)."""
        return float((self.first_match < k).mean())


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


def retrieval(
    distances: NDArray[np.floating],
    *,
    query_identities: NDArray[np.int64],
    gallery_identities: NDArray[np.int64],
    query_cameras: NDArray[np.int64],
    gallery_cameras: NDArray[np.int64],
    precision_rule: PrecisionRule = "rectangular",
) -> Retrieval:
    """Score a distance matrix.

    For each query, gallery images with its identity *and* its camera are left out, as is junk (identity -1).
    Equal distances rank in gallery order. Queries without a right image are left out of every mean.
    The rank of a right image is counted (how many distances are smaller), so nothing is sorted.

    distances: (Q, G), smaller is more alike. Identities and cameras: (Q,) or (G,).

    Raises:
        DataError: shapes disagree, a distance is not a number, or no query has a right image.
    """
    expected = (len(query_identities), len(gallery_identities))
    if distances.shape != expected:
        raise DataError(f"expected a distance matrix of {expected} (queries, gallery), found {distances.shape}")
    if np.isnan(distances).any():
        raise DataError("the distance matrix holds values that are not numbers; a descriptor is broken")
    scores = []
    for row, identity, camera in zip(distances, query_identities, query_cameras, strict=True):
        same = gallery_identities == identity
        left_out = (same & (gallery_cameras == camera)) | (gallery_identities == JUNK)
        ranks = _ranks_of_right_images(row[~left_out], same[~left_out])
        if len(ranks):
            scores.append((_average_precision(ranks, precision_rule), len(ranks) / (ranks[-1] + 1), ranks[0]))
    if not scores:
        raise DataError("no query has a right image in the gallery from another camera; nothing can be scored")
    precision, penalty, first = zip(*scores, strict=True)
    return Retrieval(np.array(precision), np.array(penalty), np.array(first, np.int64), len(query_identities))


def _ranks_of_right_images(row: NDArray[np.floating], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """0-based ranks of the right images, ascending."""
    positions = np.flatnonzero(right)
    ranks = [
        np.count_nonzero(row < row[position]) + np.count_nonzero(row[:position] == row[position])
        for position in positions
    ]
    return np.sort(np.array(ranks, np.int64))


def _average_precision(ranks: NDArray[np.int64], rule: PrecisionRule) -> float:
    found = np.arange(1, len(ranks) + 1)
    precision = found / (ranks + 1)
    if rule == "rectangular":
        return float(precision.mean())
    # The Market-1501 toolkit averages the precision just before and at each right image; before the first it is 1.
    before = np.where(ranks == 0, 1.0, (found - 1) / np.maximum(ranks, 1))
    return float(((before + precision) / 2).mean())


def bootstrap(per_query: NDArray[np.floating], *, rounds: int = 1000, seed: int = 0) -> Interval:
    """Mean of a per-query score with its 95 % interval, by drawing queries with repetition.

    per_query: (V,) floating. Deterministic for a seed.
    """
    random = np.random.default_rng(seed)
    means = [float(per_query[random.integers(0, len(per_query), len(per_query))].mean()) for _ in range(rounds)]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(per_query.mean()), float(low), float(high))
