"""Which pairs of watched tracks are known, and the share of them that passes."""

import numpy as np
import pytest

from benchmarks.measuring.halved_clips import WatchedTrack
from benchmarks.measuring.known_pairs import KnownPairs, find_known_pairs
from edge_runtime.gallery.prototypes import FinishedTrack, halve

SECOND_NS = 1_000_000_000


def watch(person: int, camera: str, *, start_s: float, crops: int = 2) -> WatchedTrack:
    """A track of two seconds with a crop each half second."""
    vectors = np.eye(8, dtype=np.float32)[[person] * crops]
    start_ns = int(start_s * SECOND_NS)
    finished = FinishedTrack(
        f"{person}-{camera}-{start_s}",
        camera,
        start_ns,
        start_ns + 2 * SECOND_NS,
        vectors[0],
        halve(vectors),
        dispersion=0.0,
        crops=crops,
    )
    return WatchedTrack(
        finished, person, vectors, np.array([start_s + 0.5 * one for one in range(crops)]), np.full(crops, person)
    )


def test_pairs_of_tracks_are_known_by_their_people() -> None:
    """A right pair is seen by two cameras, or a second apart; who is not known is in no pair."""
    tracks = [
        watch(1, "left", start_s=0),
        watch(1, "right", start_s=1),
        watch(1, "left", start_s=2.5),
        watch(2, "left", start_s=0),
        watch(0, "left", start_s=0),
    ]
    pairs = find_known_pairs(tracks, of_tracks=True, has_truth=True)
    assert np.argwhere(pairs.right).tolist() == [[0, 1], [1, 2]]
    assert np.argwhere(pairs.wrong).tolist() == [[0, 3], [1, 3], [2, 3]]
    assert pairs.people == 2


def test_without_truth_two_people_are_those_whom_one_camera_sees_at_once() -> None:
    """Each crop of the one with each of the other; tracks of two cameras say nothing."""
    tracks = [watch(0, "left", start_s=0), watch(0, "left", start_s=1), watch(0, "right", start_s=0)]
    pairs = find_known_pairs(tracks, of_tracks=False, has_truth=False)
    assert np.argwhere(pairs.wrong).tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert not pairs.right.any()


def test_the_share_that_passes_has_an_interval_over_people() -> None:
    """Pairs of one person pass or fail together; where none passes, chance may have hidden three pairs of people."""
    people = np.repeat(np.arange(10), 3)
    wrong = np.triu(people[:, None] != people, 1)
    pairs = KnownPairs(np.zeros((30, 2), np.float32), np.zeros(30, np.intp), people, wrong, np.zeros_like(wrong))
    of_one = (people[:, None] == 0) | (people == 0)
    found = pairs.share(of_one, wrong)
    assert found.value == pytest.approx(9 / 45)
    assert found.low == 0
    assert found.high > 0.4
    none = pairs.share(np.zeros_like(wrong), wrong)
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(3 / 45)
