"""Boxes from outside get the frame of their time, or none and a count."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.boxes.matching import BoxedFrame, BoxMatcher, MatchCounts, TimedBoxes
from edge_runtime.camera.frame import Frame
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import Detection

MS = 1_000_000
UTC_NS = 10**18
PIXELS = Nv12(np.zeros((200, 400), np.uint8), np.zeros((100, 200, 2), np.uint8))
SHARES = (0.25, 0.5, 0.5, 1.0)


def frame(index: int, *, at_ms: float | None = None) -> Frame:
    """Frames come every 100 ms."""
    time_ns = int((100 * index if at_ms is None else at_ms) * MS)
    return Frame("door", index, PIXELS, UTC_NS + time_ns, time_ns, "arrival", 7)


def boxes(at_ms: float, *names: str, is_whole: bool = True, score: float = 0.9) -> TimedBoxes:
    """People of a time, all at one place."""
    people = tuple(Detection(SHARES, score, name) for name in names)
    return TimedBoxes(UTC_NS + int(at_ms * MS), people, is_whole)


def matcher_of(frames: Sequence[int], *, max_apart_ms: int = 100, keep_ms: int = 1500) -> BoxMatcher:
    """A matcher that has seen these frames."""
    matcher = BoxMatcher(max_apart_ns=max_apart_ms * MS, keep_ns=keep_ms * MS)
    for index in frames:
        matcher.add_frame(frame(index))
    return matcher


def names_of(shown: BoxedFrame | None) -> list[str | None]:
    """Who is in a frame."""
    assert shown is not None
    return [person.given_id for person in shown.people]


@given(st.integers(0, 900))
def test_the_nearest_frame_gets_the_boxes(at_ms: int) -> None:
    """Whatever their time; checked against all frames one by one."""
    matcher = matcher_of(range(10))
    matcher.add_boxes(boxes(at_ms, "ann"), now_s=100.0)
    shown = matcher.next_frame(now_s=100.0)
    assert shown is not None
    assert abs(shown.capture_ns - UTC_NS - at_ms * MS) == min(abs(100 * index - at_ms) * MS for index in range(10))
    assert shown.people == (Detection((100.0, 100.0, 200.0, 200.0), 0.9, "ann"),)
    assert (shown.pixels, shown.monotonic_ns) == (PIXELS, shown.capture_ns - UTC_NS)
    assert matcher.next_frame(now_s=100.0) is None
    assert matcher.counts == MatchCounts(matched=1)


def test_boxes_may_come_before_their_frame() -> None:
    """A camera's own detector may be faster than its video: they wait until a frame at their time, or later, is there.

    A frame a little before would do for the limit, but the next one may be nearer."""
    matcher = matcher_of(range(3))
    matcher.add_boxes(boxes(290, "ann"), now_s=100.0)
    assert matcher.next_frame(now_s=100.1) is None
    matcher.add_frame(frame(3))
    shown = matcher.next_frame(now_s=100.2)
    assert shown is not None
    assert shown.index == 3


def test_times_rounded_to_milliseconds_fit_at_once() -> None:
    """The frame of 0.2996 s is that of the boxes of 0.300 s; no other is waited for."""
    matcher = matcher_of(range(2))
    matcher.add_frame(frame(2, at_ms=299.6))
    matcher.add_boxes(boxes(300, "ann"), now_s=100.0)
    assert names_of(matcher.next_frame(now_s=100.0)) == ["ann"]


def test_boxes_without_a_frame_near_enough_are_counted() -> None:
    """Too old, or of a time that never comes: they are given up after 2 s, and guess no frame."""
    matcher = matcher_of(range(10, 15))
    matcher.add_boxes(boxes(800, "ann", "bob"), now_s=100.0)
    matcher.add_boxes(boxes(5000, "cat"), now_s=100.0)
    assert matcher.next_frame(now_s=100.5) is None
    assert matcher.counts == MatchCounts(without_frame=2)
    assert names_of(matcher.next_frame(now_s=102.1)) == []
    assert matcher.counts == MatchCounts(without_frame=3)


def test_frames_are_kept_for_a_while_only() -> None:
    """Each is some megabytes."""
    matcher = matcher_of(range(100), keep_ms=500)
    assert [one.index for one in matcher._frames] == [94, 95, 96, 97, 98, 99]
    matcher.add_frame(frame(100, at_ms=50))
    assert [one.index for one in matcher._frames] == [100]


def test_people_who_are_told_one_by_one_come_together() -> None:
    """Those of one frame within 0.1 s, the latest of each; who comes later finds the frame looked at."""
    matcher = matcher_of(range(10))
    for name, score in (("ann", 0.5), ("bob", 0.7), ("ann", 0.9)):
        matcher.add_boxes(boxes(410, name, is_whole=False, score=score), now_s=100.0)
    assert matcher.next_frame(now_s=100.05) is None
    shown = matcher.next_frame(now_s=100.11)
    assert names_of(shown) == ["ann", "bob"]
    matcher.add_boxes(boxes(405, "cat", is_whole=False), now_s=100.2)
    matcher.add_boxes(boxes(300, "dan", is_whole=False), now_s=100.2)
    assert matcher.next_frame(now_s=100.4) is None
    assert matcher.counts == MatchCounts(matched=3, late=2)


def test_of_two_messages_about_all_people_of_a_frame_the_nearer_counts() -> None:
    """The sender may look more often than we keep frames; nobody is there twice."""
    matcher = matcher_of(range(10))
    for at_ms, name in ((370, "far"), (405, "near"), (430, "later")):
        matcher.add_boxes(boxes(at_ms, name), now_s=100.0)
    assert names_of(matcher.next_frame(now_s=100.0)) == ["near"]
    matcher.add_boxes(boxes(420, "ann"), now_s=100.1)
    matcher.add_boxes(boxes(300, "bob"), now_s=100.1)
    assert matcher.next_frame(now_s=100.1) is None
    assert matcher.counts == MatchCounts(matched=3, surplus=1, late=1)


def test_frames_come_in_their_order() -> None:
    """Trackers and receivers rely on it, whatever the order of the messages."""
    matcher = matcher_of(range(10))
    for at_ms in (700, 300, 500):
        matcher.add_boxes(boxes(at_ms, str(at_ms)), now_s=100.0)
    shown = [matcher.next_frame(now_s=100.0) for _ in range(3)]
    assert [one.index for one in shown if one] == [3, 5, 7]


def test_boxes_are_clipped_to_the_frame() -> None:
    """What then is less than 8 pixels wide or tall cannot be described."""
    matcher = matcher_of(range(3))
    people = (Detection((-0.5, 0.5, 0.5, 1.5), 0.5), Detection((0.99, 0.0, 1.5, 1.0), 0.9))
    matcher.add_boxes(TimedBoxes(UTC_NS, people, is_whole=True), now_s=100.0)
    shown = matcher.next_frame(now_s=100.0)
    assert shown is not None
    assert [person.box for person in shown.people] == [(0.0, 100.0, 200.0, 200.0)]
    assert matcher.counts.too_small == 1


def test_silence_shows_old_frames_without_people() -> None:
    """Once a second, so that tracks end; the oldest one kept, so that boxes that come late still find theirs."""
    matcher = matcher_of(range(20))
    matcher.add_boxes(boxes(1900, "ann"), now_s=100.0)
    assert names_of(matcher.next_frame(now_s=100.0)) == ["ann"]
    for index in range(20, 60):
        matcher.add_frame(frame(index))
    assert matcher.next_frame(now_s=101.9) is None
    shown = matcher.next_frame(now_s=102.1)
    assert shown is not None
    assert (shown.index, shown.people) == (44, ())
    assert matcher.next_frame(now_s=102.2) is None
    matcher.add_boxes(boxes(4500, "bob"), now_s=103.0)
    assert names_of(matcher.next_frame(now_s=103.0)) == ["bob"]


def test_a_crowd_of_messages_has_a_limit() -> None:
    """A sender whose clock runs ahead would fill the memory."""
    matcher = matcher_of(range(3))
    for _ in range(300):
        matcher.add_boxes(boxes(9000, "ann"), now_s=100.0)
    assert len(matcher._waiting) == 256
    assert matcher.counts.without_frame == 44
