"""The daemon's loop: cameras -> people -> one batch through the engine -> the link. It is given its parts."""

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
class Summary:
    """What a run did, over all cameras. Latency is from capture to the broker's acknowledgement, of live messages."""

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
    """Runs until it is asked to stop or every camera has ended. The parts stay their owner's, to be closed after.

    started_s: monotonic time at which the process began, for `start_to_first_message_s`.
    """

    def __init__(
        self, streams: Sequence[CameraStream], *, engine: Engine, publisher: Publisher, started_s: float
    ) -> None:
        self.streams = tuple(streams)
        self._engine = engine
        self._publisher = publisher
        self._started_s = started_s
        self._first_message_s: float | None = None
        self._told: dict[str, CameraStatus] = {}
        self._moved_s = time.monotonic()
        self._status_s = 0.0
        self._metrics_s = time.monotonic() + _METRICS_S

    def run(self, stop: threading.Event) -> None:
        """Look, describe and publish until `stop` is set or every camera has ended.

        Raises:
            StreamError: after the end: a camera was disabled, from the start or on the way.
            PublishError: messages could not be spooled.
            EngineError: the engine failed.
        """
        for stream in self.streams:
            with contextlib.suppress(StreamError):  # its status says so, too; the others go on
                stream.source.start()
        running = list(self.streams)
        while running and not stop.is_set():
            self._moved_s = time.monotonic()
            has_seen = self._step(running, stop)
            running = [stream for stream in running if not self._has_ended(stream)]
            self._tell()
            if not has_seen:
                stop.wait(_IDLE_S)
        for stream in running:
            self._publish(stream, stream.end())
        states = [(stream.camera_id, stream.source.status()) for stream in self.streams]
        if faults := [f"camera {id_}: {status.reason}" for id_, status in states if status.state == "disabled"]:
            raise StreamError("; ".join(faults))

    def is_moving(self) -> bool:
        """Whether the loop came round recently; one that did not is stuck."""
        return time.monotonic() - self._moved_s < _STUCK_S

    def live_cameras(self) -> int:
        """How many cameras give frames now."""
        return sum(stream.source.status().state == "live" for stream in self.streams)

    def summary(self) -> Summary:
        """What was done so far."""
        counts = [stream.counts for stream in self.streams]
        facts = self._publisher.facts()
        return Summary(
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

    def _step(self, streams: Sequence[CameraStream], stop: threading.Event) -> bool:
        """Look through every camera once. Returns whether any had a frame."""
        sightings: list[tuple[CameraStream, Sighting]] = []
        for stream in streams:
            if stop.is_set():
                break  # to look at a large picture takes seconds, which add up over the cameras
            with contextlib.suppress(StreamError):  # its status says so, too
                if sighting := stream.look():
                    sightings.append((stream, sighting))
        if not sightings:
            return False
        descriptors = self._engine.describe(np.concatenate([sighting.crops for _, sighting in sightings]))
        ends = np.cumsum([len(sighting.crops) for _, sighting in sightings])
        for (stream, sighting), rows in zip(sightings, np.split(descriptors, ends[:-1]), strict=True):
            self._publish(stream, stream.report(sighting, rows))
        return True

    def _has_ended(self, stream: CameraStream) -> bool:
        if stream.source.status().state not in ("ended", "disabled"):
            return False
        self._publish(stream, stream.end())
        self._tell_camera(stream)
        return True

    def _publish(self, stream: CameraStream, messages: Sequence[Message]) -> None:
        if messages:
            self._publisher.publish(stream.camera_id, messages)
            self._first_message_s = self._first_message_s or time.monotonic() - self._started_s

    def _tell(self) -> None:
        """Tell the broker how the cameras are and who was lost with one, and the figures now and then."""
        now_s = time.monotonic()
        if now_s >= self._status_s:
            self._status_s = now_s + _STATUS_S
            for stream in self.streams:
                self._publish(stream, stream.end_lost())
                self._tell_camera(stream)
        if now_s >= self._metrics_s:
            self._metrics_s = now_s + _METRICS_S
            self._publisher.spool.tidy()  # nothing else does while nobody is seen and the broker is away
            self._publisher.publish_metrics(asdict(self.summary()))

    def _tell_camera(self, stream: CameraStream) -> None:
        source = stream.source.status()
        state = "disabled" if source.state == "ended" else source.state
        status = CameraStatus(state=state, why=source.reason)
        if self._told.get(stream.camera_id) != status:
            self._told[stream.camera_id] = status
            self._publisher.publish_camera_status(stream.camera_id, status)


def resident_mib() -> float:
    """Memory of this process that is in RAM now, in MiB."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
