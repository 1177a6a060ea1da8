"""Distances in blocks of queries."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from train.scoring import distances
from train.scoring.distances import Distance, distance_blocks


def descriptors(count: int, *, seed: int, unit: bool = True) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, 7), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True) if unit else rows


def test_blocks_hold_the_distances_of_plain_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 - cosine or squared Euclidean, in the order of the queries, whatever the size of a block."""
    query, gallery = descriptors(5, seed=0), descriptors(9, seed=1)
    monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", 18)
    for least_rows, shapes in ((256, [(5, 9)]), (1, [(2, 9), (2, 9), (1, 9)]), (3, [(3, 9), (2, 9)])):
        monkeypatch.setattr(distances, "_BLOCK_ROWS", least_rows)
        cosine = list(distance_blocks(query, gallery, distance="cosine"))
        euclidean = list(distance_blocks(3 * query, 3 * gallery, distance="euclidean"))
        assert [block.shape for block in cosine] == [block.shape for block in euclidean] == shapes
        for q, (one, other) in enumerate(zip(np.concatenate(cosine), np.concatenate(euclidean), strict=True)):
            for g in range(9):
                products = [float(a) * float(b) for a, b in zip(query[q], gallery[g], strict=True)]
                squares = [(3 * float(a) - 3 * float(b)) ** 2 for a, b in zip(query[q], gallery[g], strict=True)]
                assert one[g] == pytest.approx(1 - sum(products), abs=1e-6)
                assert other[g] == pytest.approx(sum(squares), abs=1e-4)


def test_rounding_never_makes_a_distance_negative() -> None:
    """An image has no distance to itself, though a^2 + b^2 - 2ab in float32 falls below zero for long descriptors."""
    rows = 100 + descriptors(50, seed=2, unit=False)
    matrix = np.concatenate(list(distance_blocks(rows, rows, distance="euclidean")))
    assert matrix.min() == 0


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_descriptors_that_are_no_numbers_are_refused_at_once(distance: Distance, value: float) -> None:
    """Before any block is asked for; the sentence counts them and names the first."""
    query, gallery = descriptors(4, seed=0), descriptors(6, seed=1)
    gallery[2:4, 1] = value
    with pytest.raises(
        DataError, match=r"2 of 6 gallery descriptors \(the first is number 2\) hold numbers that are not"
    ):
        distance_blocks(query, gallery, distance=distance)


def test_cosine_distance_wants_rows_of_unit_length() -> None:
    """Zeros have no direction; Euclidean distance takes both."""
    query, gallery = descriptors(4, seed=0), descriptors(6, seed=1)
    with pytest.raises(DataError, match=r"4 of 4 query descriptors .* are not of unit length"):
        distance_blocks(2 * query, gallery, distance="cosine")
    query[1] = 0
    with pytest.raises(DataError, match=r"1 of 4 query descriptors \(the first is number 1\) are all zeros"):
        distance_blocks(query, gallery, distance="cosine")
    assert next(distance_blocks(query, gallery, distance="euclidean")).shape == (4, 6)


def test_wrong_shapes_are_refused() -> None:
    """An empty side, one descriptor without its axis, other lengths."""
    query, gallery = descriptors(4, seed=0), descriptors(6, seed=1)
    with pytest.raises(DataError, match=r"expected gallery descriptors as \(images, length\).*found \(0, 7\)"):
        distance_blocks(query, gallery[:0], distance="cosine")
    with pytest.raises(DataError, match=r"expected query descriptors .* found \(7,\)"):
        distance_blocks(query[0], gallery, distance="cosine")
    with pytest.raises(DataError, match="query descriptors have 7 numbers, gallery descriptors 5"):
        distance_blocks(query, gallery[:, :5], distance="euclidean")
