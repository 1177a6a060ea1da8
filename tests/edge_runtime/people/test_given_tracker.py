"""People who are followed by the names that somebody else gives them."""

from edge_runtime.people.detector import Detection
from edge_runtime.people.given_tracker import GivenTracker

S = 1_000_000_000
HERE, THERE = (10.0, 10.0, 60.0, 160.0), (200.0, 10.0, 260.0, 160.0)


def seen(name: str | None, *, score: float = 0.9, there: bool = False) -> Detection:
    """Somebody of this name."""
    return Detection(THERE if there else HERE, score, name)


def test_a_name_is_a_track_wherever_its_box_is() -> None:
    """Told at the first sight; what is foreseen comes true."""
    tracker = GivenTracker(forget_s=10)
    for step, people in enumerate([[seen("a")], [seen("b"), seen("a", there=True)], [seen("a"), seen("c")]]):
        foreseen = tracker.foresee(people, step * S)
        tracks = {track.id: track for track in tracker.update(people, step * S)}
        for one, person in zip(foreseen, people, strict=True):
            assert one.track_id is not None
            assert (one.is_told, one.is_unclear) == (True, False)
            assert tracks[one.track_id].detection is person
    assert {track.id: track.hits for track in tracks.values()} == {1: 3, 2: 1, 3: 1}
    assert [(track.state, track.detection) for track in tracks.values() if track.id == 2] == [("lost", None)]


def test_nobody_ends_because_others_are_told() -> None:
    """Some senders tell of one person at a time; a track ends by time alone, and is told once."""
    tracker = GivenTracker(forget_s=2)
    tracker.update([seen("a")], 0)
    assert {track.state for track in tracker.update([seen("b", there=True)], 2 * S)} == {"lost", "confirmed"}
    ended = tracker.update([], 2 * S + 1)
    assert [(track.id, track.state, track.detection) for track in ended] == [(2, "lost", None), (1, "ended", None)]
    assert [track.id for track in tracker.update([], 3 * S)] == [2]
    assert [(track.id, track.state) for track in tracker.end_all()] == [(2, "ended")]
    assert tracker.end_all() == []


def test_who_comes_back_under_a_name_carries_on_the_track_before() -> None:
    """A new track that knows the one before."""
    tracker = GivenTracker(forget_s=1)
    tracker.update([seen("a")], 0)
    tracker.update([], 5 * S)
    [track] = tracker.update([seen("a")], 6 * S)
    assert (track.id, track.previous) == (2, 1)
    [track] = tracker.update([seen("b")], 8 * S)[:1]
    assert (track.id, track.previous) == (3, None)


def test_boxes_without_a_name_are_nobody_and_of_two_the_better_counts() -> None:
    """A message may be wrong; a name is one person."""
    tracker = GivenTracker(forget_s=1)
    people = [seen(None), seen("a", score=0.5), seen("a", score=0.8, there=True)]
    assert [one.track_id for one in tracker.foresee(people, 0)] == [None, None, 1]
    assert [track.box for track in tracker.update(people, 0)] == [THERE]


def test_names_of_people_who_have_gone_are_not_kept_for_ever() -> None:
    """A thousand of them."""
    tracker = GivenTracker(forget_s=0.5)
    for number in range(1200):
        tracker.update([seen(str(number))], number * S)
    assert len(tracker._gone) == 1000
    assert len(tracker._people) == 1
