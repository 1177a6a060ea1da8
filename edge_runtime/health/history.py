"""Since when each camera is as it is, and how many people it has shown lately."""

import threading
import time
from collections import deque
from dataclasses import dataclass, field

from edge_runtime.camera.frame import SourceState
from edge_runtime.service import Service
from edge_runtime.streams.stream import CameraStream

STEP_S = 10.0
"""Each figure of `people_lately` is the most people at one moment of so many seconds."""

_STEPS = 60
_LOOK_S = 1.0


@dataclass
class CameraHistory:
    """One camera. state, reason: of its source. since_s: monotonic time at which they were seen first."""

    state: SourceState
    reason: str
    since_s: float
    people_lately: deque[int] = field(default_factory=lambda: deque([0], maxlen=_STEPS))


class CameraHistories:
    """Looks at all cameras of a service once a second inside its `with` block. Memory is bounded.

    Threads: one of its own, named `history`; `of` may be called from any.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._by_stream: dict[CameraStream, CameraHistory] = {}
        self._mutex = threading.Lock()
        self._step_ends_s = time.monotonic() + STEP_S
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def __enter__(self) -> "CameraHistories":
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End, and wait for the thread."""
        self._closing.set()
        self._thread.join()

    def of(self, stream: CameraStream) -> CameraHistory:
        """The history of a camera up to now: a copy."""
        with self._mutex:
            history = self._note(stream, time.monotonic())
            return CameraHistory(history.state, history.reason, history.since_s, history.people_lately.copy())

    def note(self) -> None:
        """Look at all cameras once."""
        now_s = time.monotonic()
        with self._mutex:
            if now_s >= self._step_ends_s:
                self._step_ends_s = now_s + STEP_S
                for history in self._by_stream.values():
                    history.people_lately.append(0)
            streams = self._service.streams
            for stream in streams:
                self._note(stream, now_s)
            self._by_stream = {stream: one for stream, one in self._by_stream.items() if stream in streams}

    def _note(self, stream: CameraStream, now_s: float) -> CameraHistory:
        status = stream.source.status()
        history = self._by_stream.setdefault(stream, CameraHistory(status.state, status.reason, now_s))
        if (history.state, history.reason) != (status.state, status.reason):
            history.state, history.reason, history.since_s = status.state, status.reason, now_s
        history.people_lately[-1] = max(history.people_lately[-1], people_now(stream))
        return history

    def _run(self) -> None:
        while not self._closing.wait(_LOOK_S):
            self.note()


def people_now(stream: CameraStream) -> int:
    """How many people are followed in a camera's picture now; 0 while it gives none."""
    if stream.source.status().state != "live":
        return 0
    return sum(track.state == "confirmed" for track in stream.tracks)
