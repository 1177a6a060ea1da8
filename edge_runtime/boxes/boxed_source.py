"""A camera whose people are found by somebody else: its frames come when their boxes have come."""

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from edge_runtime.boxes.box_receiver import BoxReceiver
from edge_runtime.boxes.catalog import BoxSettings
from edge_runtime.boxes.given_people import GivenPeople, MessageCounts
from edge_runtime.boxes.matching import BoxedFrame, BoxMatcher, MatchCounts
from edge_runtime.camera.address import ANY_KNOWN_AUTHORITY, Trust
from edge_runtime.camera.frame import Frame, SourceStatus
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import StreamError

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_RATE_S = 10.0
_LEAST_TO_JUDGE = 20


@dataclass(frozen=True)
class BoxSupply:
    """From where a camera's boxes come. receiver: brings the messages; it outlives the camera."""

    settings: BoxSettings
    receiver: BoxReceiver


@dataclass(frozen=True)
class BoxFacts:
    """What became of a camera's boxes. fault: why none can come, or what was wrong with the last message."""

    messages: MessageCounts
    matches: MatchCounts
    fault: str | None
    is_connected: bool


class BoxedSource(CameraSource):
    """Plays an address as `CameraSource` does, keeps its latest frames, and gives those for which boxes come.

    max_fps: frames kept per second, at most; each is copied, so that a second of 1080p takes 30 MiB at 10.

    Threads: as `CameraSource`; one more, `frames-ID`, keeps the frames, and the receiver's brings the boxes.
    """

    def __init__(
        self,
        uri: str,
        *,
        camera_id: str,
        supply: BoxSupply,
        max_fps: float,
        trust: Trust = ANY_KNOWN_AUTHORITY,
    ) -> None:
        super().__init__(uri, camera_id=camera_id, trust=trust)
        settings = supply.settings
        self._supply, self._step_s = supply, 1.0 / max_fps
        self._people = GivenPeople(settings, camera_id=camera_id)
        self._matching = threading.Condition()  # guards what follows
        self._matcher = BoxMatcher(max_apart_ns=int(settings.max_apart_ms * 1e6), keep_ns=int(settings.keep_s * 1e9))
        self._next: BoxedFrame | None = None
        self._given_s: deque[float] = deque()
        self._is_unmatched = False
        self._is_closing = threading.Event()
        self._keeper = threading.Thread(target=self._keep_frames, name=f"frames-{camera_id}", daemon=True)

    def start(self) -> None:
        """See `CameraSource.start`."""
        super().start()
        self._keeper.start()
        self._supply.receiver.watch(self._supply.settings.topic, self._take_message)

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """Take the next frame whose boxes are there, as a `BoxedFrame`; see `CameraSource.read`."""
        deadline_s = time.monotonic() + timeout_s
        while not self._has_next():
            if self.status().state == "disabled":
                raise StreamError(self.status().reason)
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            with self._matching:
                self._matching.wait(min(left_s, _POLL_S))
        with self._matching:
            given, self._next = self._next, None
            self._given_s.append(time.monotonic())
        return given

    def waiting_since_s(self) -> float | None:
        """Now, where a frame and its boxes are there: boxes come when they come, and all of them are looked at."""
        return time.monotonic() if self._has_next() else None

    def status(self) -> SourceStatus:
        """As `CameraSource.status`; frames_per_s: of frames that got boxes, lately."""
        return replace(super().status(), frames_per_s=self._rate())

    def facts(self) -> BoxFacts:
        """What became of the boxes until now."""
        fault = self._supply.receiver.fault
        return BoxFacts(self._people.counts, self._matcher.counts, fault or self._people.fault, fault is None)

    def close(self) -> None:
        """See `CameraSource.close`."""
        self._supply.receiver.forget(self._take_message)
        self._is_closing.set()
        super().close()
        if self._keeper.is_alive():
            self._keeper.join(1.0)

    def _take_message(self, payload: bytes) -> None:
        """Runs in the receiver's thread."""
        found = self._people.read(payload)
        with self._matching:
            for boxes in found:
                self._matcher.add_boxes(boxes, now_s=time.monotonic())
            self._matching.notify_all()

    def _keep_frames(self) -> None:
        """The thread: keep frames until the end."""
        due_s = 0.0
        while not self._is_closing.wait(max(0.0, due_s - time.monotonic())):
            try:
                frame = super().read(_POLL_S)
            except StreamError:
                return  # the status has the reason
            if frame is None:
                due_s = time.monotonic() + (_POLL_S if self._is_final() else 0.0)
                continue
            due_s = max(due_s + self._step_s, time.monotonic())
            with self._matching:
                self._matcher.add_frame(frame)
                self._matching.notify_all()

    def _has_next(self) -> bool:
        with self._matching:
            if self._next is None:
                self._next = self._matcher.next_frame(now_s=time.monotonic())
                self._judge(self._matcher.counts)
            return self._next is not None

    def _judge(self, counts: MatchCounts) -> None:
        """Say once, each way, whether boxes find their frames. The caller holds the lock."""
        if counts.matched + counts.without_frame < _LEAST_TO_JUDGE:
            return
        is_unmatched = counts.without_frame > counts.matched * (0.5 if self._is_unmatched else 1.0)
        if is_unmatched and not self._is_unmatched:
            logger.warning(
                "camera %s: %d of %d boxes had no frame within %g ms of their time; are the clocks of sender and "
                "camera set, and do offset_ms and keep_s fit?",
                self.camera_id,
                counts.without_frame,
                counts.matched + counts.without_frame,
                self._supply.settings.max_apart_ms,
            )
        self._is_unmatched = is_unmatched

    def _rate(self) -> float:
        with self._matching:
            while self._given_s and self._given_s[0] < time.monotonic() - _RATE_S:
                self._given_s.popleft()
            return len(self._given_s) / _RATE_S
