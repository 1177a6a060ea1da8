"""Brings boxes from outside and our frames together by their time of capture."""

from collections import OrderedDict, deque
from dataclasses import dataclass, fields, replace

from edge_runtime.camera.frame import Frame
from edge_runtime.people.detector import Detection

_ROUNDING_NS = 1_000_000  # many senders round times to milliseconds
_WAIT_S = 2.0  # for a frame as late as the boxes: video may be decoded later than a camera finds people
_GATHER_S = 0.1  # for the other people of a frame, where each comes in a message of its own
_QUIET_S = 2.0  # without boxes: then frames are shown once a second, so that tracks end
_QUIET_STEP_S = 1.0
_MOST_WAITING = 256
_SMALLEST_BOX_PX = 8.0


@dataclass(frozen=True)
class BoxedFrame(Frame):
    """A frame and the people in it, as somebody else has found them; in pixels of this frame."""

    people: tuple[Detection, ...] = ()


@dataclass(frozen=True)
class TimedBoxes:
    """The boxes of one frame, or some of them, see `BoxMessage`; boxes in shares of the picture."""

    capture_ns: int
    people: tuple[Detection, ...]
    is_whole: bool


@dataclass(frozen=True)
class MatchCounts:
    """matched: boxes that found their frame. without_frame: no frame was near enough in time. surplus: the frame has
    got all its people from another message: these come more often than frames are kept. late: the frame, or a later
    one, had been looked at. too_small: what of the box lies in the frame is less than 8 pixels wide or tall."""

    matched: int = 0
    without_frame: int = 0
    surplus: int = 0
    late: int = 0
    too_small: int = 0


@dataclass
class _Gathering:
    """A frame whose boxes come."""

    frame: Frame
    boxes: TimedBoxes
    since_s: float


class BoxMatcher:
    """Keeps the latest frames of one camera, and gives each the boxes of its time.

    Boxes get the frame that is nearest in time, once a frame at their time or later is there; where the nearest one is
    further away than `max_apart_ns` they are dropped and counted. Frames come out in their order, each once. Several
    messages that are each about all people of one frame do not add up: the nearest in time counts.

    keep_ns: how long frames are kept. Times called `now_s` are monotonic. Not thread-safe: the caller holds a lock.
    """

    def __init__(self, *, max_apart_ns: int, keep_ns: int) -> None:
        self.counts = MatchCounts()
        self._max_apart_ns, self._keep_ns = max_apart_ns, keep_ns
        self._frames: deque[Frame] = deque()
        self._waiting: deque[tuple[float, TimedBoxes]] = deque()
        self._gathering: OrderedDict[int, _Gathering] = OrderedDict()
        self._shown_index = -1
        self._heard_s: float | None = None
        self._shown_s = 0.0

    def add_frame(self, frame: Frame) -> None:
        """Keep a frame. Where the camera's clock was set back, the frames before are forgotten."""
        if self._frames and frame.capture_ns < self._frames[-1].capture_ns:
            self._frames.clear()
        self._frames.append(frame)
        while self._frames[0].capture_ns < frame.capture_ns - self._keep_ns:
            self._frames.popleft()

    def add_boxes(self, boxes: TimedBoxes, *, now_s: float) -> None:
        """Take boxes; the oldest that wait are dropped where too many do."""
        self._heard_s = now_s
        if len(self._waiting) == _MOST_WAITING:
            self._count(without_frame=len(self._waiting.popleft()[1].people) or 1)
        self._waiting.append((now_s, boxes))

    def next_frame(self, *, now_s: float) -> BoxedFrame | None:
        """The next frame whose boxes are there, if there is one; it is not given again."""
        self._match(now_s)
        if self._gathering:
            index = min(self._gathering)
            one = self._gathering[index]
            if one.boxes.is_whole or now_s - one.since_s >= _GATHER_S:
                del self._gathering[index]
                return self._show(one.frame, self._to_pixels(one), now_s=now_s)
        return self._show_quiet(now_s)

    def _match(self, now_s: float) -> None:
        undecided: deque[tuple[float, TimedBoxes]] = deque()
        for arrived_s, boxes in self._waiting:
            is_reached = bool(self._frames) and self._frames[-1].capture_ns >= boxes.capture_ns - _ROUNDING_NS
            if not is_reached and now_s - arrived_s < _WAIT_S:
                undecided.append((arrived_s, boxes))
                continue
            self._give(boxes, arrived_s=arrived_s)
        self._waiting = undecided

    def _give(self, boxes: TimedBoxes, *, arrived_s: float) -> None:
        """Give boxes to the nearest frame, or drop and count them."""
        count = len(boxes.people) or 1
        frame = min(self._frames, key=lambda frame: abs(frame.capture_ns - boxes.capture_ns), default=None)
        if frame is None or abs(frame.capture_ns - boxes.capture_ns) > self._max_apart_ns:
            self._count(without_frame=count)
            return
        if frame.index <= self._shown_index:
            is_surplus = boxes.is_whole and frame.index == self._shown_index
            self._count(**{"surplus" if is_surplus else "late": count})
            return
        self._count(matched=count)
        before = self._gathering.get(frame.index)
        if before is None:
            self._gathering[frame.index] = _Gathering(frame, boxes, arrived_s)
            return
        before.boxes = _join(before.boxes, boxes, time_ns=frame.capture_ns)

    def _show(self, frame: Frame, people: tuple[Detection, ...], *, now_s: float) -> BoxedFrame:
        self._shown_index, self._shown_s = frame.index, now_s
        known = {one.name: getattr(frame, one.name) for one in fields(Frame)}
        return BoxedFrame(**known, people=people)

    def _show_quiet(self, now_s: float) -> BoxedFrame | None:
        """The oldest frame that is kept, without people, once a second while no boxes come: newer ones may get some."""
        if self._waiting or self._gathering or not self._frames or self._frames[0].index <= self._shown_index:
            return None
        if self._heard_s is None:
            self._heard_s = now_s
        if now_s - self._heard_s < _QUIET_S or now_s - self._shown_s < _QUIET_STEP_S:
            return None
        return self._show(self._frames[0], (), now_s=now_s)

    def _to_pixels(self, one: _Gathering) -> tuple[Detection, ...]:
        """The people in pixels of the frame, clipped to it, best score first."""
        height, width = one.frame.pixels.height_px, one.frame.pixels.width_px
        people = []
        for person in sorted(one.boxes.people, key=lambda person: -person.score):
            left, right = (min(max(x, 0.0), 1.0) * width for x in (person.box[0], person.box[2]))
            top, bottom = (min(max(y, 0.0), 1.0) * height for y in (person.box[1], person.box[3]))
            if min(right - left, bottom - top) < _SMALLEST_BOX_PX:
                self._count(too_small=1)
                continue
            people.append(replace(person, box=(left, top, right, bottom)))
        return tuple(people)

    def _count(self, **more: int) -> None:
        """Add to the counts of these names."""
        self.counts = replace(self.counts, **{name: getattr(self.counts, name) + count for name, count in more.items()})


def _join(one: TimedBoxes, other: TimedBoxes, *, time_ns: int) -> TimedBoxes:
    """The boxes of one frame out of two messages. time_ns: of the frame."""
    if one.is_whole or other.is_whole:
        return min(one, other, key=lambda boxes: abs(boxes.capture_ns - time_ns))
    renewed = {person.given_id for person in other.people if person.given_id is not None}
    kept = tuple(person for person in one.people if person.given_id not in renewed)
    return replace(one, people=kept + other.people)
