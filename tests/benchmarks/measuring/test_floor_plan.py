"""The simulated floor."""

from itertools import pairwise

import numpy as np

from benchmarks.measuring.floor_plan import Floor, draw_looks, walk

FLOOR = Floor(people=30, seconds=1800.0)


def test_the_same_seed_gives_the_same_tracks() -> None:
    """The same seed gives the same record again."""
    one, other = (walk(FLOOR, draw_looks(30, seed=1)) for _ in range(2))
    assert [track.start_ns for track in one.tracks] == [track.start_ns for track in other.tracks]
    np.testing.assert_array_equal(one.tracks[5].mean, other.tracks[5].mean)


def test_nobody_is_in_two_places_at_once_and_tracks_end_in_order() -> None:
    """Views do not overlap, and a track is told when it has ended."""
    walked = walk(FLOOR, draw_looks(30, seed=1))
    ends = [track.end_ns for track in walked.tracks]
    assert ends == sorted(ends)
    for person in range(FLOOR.people):
        own = sorted(
            (walked.tracks[row] for row in np.flatnonzero(walked.people == person)), key=lambda one: one.end_ns
        )
        assert all(earlier.end_ns < later.start_ns for earlier, later in pairwise(own))


def test_drawn_descriptors_have_the_length_of_the_measured_parts() -> None:
    """Squared lengths of people, of people at one camera and of crops; 3 % for drawing 200 of them."""
    looks = draw_looks(200, seed=0)
    for part, expected in ((looks.people, 0.336), (looks.at_camera, 0.204), (looks.crops, 0.198)):
        np.testing.assert_allclose((part**2).sum(1).mean(), expected, rtol=0.03)
