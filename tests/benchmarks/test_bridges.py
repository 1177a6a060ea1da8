"""What a bridge may learn from, and on whom it is scored."""

import numpy as np
import pytest

from benchmarks.bridges import SplitPeople, draw_pairs, meetings
from edge_runtime.contract.errors import DataError

PEOPLE = SplitPeople(
    identities=np.repeat(np.arange(1, 11), 6),
    cameras=np.tile([1, 1, 1, 2, 2, 2], 10),
    is_query=np.tile([True, False, False, False, False, False], 10),
    is_seen=np.repeat(np.arange(10) < 5, 6),
)
VECTORS = np.arange(60, dtype=np.float32)[:, None]


def test_a_bridge_learns_from_nobody_on_whom_it_is_scored() -> None:
    """Pairs are of the seen half; queries and gallery of the other one."""
    pairs = draw_pairs(PEOPLE, VECTORS, new=VECTORS, count=None)
    learnt = set(pairs.old[:, 0].astype(int).tolist())
    assert learnt == set(range(30))
    assert learnt.isdisjoint(PEOPLE.queries.tolist())
    assert learnt.isdisjoint(PEOPLE.gallery.tolist())
    assert set(PEOPLE.queries.tolist()).isdisjoint(PEOPLE.gallery.tolist())


def test_pairs_come_track_by_track() -> None:
    """A track is one person in one camera; the smaller number of pairs is a part of the larger one."""
    few = draw_pairs(PEOPLE, VECTORS, new=VECTORS, count=6)
    more = draw_pairs(PEOPLE, VECTORS, new=VECTORS, count=12)
    assert np.bincount(few.tracks).tolist() == [3, 3]
    assert set(few.old[:, 0]) < set(more.old[:, 0])
    with pytest.raises(DataError, match="expected 31 pairs or more in the data set, found 30"):
        draw_pairs(PEOPLE, VECTORS, new=VECTORS, count=31)


def test_engines_of_one_space_meet_as_they_are() -> None:
    """INT8 beside its float32 parent; for other spaces the first of the two speaks."""
    spaces = {"a": "A", "a-int8": "A", "b": "B"}
    assert meetings(spaces) == [("a", "a-int8"), ("a", "b"), ("a-int8", "a"), ("b", "a")]
