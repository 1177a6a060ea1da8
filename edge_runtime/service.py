"""The daemon's main loop: looks that workers have finished -> one batch through the engine -> messages to the link."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from edge_runtime.contract.errors import StreamError
from edge_runtime.engine.engine import Engine
from edge_runtime.link.messages import CameraStatus, Message
from edge_runtime.link.publisher import Publisher
from edge_runtime.people.detector import Detector
from edge_runtime.streams.looking import FinishedLook, LookingPool
from edge_runtime.streams.pace import LEAST_LOOKS_PER_S, LookRates, choose_next
from edge_runtime.streams.pair_maker import PairMaker
from edge_runtime.streams.stream import CameraStream, StreamCounts

logger = logging.getLogger(__name__)

_IDLE_S = 0.005
_STATUS_S = 1.0
_METRICS_S = 30.0
_STUCK_S = 30.0


@dataclass(frozen=True)
class RunSummary:
    """Totals of a run, over all cameras, also those that are gone.

    Latency is from capture to the broker's acknowledgement, of live messages.

    looks: of each camera that is not gone, per second while it was live.
    """

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
    looks: dict[str, LookRates]


class Service:
    """Runs the main loop over all cameras. Whoever made the parts closes them afterwards.

    streams: of all cameras; they may change while it runs, see `exchange`.
    detectors: one per worker, which alone uses it while `run` runs.
    started_s: monotonic time at which the process began, for `start_to_first_message_s`.
    faster_detector: what an operator may use where looking is too slow, in words.
    pairs: describes with a second model what the streams note; None: there is none.

    engine: whoever is not the main loop reads `manifest` and `backend` of it only.
    stage_s: seconds that each stage has taken since the start, over all cameras; of looking those of all workers.

    Threads: `run` occupies the calling thread, which alone uses streams and engine and calls `exchange`. `is_looping`,
    `live_cameras`, `too_slow`, `uptime_s` and `summary` may be called from any thread; the health server calls them
    from its own. `stop` may be set from any thread or a signal handler.
    """

    def __init__(
        self,
        streams: Sequence[CameraStream],
        *,
        detectors: Sequence[Detector],
        engine: Engine,
        publisher: Publisher,
        started_s: float,
        faster_detector: str = "a detector model",
        pairs: PairMaker | None = None,
    ) -> None:
        self.streams = tuple(streams)
        self._running = list(streams)  # without those that have ended or leave
        self._leaving: dict[CameraStream, threading.Thread] = {}  # and what closes their sources
        self._coming: list[CameraStream] = []
        self._past, self._past_dropped = StreamCounts(0, 0, 0, 0, 0), 0  # of cameras that are gone
        self._pool = LookingPool(detectors)
        self._faster_detector = faster_detector
        self.engine, self._pairs = engine, pairs
        self._publisher = publisher
        self.stage_s = {"look": 0.0, "describe": 0.0, "follow": 0.0}
        self._started_s = started_s
        self._first_message_s: float | None = None
        self._published: dict[str, CameraStatus] = {}
        self._slowness: dict[str, str] = {}  # of cameras that get too few looks, as their status tells it
        self._latest_step_s = time.monotonic()
        self._next_status_s = 0.0
        self._next_metrics_s = time.monotonic() + _METRICS_S

    def run(self, stop: threading.Event, *, before_step: Callable[[], None] = lambda: None) -> None:
        """Find people, describe them and publish, until `stop` is set or every camera has ended.

        before_step: is called before each step of the loop.

        Raises:
            StreamError: after the end of every camera, if one was disabled at the start or later.
            EngineError: the engine failed.
        """
        for stream in self.streams:
            _start(stream)
        with self._pool:
            while (self._running or self._leaving or self._coming) and not stop.is_set():
                self._latest_step_s = time.monotonic()
                before_step()
                self._exchange_cameras()
                self._begin_looks(self._running, stop)
                self._publish_people(self._pool.collect(_IDLE_S))
                self._running = [stream for stream in self._running if not self._finish_if_ended(stream)]
                self._publish_statuses()
                self._publish_metrics()
        for stream in [*self._running, *self._leaving]:
            self._end_tracks(stream)
        if stop.is_set():
            return
        states = [(stream.camera_id, stream.source.status()) for stream in self.streams]
        if faults := [f"camera {id_}: {status.reason}" for id_, status in states if status.state == "disabled"]:
            raise StreamError("; ".join(faults))

    def exchange(self, *, leaving: Collection[str], coming: Sequence[CameraStream]) -> None:
        """Let some cameras leave and others come, while the rest goes on; for the thread of `run`.

        leaving: ids of cameras. A camera that comes under the id of one that leaves starts when that one is closed.
        """
        self._coming = [stream for stream in self._coming if stream.camera_id not in leaving] + list(coming)
        for stream in self.streams:
            if stream.camera_id in leaving and stream not in self._leaving:
                # Closing a source may take 2 s, for which the others must not wait.
                closing = threading.Thread(target=stream.source.close, name=f"closing-{stream.camera_id}", daemon=True)
                closing.start()
                self._leaving[stream] = closing
        self._running = [stream for stream in self._running if stream not in self._leaving]

    def is_looping(self) -> bool:
        """Whether the loop has begun a new step, and each detector has finished its look, within the last 30 s."""
        return max(time.monotonic() - self._latest_step_s, self._pool.longest_s()) < _STUCK_S

    def live_cameras(self) -> int:
        """Number of cameras that give frames now."""
        return sum(stream.source.status().state == "live" for stream in self.streams)

    def too_slow(self, stream: CameraStream) -> str | None:
        """Why the people of a camera cannot be followed, and what to do; None while it gets looks enough."""
        pace = stream.pace
        if not pace.is_too_slow:
            return None
        remedies = [self._faster_detector, "fewer cameras"]
        if pace.max_fps > LEAST_LOOKS_PER_S:
            remedies.append(f"max_fps {LEAST_LOOKS_PER_S:g}")
        *others, last = remedies
        return f"too slow: {pace.rates}; use {', '.join(others)} or {last}"

    def summary(self) -> RunSummary:
        """Totals until now."""
        counts = [self._past, *(stream.counts for stream in self.streams)]
        facts = self._publisher.facts()
        return RunSummary(
            frames=sum(count.frames for count in counts),
            frames_dropped=self._past_dropped + sum(stream.source.status().dropped for stream in self.streams),
            people=sum(count.people for count in counts),
            tracks=sum(count.tracks for count in counts),
            descriptors=sum(count.descriptors for count in counts),
            delivered=facts.counts.delivered,
            waiting=facts.waiting,
            latency_p50_ms=facts.counts.latency_p50_ms,
            latency_p95_ms=facts.counts.latency_p95_ms,
            resident_mib=resident_mib(),
            start_to_first_message_s=self._first_message_s,
            looks={stream.camera_id: stream.pace.mean_rates() for stream in self.streams},
        )

    def uptime_s(self) -> float:
        """Seconds since the process began."""
        return time.monotonic() - self._started_s

    def _exchange_cameras(self) -> None:
        """Forget cameras that leave as soon as they are closed, and start those that come and whose id is free."""
        for stream, closing in list(self._leaving.items()):
            if closing.is_alive() or self._pool.is_looking_at(stream.camera_id):
                continue
            self._end_tracks(stream)
            self._past += stream.counts
            self._past_dropped += stream.source.status().dropped
            self.streams = tuple(other for other in self.streams if other is not stream)
            del self._leaving[stream]
            self._slowness.pop(stream.camera_id, None)
            gone = CameraStatus(state="disabled", why="taken out of the configuration")
            if all(other.camera_id != stream.camera_id for other in self._coming):
                self._publisher.publish_camera_status(stream.camera_id, gone)
            self._published.pop(stream.camera_id, None)
        taken = {stream.camera_id for stream in self.streams}
        for stream in [stream for stream in self._coming if stream.camera_id not in taken]:
            self._coming.remove(stream)
            self.streams += (stream,)
            self._running.append(stream)
            _start(stream)

    def _begin_looks(self, streams: Sequence[CameraStream], stop: threading.Event) -> None:
        """Give free workers the cameras that have a frame to look at, by fair shares."""
        waiting = {}
        for stream in streams:
            arrival_s = stream.source.waiting_since_s()
            if arrival_s is None or self._pool.is_looking_at(stream.camera_id) or not stream.pace.is_due(arrival_s):
                continue
            waiting[stream.pace] = stream, arrival_s
        everyone = [stream.pace for stream in streams]
        while waiting and self._pool.has_free_worker() and not stop.is_set():
            pace = choose_next(list(waiting), everyone, workers=self._pool.workers)
            if pace is None:
                return
            stream, arrival_s = waiting.pop(pace)
            pace.note_begin(arrival_s)
            self._pool.begin(stream.source)

    def _publish_people(self, finished: Sequence[FinishedLook]) -> None:
        """Describe people of frames that were looked at in one batch, follow them, and publish."""
        by_id = {stream.camera_id: stream for stream in self.streams}
        streams = [(by_id[one.camera_id], one.look) for one in finished]
        sightings = [(stream, stream.sight(look)) for stream, look in streams if look is not None]
        if not sightings:
            return
        self.stage_s["look"] += sum(sighting.look.busy_s for _, sighting in sightings)
        begun_s = time.monotonic()
        descriptors = self.engine.describe(np.concatenate([sighting.crops for _, sighting in sightings]))
        described_s = time.monotonic()
        self.stage_s["describe"] += described_s - begun_s
        ends = np.cumsum([len(sighting.crops) for _, sighting in sightings])
        for (stream, sighting), rows in zip(sightings, np.split(descriptors, ends[:-1]), strict=True):
            self._publish(stream, stream.follow(sighting, rows))
        self.stage_s["follow"] += time.monotonic() - described_s
        self._publish_pairs()

    def _finish_if_ended(self, stream: CameraStream) -> bool:
        """Whether a camera gives no more frames; its tracks are then ended and its last status is published."""
        if self._pool.is_looking_at(stream.camera_id) or stream.source.status().state not in ("ended", "disabled"):
            return False
        self._end_tracks(stream)
        self._publish_camera_status(stream)
        return True

    def _end_tracks(self, stream: CameraStream) -> None:
        self._publish(stream, stream.end_tracks(self.engine.describe(stream.last_crops())))
        self._publish_pairs()

    def _publish_pairs(self) -> None:
        """Describe with the second model what was told just now."""
        for camera_id, message in self._pairs.describe() if self._pairs else ():
            self._publisher.publish(camera_id, [message])

    def _publish(self, stream: CameraStream, messages: Sequence[Message]) -> None:
        if messages:
            self._publisher.publish(stream.camera_id, messages)
            stream.latest_message_s = time.monotonic()
            self._first_message_s = self._first_message_s or time.monotonic() - self._started_s

    def _publish_statuses(self) -> None:
        """Once a second: judge the looks of each camera, publish its state, and end the tracks of a lost one."""
        now_s = time.monotonic()
        if now_s < self._next_status_s:
            return
        self._next_status_s = now_s + _STATUS_S
        for stream in self.streams:
            self._judge_looks(stream)
            if stream.is_lost():
                self._end_tracks(stream)
            self._publish_camera_status(stream)

    def _judge_looks(self, stream: CameraStream) -> None:
        """Log when a camera begins, or no longer has, to get too few looks."""
        status, pace = stream.source.status(), stream.pace
        if not pace.judge(is_live=status.state == "live", frames_per_s=status.frames_per_s):
            return
        if pace.is_behind:
            reason = self.too_slow(stream) or f"gets {pace.rates}: this machine has no time for more"
            logger.warning("camera %s %s", stream.camera_id, reason)
            self._slowness[stream.camera_id] = reason
            return
        del self._slowness[stream.camera_id]
        if status.state == "live":
            logger.info("camera %s gets looks enough again: %s", stream.camera_id, pace.rates)

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
        status = CameraStatus(state=state, why=source.reason or self._slowness.get(stream.camera_id, ""))
        if self._published.get(stream.camera_id) != status:
            self._published[stream.camera_id] = status
            self._publisher.publish_camera_status(stream.camera_id, status)


def _start(stream: CameraStream) -> None:
    with contextlib.suppress(StreamError):  # its status has the reason; the other cameras go on
        stream.source.start()


def resident_mib() -> float:
    """Memory of this process that is in RAM now."""
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
