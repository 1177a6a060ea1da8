"""Frames to detections in worker threads: each has a detector of its own, and no camera has two frames in work.

A detector that gains by it, as on an accelerator, is given the frames of all cameras that wait, in one go.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, Queue, SimpleQueue

from edge_runtime.boxes.matching import BoxedFrame
from edge_runtime.camera.frame import Frame
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import StreamError
from edge_runtime.people.detector import Detection, Detector, detect_all, frames_at_once

_CLOSE_S = 2.0


@dataclass(frozen=True)
class Look:
    """The people of one frame. busy_s: how long a worker was busy with it, its share where it had several."""

    frame: Frame
    detections: tuple[Detection, ...]
    busy_s: float


@dataclass(frozen=True)
class FinishedLook:
    """What became of a look at a camera; None where it had no frame after all, or is disabled."""

    camera_id: str
    look: Look | None


class LookingPool:
    """Workers that look at the newest frames of cameras. Use it as a context manager.

    Looks of different cameras finish in any order, those of one camera in the order of its frames.

    Threads: one worker per detector, which alone uses it. One thread, in the daemon the main loop, calls `begin`,
    `collect` and `has_free_worker`; `longest_s` may be called from any thread.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.workers = len(detectors)
        self._places = sum(frames_at_once(detector) for detector in detectors)
        self._begun_s: dict[str, float] = {}
        self._orders: SimpleQueue[CameraSource | None] = SimpleQueue()
        # No SimpleQueue: its `get` waits for ever if a signal is handled while its timeout ends (CPython 3.11).
        self._results: Queue[FinishedLook | Exception] = Queue()
        # Daemon threads: a detector may take seconds for a large frame, and the process must be able to end before.
        self._threads = [
            threading.Thread(target=self._work, args=(detector,), name=f"looking-{number}", daemon=True)
            for number, detector in enumerate(detectors)
        ]

    def __enter__(self) -> "LookingPool":
        """Start the workers."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the workers; one that is busy ends with its frame, and is waited for 2 s at most."""
        for _thread in self._threads:
            self._orders.put(None)
        deadline_s = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def has_free_worker(self) -> bool:
        """Whether `begin` would find a worker that is not busy, or one that takes several frames."""
        return len(self._begun_s) < self._places

    def is_looking_at(self, camera_id: str) -> bool:
        """Whether a look at this camera has begun and was not collected yet."""
        return camera_id in self._begun_s

    def begin(self, source: CameraSource) -> None:
        """Look at the newest frame of a camera; it must not be looked at already."""
        assert not self.is_looking_at(source.camera_id), "one frame of a camera at a time"
        self._begun_s[source.camera_id] = time.monotonic()
        self._orders.put(source)

    def collect(self, timeout_s: float) -> list[FinishedLook]:
        """Take all finished looks, waiting up to `timeout_s` for the first one.

        Raises:
            Exception: whatever a detector raised.
        """
        finished: list[FinishedLook] = []
        try:
            finished.append(self._take(timeout_s))
            while True:
                finished.append(self._take(0.0))
        except Empty:
            return finished

    def longest_s(self) -> float:
        """How long the longest look that has not finished has taken until now; 0 if there is none."""
        now_s = time.monotonic()
        return max((now_s - begun_s for begun_s in list(self._begun_s.values())), default=0.0)

    def _take(self, timeout_s: float) -> FinishedLook:
        result = self._results.get(block=timeout_s > 0, timeout=timeout_s or None)
        if isinstance(result, Exception):
            raise result
        del self._begun_s[result.camera_id]
        return result

    def _work(self, detector: Detector) -> None:
        """A worker's thread. An exception ends it, and is raised again in the main loop."""
        try:
            while sources := self._next_sources(frames_at_once(detector)):
                for finished in _look(sources, detector):
                    self._results.put(finished)
        except Exception as error:
            self._results.put(error)

    def _next_sources(self, most: int) -> list[CameraSource]:
        """Wait for an order, and take the others that are there. Returns none when the worker is to stop."""
        sources: list[CameraSource] = []
        with contextlib.suppress(Empty):
            while len(sources) < most:
                source = self._orders.get(block=not sources)
                if source is None:
                    if sources:
                        self._orders.put(None)
                    break
                sources.append(source)
        return sources


def _look(sources: Sequence[CameraSource], detector: Detector) -> list[FinishedLook]:
    began_s = time.monotonic()
    frames = {source.camera_id: frame for source in sources if (frame := _read(source))}
    found = _find_people(list(frames.values()), detector)
    busy_s = (time.monotonic() - began_s) / max(len(frames), 1)
    looks = {
        id_: Look(frame, tuple(people), busy_s) for (id_, frame), people in zip(frames.items(), found, strict=True)
    }
    return [FinishedLook(source.camera_id, looks.get(source.camera_id)) for source in sources]


def _find_people(frames: Sequence[Frame], detector: Detector) -> list[Sequence[Detection]]:
    """The people of each frame: those that came with it, else those that the detector finds."""
    seen = iter(detect_all(detector, [frame.pixels for frame in frames if not isinstance(frame, BoxedFrame)]))
    return [frame.people if isinstance(frame, BoxedFrame) else next(seen) for frame in frames]


def _read(source: CameraSource) -> Frame | None:
    try:
        return source.read()
    except StreamError:
        return None  # the status of the source has the reason
