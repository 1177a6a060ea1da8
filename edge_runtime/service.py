"""The daemon's main loop: frames of all cameras -> people -> one batch through the engine -> messages to the link."""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edge_runtime.contract.errors import StreamError
from edge_runtime.engine.engine import Engine
from edge_runtime.link.messages import CameraStatus, Message
from edge_runtime.link.publisher import Publisher
from edge_runtime.stream import CameraStream, Sighting

_IDLE_S = 0.005
_STATUS_S = 1.0
_METRICS_S = 30.0
_STUCK_S = 30.0


@dataclass(frozen=True)
class RunSummary:
    """Totals of a run, over all cameras. Latency is from capture to the broker's acknowledgement, of live messages."""

    frames: int
    frames_dropped: int
    people: int
    tracks: int
    descriptors: int
    delivered: int
    waiting: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    resident_mib: float
    start_to_first_message_s: float | None


class Service:
    """Runs the main loop over all cameras. Whoever made the parts closes them afterwards.

    started_s: monotonic time at which the process began, for `start_to_first_message_s`.

    Threads: `run` occupies the calling thread, which alone uses streams and engine. `is_looping`, `live_cameras` and
    `summary` may be called from any thread; the health server calls them from its own. `stop` may be set from any
    thread or a signal handler.
    """

    def __init__(
        self, streams: Sequence[CameraStream], *, engine: Engine, publisher: Publisher, started_s: float
    ) -> None:
        self.streams = tuple(streams)
        self._engine = engine
        self._publisher = publisher
        self._started_s = started_s
        self._first_message_s: float | None = None
        self._published: dict[str, CameraStatus] = {}
        self._latest_step_s = time.monotonic()
        self._next_status_s = 0.0
        self._next_metrics_s = time.monotonic() + _METRICS_S

    def run(self, stop: threading.Event) -> None:
        """Find people, describe them and publish, until `stop` is set or every camera has ended.

        Raises:
            StreamError: after the end, if a camera was disabled at the start or later.
            EngineError: the engine failed.
        """
        for stream in self.streams:
            with contextlib.suppress(StreamError):  # its status has the reason; the other cameras go on
                stream.source.start()
        running = list(self.streams)
        while running and not stop.is_set():
            self._latest_step_s = time.monotonic()
            has_frames = self._process_frames(running, stop)
            running = [stream for stream in running if not self._finish_if_ended(stream)]
            self._publish_statuses()
            self._publish_metrics()
            if not has_frames:
                stop.wait(_IDLE_S)
        for stream in running:
            self._publish(stream, stream.end_tracks())
        states = [(stream.camera_id, stream.source.status()) for stream in self.streams]
        if faults := [f"camera {id_}: {status.reason}" for id_, status in states if status.state == "disabled"]:
            raise StreamError("; ".join(faults))

    def is_looping(self) -> bool:
        """Whether the loop has begun a new step within the last 30 s; if not, it is stuck."""
        return time.monotonic() - self._latest_step_s < _STUCK_S

    def live_cameras(self) -> int:
        """Number of cameras that give frames now."""
        return sum(stream.source.status().state == "live" for stream in self.streams)

    def summary(self) -> RunSummary:
        """Totals until now."""
        counts = [stream.counts for stream in self.streams]
        facts = self._publisher.facts()
        return RunSummary(
            frames=sum(count.frames for count in counts),
            frames_dropped=sum(stream.source.status().dropped for stream in self.streams),
            people=sum(count.people for count in counts),
            tracks=sum(count.tracks for count in counts),
            descriptors=sum(count.descriptors for count in counts),
            delivered=facts.counts.delivered,
            waiting=facts.waiting,
            latency_p50_ms=facts.counts.latency_p50_ms,
            latency_p95_ms=facts.counts.latency_p95_ms,
            resident_mib=resident_mib(),
            start_to_first_message_s=self._first_message_s,
        )

    def _process_frames(self, streams: Sequence[CameraStream], stop: threading.Event) -> bool:
        """Take one frame of each camera that has one, and publish its people. Returns whether there was any frame."""
        sightings: list[tuple[CameraStream, Sighting]] = []
        for stream in streams:
            if stop.is_set():
                break  # a detector may take seconds for a large picture, and there may be many cameras
            with contextlib.suppress(StreamError):  # its status has the reason
                if sighting := stream.next_sighting():
                    sightings.append((stream, sighting))
        if not sightings:
            return False
        descriptors = self._engine.describe(np.concatenate([sighting.crops for _, sighting in sightings]))
        ends = np.cumsum([len(sighting.crops) for _, sighting in sightings])
        for (stream, sighting), rows in zip(sightings, np.split(descriptors, ends[:-1]), strict=True):
            self._publish(stream, stream.make_messages(sighting, rows))
        return True

    def _finish_if_ended(self, stream: CameraStream) -> bool:
        """Whether a camera gives no more frames; its tracks are then ended and its last status is published."""
        if stream.source.status().state not in ("ended", "disabled"):
            return False
        self._publish(stream, stream.end_tracks())
        self._publish_camera_status(stream)
        return True

    def _publish(self, stream: CameraStream, messages: Sequence[Message]) -> None:
        if messages:
            self._publisher.publish(stream.camera_id, messages)
            self._first_message_s = self._first_message_s or time.monotonic() - self._started_s

    def _publish_statuses(self) -> None:
        """Once a second: publish the state of each camera where it changed, and end the tracks of a lost camera."""
        now_s = time.monotonic()
        if now_s < self._next_status_s:
            return
        self._next_status_s = now_s + _STATUS_S
        for stream in self.streams:
            self._publish(stream, stream.end_tracks_if_lost())
            self._publish_camera_status(stream)

    def _publish_metrics(self) -> None:
        """Every 30 s: publish the summary."""
        now_s = time.monotonic()
        if now_s < self._next_metrics_s:
            return
        self._next_metrics_s = now_s + _METRICS_S
        self._publisher.publish_metrics(asdict(self.summary()))

    def _publish_camera_status(self, stream: CameraStream) -> None:
        source = stream.source.status()
        state = "disabled" if source.state == "ended" else source.state
        status = CameraStatus(state=state, why=source.reason)
        if self._published.get(stream.camera_id) != status:
            self._published[stream.camera_id] = status
            self._publisher.publish_camera_status(stream.camera_id, status)


def resident_mib() -> float:
    """Memory of this process that is in RAM now."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
