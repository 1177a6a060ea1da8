"""Ranking lists say what scoring says: the same order, the same images left out, the same figures."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import DataError
from train.pictures.ranking import rank_queries
from train.scoring.scoring import Described, score


def described(count: int, *, seed: int) -> Described:
    """Random descriptors of identities 0 (a distractor) to 5 by three cameras, many of them alike."""
    random = np.random.default_rng(seed)
    identities = random.integers(0, 6, count).astype(np.int64)
    vectors = np.eye(6)[identities] + random.normal(0, 0.4, (count, 6))
    return Described(normalise(vectors.astype(np.float32)), identities, random.integers(0, 3, count).astype(np.int64))


QUERY, GALLERY = described(20, seed=1), described(60, seed=2)


def literal_list(number: int) -> tuple[list[int], list[bool], list[int]]:
    """Positions of the first ten, whether each is right, and the places of all right images, by nested loops."""
    places = []
    for position in range(len(GALLERY.identities)):
        same_person = GALLERY.identities[position] == QUERY.identities[number]
        if not (same_person and GALLERY.cameras[position] == QUERY.cameras[number]):
            cosine = float(QUERY.descriptors[number] @ GALLERY.descriptors[position])
            places.append((-cosine, position, bool(same_person) and QUERY.identities[number] > 0))
    places.sort()
    right = [place for place, (_, _, is_right) in enumerate(places, start=1) if is_right]
    return [position for _, position, _ in places[:10]], [bool(is_right) for _, _, is_right in places[:10]], right


def literal_precision(right: list[int]) -> float:
    """Average precision from the places of the right images."""
    return float(np.mean([found / place for found, place in enumerate(right, start=1)]))


def test_a_list_is_what_nested_loops_find() -> None:
    """Order, right ones, what is left out, the first right place, the count of right ones and the average precision."""
    valid = [number for number in range(20) if literal_list(number)[2]]
    assert len(valid) < 20, "the case of a query without a right image is part of this test"
    lists = rank_queries(QUERY, GALLERY, count=len(valid), worst_first=False, seed=0)
    assert [one.query for one in lists] == valid
    for one in lists:
        positions, is_right, right = literal_list(one.query)
        assert one.found.tolist() == positions
        assert one.is_right.tolist() == is_right
        assert (one.first_right_place, one.right_images) == (right[0], len(right))
        assert one.average_precision == pytest.approx(literal_precision(right), abs=1e-9)
        cosines: NDArray[np.floating] = GALLERY.descriptors[positions] @ QUERY.descriptors[one.query]
        np.testing.assert_allclose(one.cosines, cosines, atol=1e-6)


def test_worst_queries_come_first() -> None:
    """Those of least average precision of all, in that order."""
    lists = rank_queries(QUERY, GALLERY, count=5, worst_first=True, seed=0)
    worst = sorted(score(QUERY, GALLERY).average_precision)[:5]
    assert [one.average_precision for one in lists] == pytest.approx(worst)


def test_a_seed_draws_the_same_queries_again() -> None:
    """And another seed draws others."""
    drawn = [
        [one.query for one in rank_queries(QUERY, GALLERY, count=5, worst_first=False, seed=seed)] for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_short_gallery_gives_a_short_list() -> None:
    """Fewer than ten places where no more images can be ranked: what is left out never fills them."""
    gallery = Described(GALLERY.descriptors[:8], np.full(8, 3, np.int64), np.array([0, 0, 0, 0, 0, 1, 1, 2]))
    query = Described(QUERY.descriptors[:1], np.array([3]), np.array([0]))
    (one,) = rank_queries(query, gallery, count=1, worst_first=True, seed=0)
    assert sorted(one.found.tolist()) == [5, 6, 7]


def test_more_queries_than_can_be_scored_are_refused() -> None:
    """The message counts those with a right image."""
    with pytest.raises(DataError, match=r"asked for 21 queries, found 1\d with a right image"):
        rank_queries(QUERY, GALLERY, count=21, worst_first=False, seed=0)
