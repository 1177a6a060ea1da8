"""Retrieval scores: CMC, mean average precision and mean inverse negative penalty, with the field's junk rules."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from train.datasets.samples import DISTRACTOR, JUNK

PrecisionRule = Literal["rectangular", "trapezoid"]
Labels = NDArray[np.int64]


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

    def found_within(self, k: int) -> NDArray[np.float64]:
        """(V,) 1 for each valid query with a right image among the first k, 0 for the others."""
        return (self.first_match < k).astype(np.float64)

    def rank(self, k: int) -> float:
        """Share of valid queries with a right image among the first k (cumulative matching characteristic)."""
        return float(self.found_within(k).mean())


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class JudgedRow:
    """One query's distances to the gallery.

    distances: (G,), infinite for images that are left out. right: positions of the right images, ascending; may be
    empty.
    """

    distances: NDArray[np.floating]
    right: NDArray[np.int64]


def score_distances(
    distances: NDArray[np.floating],
    *,
    query_identities: Labels,
    gallery_identities: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
    precision_rule: PrecisionRule = "rectangular",
) -> Retrieval:
    """Score a whole distance matrix (Q, G), smaller is more alike. See `score_blocks`.

    Raises:
        DataError: see `judge_rows`, or no query has a right image.
    """
    return score_blocks(
        [distances],
        query_identities=query_identities,
        gallery_identities=gallery_identities,
        query_cameras=query_cameras,
        gallery_cameras=gallery_cameras,
        precision_rule=precision_rule,
    )


def score_blocks(
    blocks: Iterable[NDArray[np.floating]],
    *,
    query_identities: Labels,
    gallery_identities: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
    precision_rule: PrecisionRule = "rectangular",
) -> Retrieval:
    """Score a distance matrix (Q, G) that comes in blocks of rows, in the order of the queries.

    For each query, gallery images with its identity *and* its camera are left out, as is junk (identity -1).
    Distractors (identity 0) take places in the ranking but are never right. Equal distances rank in gallery order.
    Queries without a right image are left out of every mean.
    The rank of a right image is the number of smaller distances, so nothing is sorted.

    Identities and cameras: (Q,) or (G,).

    Raises:
        DataError: see `judge_rows`, or no query has a right image.
    """
    rows = judge_rows(
        blocks,
        query_identities=query_identities,
        gallery_identities=gallery_identities,
        query_cameras=query_cameras,
        gallery_cameras=gallery_cameras,
    )
    ranks_of_queries = (_ranks_of_right_images(row) for row in rows if len(row.right))
    scores = [
        (_average_precision(ranks, precision_rule), len(ranks) / (ranks[-1] + 1), ranks[0])
        for ranks in ranks_of_queries
    ]
    if not scores:
        raise DataError("no query has a right image in the gallery from another camera; nothing can be scored")
    precision, penalty, first = zip(*scores, strict=True)
    return Retrieval(np.array(precision), np.array(penalty), np.array(first, np.int64), len(query_identities))


def judge_rows(
    blocks: Iterable[NDArray[np.floating]],
    *,
    query_identities: Labels,
    gallery_identities: Labels,
    query_cameras: Labels,
    gallery_cameras: Labels,
) -> Iterator[JudgedRow]:
    """Apply the junk and same-camera rules to each query's distances, query by query.

    Raises:
        DataError: the gallery is empty, shapes disagree, or a distance is not a finite number.
    """
    expected = (len(query_identities), len(gallery_identities))
    _check_labels(expected, cameras=(len(query_cameras), len(gallery_cameras)))
    by_identity = np.argsort(gallery_identities, kind="stable")
    sorted_identities = gallery_identities[by_identity]
    junk = np.flatnonzero(gallery_identities == JUNK)
    done = 0
    for block in blocks:
        _check_block(block, done=done, expected=expected)
        for row, identity, camera in zip(block, query_identities[done:], query_cameras[done:], strict=False):
            first, last = np.searchsorted(sorted_identities, (identity, identity + 1))
            same = by_identity[first:last]
            is_left_out = gallery_cameras[same] == camera
            distances = row.copy()
            distances[junk] = np.inf
            distances[same[is_left_out]] = np.inf
            yield JudgedRow(distances, same[~is_left_out] if identity > DISTRACTOR else same[:0])
        done += len(block)
    if done != expected[0]:
        raise DataError(f"expected distances of {expected[0]} queries, found {done}")


def _check_labels(expected: tuple[int, int], *, cameras: tuple[int, int]) -> None:
    if cameras != expected:
        raise DataError(f"expected as many cameras as identities (queries, gallery) = {expected}, found {cameras}")
    if 0 in expected:
        raise DataError(f"expected queries and a gallery, found {expected[0]} queries and {expected[1]} gallery images")


def _check_block(block: NDArray[np.floating], *, done: int, expected: tuple[int, int]) -> None:
    if block.ndim != 2 or block.shape[1] != expected[1] or done + len(block) > expected[0]:
        raise DataError(
            f"expected a distance matrix of {expected} (queries, gallery), found {block.shape}"
            + (f" after {done} queries" if done else "")
        )
    if not np.isfinite(block).all():
        raise DataError("the distance matrix holds values that are not finite numbers; a descriptor is broken")


def _ranks_of_right_images(row: JudgedRow) -> NDArray[np.int64]:
    """0-based ranks of the right images, ascending."""
    distances = row.distances
    ranks = [
        np.count_nonzero(distances < distances[position])
        + np.count_nonzero(distances[:position] == distances[position])
        for position in row.right
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
    means = [float(per_query[drawn].mean()) for drawn in _draws(len(per_query), rounds=rounds, seed=seed)]
    return _interval(float(per_query.mean()), means)


def bootstrap_ratio(
    parts: NDArray[np.integer], wholes: NDArray[np.integer], *, rounds: int = 1000, seed: int = 0
) -> Interval:
    """Sum of the parts over sum of the wholes with its 95 % interval, by drawing queries with repetition.

    parts, wholes: (Q,) one per query; a draw without any whole is left out. Deterministic for a seed.
    """
    draws = _draws(len(wholes), rounds=rounds, seed=seed)
    sums = [(parts[drawn].sum(), wholes[drawn].sum()) for drawn in draws]
    return _interval(float(parts.sum() / wholes.sum()), [float(part / whole) for part, whole in sums if whole])


def _draws(queries: int, *, rounds: int, seed: int) -> Iterator[NDArray[np.int64]]:
    random = np.random.default_rng(seed)
    return (random.integers(0, queries, queries) for _ in range(rounds))


def _interval(value: float, drawn: list[float]) -> Interval:
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(value, float(low), float(high))
