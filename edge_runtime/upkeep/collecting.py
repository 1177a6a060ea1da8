"""Looks at cameras or clips for a while and keeps crops of their people: the daemon's way, without its broker."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from edge_runtime.camera.frame import Frame
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import DataError, StreamError
from edge_runtime.engine.catalog import EngineSettings, open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.people.catalog import DetectorSettings, log_detector, open_detector, open_tracker
from edge_runtime.people.detector import Detector
from edge_runtime.streams.looking import Look
from edge_runtime.streams.site_keeper import SiteKeeper
from edge_runtime.streams.stream import CameraStream, DescriptorSettings, LookSettings, MomentUses

_EVERY_S = 0.5
_MAX_FPS = 10.0
_FIRST_FRAME_S = 25.0
_WAIT_S = 0.02


@dataclass(frozen=True)
class CollectingParts:
    """What finds people and tells them apart: detector and network, and how many threads of the CPU each may use."""

    detector: DetectorSettings
    engine: EngineSettings
    threads: int


def collect_people(
    sources: Sequence[CameraSource],
    *,
    keeper: SiteKeeper,
    parts: CollectingParts,
    seconds: float,
    progress: Callable[[], object] = lambda: None,
) -> None:
    """Look at all sources until each has shown so many seconds of its own time, or has ended.

    A clip is played as fast as it can be looked at, if its source is not paced. progress: called after each round.

    Raises:
        StreamError: a source is missing, damaged, or gives no frame.
        EngineError, ManifestError: detector or network cannot be used.
        DataError: crops cannot be written.
    """
    with ExitStack() as stack:
        engine = stack.enter_context(
            open_engine(parts.engine.model, backend=parts.engine.backend, threads=parts.threads)
        )
        detector = open_detector(parts.detector, threads=parts.threads)
        log_detector(parts.detector, detector, remedy="give --detector FILE.onnx")
        running = [
            _WatchedCamera(stack.enter_context(source), detector, engine=engine, keeper=keeper) for source in sources
        ]
        while running:
            has_looked = [camera.look() for camera in running]
            if keeper.fault is not None:
                raise DataError(f"cannot keep crops in {keeper.settings.path}: {keeper.fault}; make room there")
            running = [camera for camera in running if not camera.is_over(seconds)]
            progress()
            if not any(has_looked):
                time.sleep(_WAIT_S)


class _WatchedCamera:
    """One source, and the people who are followed in it."""

    def __init__(self, source: CameraSource, detector: Detector, *, engine: Engine, keeper: SiteKeeper) -> None:
        self._source, self._detector, self._engine = source, detector, engine
        self._stream = CameraStream(
            source,
            tracker=open_tracker(sure_score=detector.sure_score),
            sure_score=detector.sure_score,
            manifest=engine.manifest,
            settings=DescriptorSettings(every_s=_EVERY_S),
            looks=LookSettings(_MAX_FPS),
            uses=MomentUses(keeper),
        )
        self._began_s = time.monotonic()
        self._first_ns: int | None = None
        self._latest_ns = 0

    def look(self) -> bool:
        """Take the newest frame and look at it if one is due. Returns whether there was a frame.

        Raises:
            StreamError: there is none, for good.
        """
        frame = self._source.read()
        if frame is None:
            if self._first_ns is None and time.monotonic() - self._began_s > _FIRST_FRAME_S:
                raise StreamError(f"camera {self._source.camera_id} gave no frame: {self._source.status().reason}")
            return False
        if self._first_ns is None:
            self._first_ns, self._began_s = frame.monotonic_ns, time.monotonic()
        if frame.monotonic_ns - self._latest_ns >= 0.95e9 / _MAX_FPS:
            self._latest_ns = frame.monotonic_ns
            self._follow(frame)
        return True

    def is_over(self, seconds: float) -> bool:
        """Whether so many seconds were seen, or the source has ended; what was held until now is then kept."""
        is_seen = self._first_ns is not None and self._latest_ns - self._first_ns >= seconds * 1e9
        is_late = self._first_ns is not None and time.monotonic() - self._began_s > seconds + _FIRST_FRAME_S
        is_over = is_seen or is_late or self._source.status().state == "ended"
        if is_over:
            self._stream.end_tracks(self._engine.describe(self._stream.last_crops()))
            self._source.close()
        return is_over

    def _follow(self, frame: Frame) -> None:
        began_s = time.monotonic()
        people = tuple(self._detector.detect(frame.pixels))
        sighting = self._stream.sight(Look(frame, people, time.monotonic() - began_s))
        self._stream.follow(sighting, self._engine.describe(sighting.crops))
