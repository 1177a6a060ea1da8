"""Tracks: one id per person through crossings and gaps at any rate of looks, ended once, in any order."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection
from edge_runtime.people.likelihood_tracker import Following, LikelihoodTracker
from edge_runtime.people.tracker import Track

RATES = (25.0, 10.0, 5.0, 3.0, 2.0, 0.5)
ANN, BOB = np.eye(8, dtype=np.float32)[:2]


def person(x: float, y: float = 100.0, *, score: float = 0.9) -> Detection:
    """A person of 40 x 100 pixels around (x, y)."""
    return Detection((x - 20, y - 50, x + 20, y + 50), score)


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


def follow(
    looks: Sequence[Sequence[Detection]], *, fps: float = 8.0, tracker: LikelihoodTracker | None = None
) -> list[list[Track]]:
    """Feed looks at an even rate."""
    tracker = tracker or LikelihoodTracker(sure_score=0.5)
    return [tracker.update(detections, round(number * 1e9 / fps)) for number, detections in enumerate(looks)]


def centre_x(box: Box) -> float:
    return (box[0] + box[2]) / 2


def ids(told: list[list[Track]], state: str = "confirmed") -> set[int]:
    return {track.id for tracks in told for track in tracks if track.state == state}


@pytest.mark.parametrize("fps", RATES)
def test_a_walking_person_is_one_track_at_any_rate(fps: float) -> None:
    """At 0.6 heights per second; from the second look on, in which the track has the detection and its score."""
    looks = [[person(100 + 60 * n / fps, score=0.8 + n / 1000)] for n in range(12)]
    told = follow(looks, fps=fps)
    assert ids(told) == {1}
    assert [tracks[0].state for tracks in told[1:]] == ["confirmed"] * 11
    assert [(tracks[0].detection, tracks[0].score) for tracks in told] == [(d, d.score) for (d,) in looks]
    assert [(tracks[0].age, tracks[0].hits) for tracks in told] == [(n, n) for n in range(1, 13)]


def test_boxes_are_smoothed() -> None:
    """Of a person who stands still, boxes that shake at random come out nearer to the truth."""
    random = np.random.default_rng(0)
    looks = [[person(100 + random.normal(0, 8), 100 + random.normal(0, 8))] for _ in range(60)]
    told = follow(looks)
    raw = np.abs([centre_x(detection.box) - 100 for (detection,) in looks][10:]).mean()
    smooth = np.abs([centre_x(tracks[0].box) - 100 for tracks in told][10:]).mean()
    assert smooth < 0.8 * raw


@pytest.mark.parametrize("fps", RATES[:-1])
@pytest.mark.parametrize("missed", [1, 2])
def test_ids_survive_a_gap_of_two_looks_at_any_rate(fps: float, missed: int) -> None:
    """The person walks on unseen, is lost with a predicted box, and comes back under the same id."""
    looks = [[person(100 + 40 * n / fps)] if not 10 <= n < 10 + missed else [] for n in range(20)]
    told = follow(looks, fps=fps)
    lost = [tracks[0] for tracks in told[10 : 10 + missed]]
    assert [(track.state, track.detection) for track in lost] == [("lost", None)] * missed
    assert ids(told) == {1}
    assert told[10 + missed][0].state == "confirmed"


@pytest.mark.parametrize("fps", [25.0, 10.0, 5.0])
def test_two_people_crossing_keep_their_ids(fps: float) -> None:
    """Each goes on in its own direction, although one hides the other while they overlap by half."""
    looks = []
    for n in range(round(4 * fps)):
        left, right = person(60 + 70 * n / fps), person(340 - 70 * n / fps, 106)
        is_hidden = abs(centre_x(left.box) - centre_x(right.box)) < 20
        looks.append([left] if is_hidden else [left, right])
    told = follow(looks, fps=fps)
    assert ids(told) == {1, 2}
    first, last = ({track.id: centre_x(track.box) for track in tracks} for tracks in (told[0], told[-1]))
    assert (last[1] - first[1]) * (last[2] - first[2]) < 0


def meeting(*, descriptors: bool) -> tuple[dict[int, float], dict[int, float]]:
    """Two people walk up to each other, talk and turn back, at 2 looks/s. Returns where each id is first and last."""
    tracker = LikelihoodTracker(sure_score=0.5)
    told = []
    for number, way in enumerate([0] * 20 + [0, 35, 70, 107, 107, 107, 70, 35, 0, 0]):
        rows = np.stack([ANN, BOB]) if descriptors else None
        tracks = tracker.update([person(100 + way), person(320 - way)], number * 500_000_000, descriptors=rows)
        told.append({track.id: centre_x(track.detection.box) for track in tracks if track.detection})
    return told[0], told[-1]


def test_descriptors_tell_who_is_who_where_paths_cannot() -> None:
    """Two people meet and turn back: by their motion alone they have passed each other."""
    first, last = meeting(descriptors=True)
    assert first == last
    first, last = meeting(descriptors=False)
    assert (first[1], first[2]) == (last[2], last[1])


def test_descriptors_that_tell_nothing_change_nothing() -> None:
    """A network that gives everybody about the same descriptor is found out, and motion alone decides."""
    random = np.random.default_rng(0)
    without, with_ = LikelihoodTracker(sure_score=0.5), LikelihoodTracker(sure_score=0.5)
    for number in range(80):
        looks = [person(100 + 4 * number), person(460 - 4 * number, 110)]
        rows = random.normal(0, 1, (2, 8)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        time_ns = number * 100_000_000
        assert without.update(looks, time_ns) == with_.update(looks, time_ns, descriptors=rows)
    assert with_.separation.sensitivity() < 0.5


def test_only_unclear_detections_need_a_descriptor() -> None:
    """Those that may as well be another person, while descriptors help; asking changes nothing."""
    tracker = LikelihoodTracker(sure_score=0.5)
    follow([[person(100), person(130), person(400)]] * 4, tracker=tracker)
    looks = [person(400), person(114), person(118)]
    for _ in range(2):
        assert [one.is_unclear for one in tracker.foresee(looks, 500_000_000)] == [False, True, True]
    assert tracker.foresee([], 500_000_000) == []
    assert [track.age for track in tracker.update(looks, 500_000_000)] == [5, 5, 5]
    tracker.separation.is_useful = False
    assert not any(one.is_unclear for one in tracker.foresee(looks, 600_000_000))


@given(scene=SCENES, fps=st.sampled_from(RATES))
def test_what_is_foreseen_comes(scene: list[list[Detection]], fps: float) -> None:
    """Without descriptors each detection gets the track that was foreseen, told or not, and nobody if nobody was."""
    tracker = LikelihoodTracker(sure_score=0.5)
    for number, detections in enumerate(scene):
        time_ns = round(number * 1e9 / fps)
        foreseen = tracker.foresee(detections, time_ns)
        tracks = tracker.update(detections, time_ns)
        expected = {
            one.track_id: (detections[index], one.is_told) for index, one in enumerate(foreseen) if one.track_id
        }
        assert expected == {
            track.id: (track.detection, track.state == "confirmed") for track in tracks if track.detection
        }


def hidden(*, seconds: float, descriptors: bool, back_as: NDArray[np.float32] = ANN) -> list[list[Track]]:
    """Two people stand; one is gone for so long, and somebody comes back there. At 5 looks/s."""
    tracker = LikelihoodTracker(sure_score=0.5)
    told = []
    gone, back = 30, 30 + round(5 * seconds)
    for number in range(back + 10):
        looks, rows = [person(300)], [BOB]
        if not gone <= number < back:
            looks, rows = [*looks, person(100)], [*rows, ANN if number < gone else back_as]
        tracks = tracker.update(looks, number * 200_000_000)
        if descriptors:
            by_place = {detection.box: row for detection, row in zip(looks, rows, strict=True)}
            seen = [track for track in tracks if track.detection]
            tracker.learn({track.id: by_place[track.detection.box] for track in seen if track.detection})
        told.append(tracks)
    return told


def test_who_comes_back_after_the_end_of_a_track_carries_it_on() -> None:
    """After 5 s, told with the first look after the descriptors: a new track, and which one it is the rest of."""
    told = hidden(seconds=5, descriptors=True)
    assert ids(told) == {1, 2, 3}
    (gone,) = (track.id for tracks in told for track in tracks if track.state == "ended")
    assert {track.previous for track in told[-1] if track.id == 3} == {gone}
    assert {track.previous for tracks in told for track in tracks if track.id != 3} == {None}


def test_somebody_else_at_the_same_place_carries_nothing_on() -> None:
    """Nor anybody without descriptors, nor who was gone for longer than is remembered."""
    stranger = np.eye(8, dtype=np.float32)[2]
    for told in (
        hidden(seconds=5, descriptors=True, back_as=stranger),
        hidden(seconds=5, descriptors=False),
        hidden(seconds=70, descriptors=True),
    ):
        assert 3 in ids(told)
        assert {track.previous for tracks in told for track in tracks} == {None}


def test_learned_descriptors_count_like_those_of_an_update() -> None:
    """A daemon that describes after the update, as most looks do, teaches the tracker as much."""
    tracker = LikelihoodTracker(sure_score=0.5)
    for number in range(20):
        tracker.update([person(100), person(300)], number * 100_000_000)
        tracker.learn({1: ANN, 2: BOB, 99: ANN})
    assert tracker.separation.sensitivity() > 3


def test_dropped_frames_do_not_slow_a_person_down() -> None:
    """Velocity is per second, not per frame: uneven steps in time do not break a track."""
    times_ms = [0, 100, 200, 300, 400, 1000, 1100, 1600, 1700, 2400]
    tracker = LikelihoodTracker(sure_score=0.5)
    for milliseconds in times_ms:
        tracks = tracker.update([person(100 + 0.06 * milliseconds)], milliseconds * 1_000_000)
        assert [track.id for track in tracks] == [1]


@pytest.mark.parametrize("fps", RATES)
def test_a_track_that_nobody_sees_ends_by_seconds_and_by_looks(fps: float) -> None:
    """When both limits are passed: after 3 seconds and after 2 looks. It is told once, with its last score."""
    told = follow([[person(100, score=0.8)]] * 5 + [[]] * 100, fps=fps)
    states = [track.state for tracks in told for track in tracks]
    assert states.count("ended") == 1
    assert states.count("lost") == max(2, int(3 * fps))
    (ended,) = (track for tracks in told for track in tracks if track.state == "ended")
    assert (ended.id, ended.hits, ended.score) == (1, 5, 0.8)


def test_a_person_is_told_at_once_where_looks_are_rare() -> None:
    """At 2 looks/s half a second of waiting is a third of a passer-by."""
    told = follow([[]] + [[person(100)]] * 2, fps=2)
    assert [tracks[0].state for tracks in told[1:]] == ["confirmed", "confirmed"]


def test_a_flicker_of_one_look_is_not_told_where_looks_are_fast() -> None:
    """At 25 looks/s one detection more costs 40 ms; who was never told disappears without an end."""
    told = follow([[], [person(100)], *[[]] * 30], fps=25)
    assert {track.state for tracks in told for track in tracks} == {"new", "lost"}
    assert told[-1] == []


def test_who_was_never_certain_is_not_told() -> None:
    """Sure enough to be followed is not yet sure enough to be reported: 0.635 is, where 0.5 is sure."""
    assert ids(follow([[person(100, score=0.6)]] * 40)) == set()
    told = follow([[person(100, score=0.6)]] * 5 + [[person(100, score=0.65)]] + [[person(100, score=0.6)]] * 5)
    assert [tracks[0].state for tracks in told] == ["new"] * 5 + ["confirmed"] * 6


@pytest.mark.parametrize("sure_score", [0.1, 0.35, 0.8, 0.95, 1.0, 3.0])
def test_whatever_score_is_sure_somebody_can_be_certain(sure_score: float) -> None:
    """A site that drops all but the best detections still hears of those; a detector may have its own scale."""
    tracker = LikelihoodTracker(sure_score=sure_score)
    told = follow([[person(100, score=max(0.99, sure_score))]] * 3, tracker=tracker)
    assert told[-1][0].state == "confirmed"


def test_ids_are_never_used_again() -> None:
    """Who comes after the end of a track is someone else, even at the same place."""
    told = follow([[person(100)]] * 4 + [[]] * 40 + [[person(100)]] * 4)
    assert [track.id for track in told[-1]] == [2]


def test_after_a_long_pause_nobody_is_taken_for_who_stood_there_before() -> None:
    """After a minute without a frame a person at the same place is someone else."""
    tracker = LikelihoodTracker(sure_score=0.5)
    follow([[person(100)]] * 4, tracker=tracker)
    tracks = tracker.update([person(100)], 60_000_000_000)
    assert [(track.id, track.state) for track in tracks] == [(1, "lost"), (2, "confirmed")]


def test_weak_detections_continue_tracks_and_start_none() -> None:
    """A score below the sure one keeps a track alive that was seen twice, but a new one needs a sure detection."""
    weak = person(100, score=0.2)
    assert follow([[weak]] * 10) == [[]] * 10
    told = follow([[person(100)]] * 2 + [[weak]] * 60)
    assert all(tracks[0].state == "confirmed" for tracks in told[1:])
    told = follow([[person(100)]] + [[weak]] * 60)
    assert told[-1] == []


def test_a_weak_detection_must_fit_better_than_a_sure_one() -> None:
    """Weak ones are mostly nobody: one that is half a width off does not drag the track away."""
    for score, hits in ((0.9, 9), (0.2, 8)):
        told = follow([[person(100)]] * 8 + [[person(128, score=score)]])
        assert told[-1][0].hits == hits


def test_sure_detections_choose_first() -> None:
    """A weak detection gets no track that a sure one may have, even where it fits better."""
    tracker = LikelihoodTracker(sure_score=0.5)
    follow([[person(100)]] * 4, tracker=tracker)
    (track,) = tracker.update([person(100, score=0.2), person(108)], 500_000_000)
    assert track.detection == person(108)


def test_a_clock_that_goes_back_breaks_nothing() -> None:
    """A source that restarts may begin at an earlier time; people are then where they were."""
    tracker = LikelihoodTracker(sure_score=0.5)
    follow([[person(100)]] * 4, tracker=tracker)
    assert [track.id for track in tracker.update([person(100)], 0)] == [1]


def test_ending_all_tells_the_confirmed_ones_once() -> None:
    """When a camera stops, its told tracks end, and nothing is left to follow."""
    tracker = LikelihoodTracker(sure_score=0.5, following=Following(flicker_s=1.0))
    follow([[person(100)]] * 4 + [[person(100), person(300)]], tracker=tracker)
    assert [(track.id, track.state) for track in tracker.end_all()] == [(1, "ended")]
    assert tracker.end_all() == []
    assert tracker.update([], 1_000_000_000) == []


@given(scene=SCENES, seed=st.integers(0, 1000), fps=st.sampled_from(RATES))
def test_the_order_of_detections_does_not_matter(scene: list[list[Detection]], seed: int, fps: float) -> None:
    """Shuffled detections give the same tracks, and the same input always the same output."""
    generator = np.random.default_rng(seed)
    shuffled = [[detections[index] for index in generator.permutation(len(detections))] for detections in scene]
    assert follow(scene, fps=fps) == follow(shuffled, fps=fps)


def shifted(detection: Detection, *, by: float, scale: float) -> Detection:
    left, top, right, bottom = (scale * (value + by) for value in detection.box)
    return Detection((left, top, right, bottom), detection.score)


@given(scene=SCENES, by=st.sampled_from([0, 64, 1024]), scale=st.sampled_from([1.0, 2.0, 4.0]))
def test_place_and_size_of_the_picture_do_not_matter(scene: list[list[Detection]], by: float, scale: float) -> None:
    """All lengths are in heights of the person: a camera of four times the pixels gives the same tracks."""
    moved = [[shifted(one, by=by, scale=scale) for one in detections] for detections in scene]
    for tracks, others in zip(follow(scene), follow(moved), strict=True):
        assert [(track.id, track.state, track.hits) for track in tracks] == [
            (track.id, track.state, track.hits) for track in others
        ]


@given(scene=SCENES, fps=st.sampled_from(RATES))
def test_rules_hold_in_any_scene(scene: list[list[Detection]], fps: float) -> None:
    """One track per id and per detection, ids in order, hits within age; an ended track is told once and is gone."""
    ended: set[int] = set()
    confirmed: set[int] = set()
    for detections, tracks in zip(scene, follow(scene, fps=fps), strict=True):
        going_on = [track for track in tracks if track.state != "ended"]
        assert [track.id for track in going_on] == sorted({track.id for track in going_on})
        assert not ended & {track.id for track in tracks}
        assert all(1 <= track.hits <= track.age for track in tracks)
        assert all((track.detection is None) == (track.state == "lost") for track in going_on)
        seen = [track.detection for track in going_on if track.detection]
        assert all(seen.count(detection) <= detections.count(detection) for detection in seen)
        assert all(detection in seen for detection in detections if detection.score >= 0.5)
        confirmed |= {track.id for track in tracks if track.state == "confirmed"}
        ended |= {track.id for track in tracks if track.state == "ended"}
        assert ended <= confirmed


def unit_rows(values: list[list[int]]) -> NDArray[np.float32]:
    rows = np.array(values, np.float32) + 0.5
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@given(
    places=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=12),
    values=st.lists(st.lists(st.integers(-3, 3), min_size=4, max_size=4), min_size=2, max_size=2),
)
def test_descriptors_never_make_an_impossible_match(places: list[tuple[int, int]], values: list[list[int]]) -> None:
    """They choose among the places where a person can be: nobody jumps across the picture because two look alike."""
    tracker = LikelihoodTracker(sure_score=0.5)
    before: dict[int, float] = {}
    for number, (one, other) in enumerate(places):
        looks = [person(one), person(other, 110)]
        tracks = tracker.update(looks, number * 40_000_000, descriptors=unit_rows(values))
        now = {track.id: centre_x(track.detection.box) for track in tracks if track.detection}
        assert all(abs(now[id_] - before[id_]) < 100 for id_ in now.keys() & before.keys())
        before = now
