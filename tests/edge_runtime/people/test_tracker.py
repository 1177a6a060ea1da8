"""Tracks: one id per person through crossings and gaps, ended once, whatever the order of the detections."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection
from edge_runtime.people.tracker import OverlapTracker, Track

FRAME_NS = 125_000_000  # 8 frames/s


def person(x: float, y: float = 100.0, *, score: float = 1.0) -> Detection:
    """A person of 40 x 100 pixels around (x, y)."""
    return Detection((x - 20, y - 50, x + 20, y + 50), score)


def new_tracker() -> OverlapTracker:
    """A tracker that confirms at the third detection and waits one second for a lost person."""
    return OverlapTracker(sure_score=0.5, min_hits=3, max_lost_s=1.0)


def follow(frames: list[list[Detection]], tracker: OverlapTracker | None = None) -> list[list[Track]]:
    """Feed frames that are 125 ms apart."""
    tracker = tracker or new_tracker()
    return [tracker.update(detections, number * FRAME_NS) for number, detections in enumerate(frames)]


def centre_x(box: Box) -> float:
    """Horizontal centre of a box."""
    return (box[0] + box[2]) / 2


def test_a_walking_person_is_one_track() -> None:
    """A track is new until its third detection and has the detection's own box and score."""
    frames = [[person(100 + 8 * n, score=0.6 + n / 100)] for n in range(12)]
    told = follow(frames)
    assert all(len(tracks) == 1 for tracks in told)
    assert {tracks[0].id for tracks in told} == {1}
    assert [tracks[0].state for tracks in told] == ["new", "new"] + ["confirmed"] * 10
    assert [(tracks[0].box, tracks[0].score) for tracks in told] == [(d.box, d.score) for (d,) in frames]
    assert [(tracks[0].age, tracks[0].hits) for tracks in told] == [(n, n) for n in range(1, 13)]


def test_two_people_crossing_keep_their_ids() -> None:
    """Each goes on in its own direction, although one hides the other for three frames."""
    frames = []
    for n in range(30):
        left, right = person(100 + 8 * n, 100), person(340 - 8 * n, 112)
        is_hidden = abs(centre_x(left.box) - centre_x(right.box)) < 20
        frames.append([left] if is_hidden else [left, right])
    told = follow(frames)
    assert any(track.state == "lost" for tracks in told for track in tracks)
    assert {track.id for tracks in told for track in tracks} == {1, 2}
    first, last = ({track.id: centre_x(track.box) for track in tracks} for tracks in (told[0], told[-1]))
    assert (last[1] - first[1]) * (last[2] - first[2]) < 0
    assert abs(last[1] - first[1]) == abs(last[2] - first[2]) == 8 * 29


def test_a_gap_of_a_few_frames_is_bridged() -> None:
    """A person not detected for half a second is lost, is predicted to walk on, and comes back under the same id."""
    frames = [[person(100 + 10 * n)] if not 8 <= n < 12 else [] for n in range(20)]
    told = follow(frames)
    assert [tracks[0].state for tracks in told[8:12]] == ["lost"] * 4
    assert all(abs(centre_x(told[n][0].box) - (100 + 10 * n)) < 10 for n in range(8, 12))
    assert told[12][0].state == "confirmed"
    assert {track.id for tracks in told for track in tracks} == {1}


def test_dropped_frames_do_not_slow_a_person_down() -> None:
    """Velocity is per second, not per frame: uneven steps in time do not break a track."""
    times_ns = [0, 100, 200, 300, 400, 1000, 1100, 1600, 1700, 2400]
    tracker = new_tracker()
    for milliseconds in times_ns:
        tracks = tracker.update([person(100 + 0.1 * milliseconds)], milliseconds * 1_000_000)
        assert [track.id for track in tracks] == [1]


def test_an_end_is_told_once() -> None:
    """A confirmed track that stays lost for more than a second ends; that is told once, with its last score."""
    told = follow([[person(100, score=0.7)]] * 5 + [[]] * 20)
    states = [track.state for tracks in told for track in tracks]
    assert states.count("ended") == 1
    assert states == ["new"] * 2 + ["confirmed"] * 3 + ["lost"] * 8 + ["ended"]
    (ended,) = (track for tracks in told for track in tracks if track.state == "ended")
    assert (ended.id, ended.hits, ended.score) == (1, 5, 0.7)


def test_a_flicker_is_never_told_to_have_ended() -> None:
    """Who was never confirmed disappears without an end."""
    told = follow([[person(100)], [person(100)]] + [[]] * 20)
    assert {track.state for tracks in told for track in tracks} == {"new", "lost"}
    assert told[-1] == []


def test_ids_are_never_used_again() -> None:
    """Who comes after the end of a track is someone else, even at the same place."""
    told = follow([[person(100)]] * 4 + [[]] * 20 + [[person(100)]] * 4)
    assert [track.id for track in told[-1]] == [2]


def test_a_long_pause_ends_all_tracks() -> None:
    """After a camera was away nobody is taken for who stood there before."""
    tracker = new_tracker()
    follow([[person(100)]] * 4, tracker)
    tracks = tracker.update([person(100)], 60_000_000_000)
    assert [(track.id, track.state) for track in tracks] == [(2, "new"), (1, "ended")]


def test_weak_detections_continue_tracks_and_start_none() -> None:
    """A score below the sure one keeps a confirmed track alive, but a new one needs sure detections."""
    weak = person(100, score=0.2)
    assert follow([[weak]] * 10) == [[]] * 10
    told = follow([[person(100)]] * 3 + [[weak]] * 20)
    assert all(tracks[0].state == "confirmed" for tracks in told[3:])
    told = follow([[person(100)]] * 2 + [[weak]] * 20)
    assert told[-1] == []


def test_sure_detections_choose_first() -> None:
    """A weak detection gets no track that a sure one overlaps enough, even where it overlaps better."""
    tracker = new_tracker()
    follow([[person(100)]] * 4, tracker)
    (track,) = tracker.update([person(100, score=0.2), person(110, score=0.9)], 4 * FRAME_NS)
    assert centre_x(track.box) == 110


def test_ending_all_tells_the_confirmed_ones_once() -> None:
    """When a camera stops, its confirmed tracks end, and nothing is left to follow."""
    tracker = new_tracker()
    follow([[person(100)]] * 4 + [[person(100), person(300)]], tracker)
    assert [(track.id, track.state) for track in tracker.end_all()] == [(1, "ended")]
    assert tracker.end_all() == []
    assert tracker.update([], 5 * FRAME_NS) == []


SCENES = st.lists(
    st.lists(
        st.builds(
            lambda x, y, score: person(float(x), float(y), score=score),
            st.integers(0, 300),
            st.integers(0, 200),
            st.sampled_from([0.1, 0.4, 0.5, 0.8, 1.0]),
        ),
        max_size=5,
    ),
    max_size=15,
)


@given(scene=SCENES, seed=st.integers(0, 1000))
def test_the_order_of_detections_does_not_matter(scene: list[list[Detection]], seed: int) -> None:
    """Shuffled detections give the same tracks, and the same input always the same output."""
    generator = np.random.default_rng(seed)
    shuffled = [[detections[index] for index in generator.permutation(len(detections))] for detections in scene]
    assert follow(scene) == follow(shuffled)


@given(scene=SCENES)
def test_rules_hold_in_any_scene(scene: list[list[Detection]]) -> None:
    """One track per id and per detection, ids in order, hits within age; an ended track is told once and is gone."""
    ended: set[int] = set()
    confirmed: set[int] = set()
    for detections, tracks in zip(scene, follow(scene), strict=True):
        going_on = [track for track in tracks if track.state != "ended"]
        assert [track.id for track in going_on] == sorted({track.id for track in going_on})
        assert not ended & {track.id for track in tracks}
        assert all(1 <= track.hits <= track.age for track in tracks)
        seen = [Detection(track.box, track.score) for track in tracks if track.state in ("new", "confirmed")]
        assert all(seen.count(detection) <= detections.count(detection) for detection in seen)
        assert all(any(track.box == d.box for track in going_on) for d in detections if d.score >= 0.5)
        confirmed |= {track.id for track in tracks if track.state == "confirmed"}
        ended |= {track.id for track in tracks if track.state == "ended"}
        assert ended <= confirmed
