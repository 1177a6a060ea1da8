"""The checks and figures that the health server shows."""

from collections.abc import Callable

from edge_runtime.health.board import read_is_throttled, read_power, read_temperatures
from edge_runtime.health.box_checks import box_figures, check_boxes
from edge_runtime.health.build_info import model_names, read_version
from edge_runtime.health.server import Check, Distribution, Figure
from edge_runtime.link.counters import LATENCY_BOUNDS_S
from edge_runtime.link.publisher import Publisher
from edge_runtime.service import Service, resident_mib
from edge_runtime.streams.stream import CameraStream

CLOCK_STATES = {True: "synchronised", False: "NOT synchronised: capture times may be wrong", None: "state unknown"}


class HealthChecks:
    """Checks and figures of a running daemon, read from its service and publisher.

    refusal: why a changed configuration was refused, None if it was not.
    Thread-safe: the threads of the health server call all methods.
    """

    def __init__(
        self, service: Service, publisher: Publisher, *, refusal: Callable[[], str | None] = lambda: None
    ) -> None:
        self._service = service
        self._publisher = publisher
        self._refusal = refusal

    def liveness(self) -> list[Check]:
        """Whether the process works at all; if not, it should be restarted."""
        return [Check("loop", self._service.is_looping(), "the main loop is running")]

    def readiness(self) -> list[Check]:
        """Whether it does its work: at least one camera is live, the disk can be written, no other machine uses our
        name, and each live camera is looked at often enough to follow people.

        A broker that cannot be reached is no failure: messages stay in the spool until it can. Nor is a configuration
        that was refused: the one before is at work.
        """
        live, all_cameras = self._service.live_cameras(), len(self._service.streams)
        facts = self._publisher.facts()
        broker = "connected" if facts.is_connected else f"not connected, spooling: {facts.fault or 'connecting'}"
        taken_over = "; another machine uses the name of this node" if facts.is_taken_over else ""
        spool = f"{facts.waiting} messages to deliver, {sum(facts.dropped.values())} given up"
        if facts.spool_hours is not None:
            spool += f", lasts {facts.spool_hours:.1f} h without a broker"
        return [
            self._engine_check(),
            Check("cameras", live > 0, "; ".join([f"{live} of {all_cameras} live", *self._absent_cameras()])),
            Check("link", not facts.is_taken_over, f"broker {broker}{taken_over}"),
            Check("clock", True, CLOCK_STATES[facts.clock.is_synchronised]),
            Check("spool", facts.spool_fault is None, f"{spool}; {facts.spool_fault or 'the disk can be written'}"),
            Check("configuration", True, _tell_refusal(self._refusal())),
            *(self._check_looks(stream) for stream in self._service.streams),
            *check_boxes([stream.source for stream in self._service.streams]),
        ]

    def _engine_check(self) -> Check:
        """Always well, since nothing runs without an engine: an install reads here which one it is."""
        engine = self._service.engine
        manifest = engine.manifest
        what = f"{manifest.model_id} ({manifest.build.precision}) on {engine.backend}"
        return Check("engine", True, f"{what}, {name_file(manifest.artefact.sha256)}")

    def _absent_cameras(self) -> list[str]:
        states = [(stream.camera_id, stream.source.status()) for stream in self._service.streams]
        return [f"{id_} {status.state}: {status.reason}" for id_, status in states if status.state != "live"]

    def _check_looks(self, stream: CameraStream) -> Check:
        fault = self._service.too_slow(stream)
        return Check(f"looks at {stream.camera_id}", fault is None, fault or str(stream.pace.rates))

    def figures(self) -> list[Figure]:
        """All figures, at this moment."""
        return [
            *self._camera_figures(),
            *self._link_figures(),
            *self._clock_figures(),
            *self._stage_figures(),
            *_board_figures(),
            self._configuration(),
            self._build(),
            _memory(),
        ]

    def distributions(self) -> list[Distribution]:
        """All figures that are counted by classes, at this moment."""
        counts = self._publisher.facts().counts
        what = "capture to acknowledgement, live messages"
        classes, total_s = counts.latency_classes, counts.latency_sum_s
        return [Distribution("reid_latency_seconds", what, LATENCY_BOUNDS_S, counts=classes, total=total_s)]

    def _camera_figures(self) -> list[Figure]:
        figures = []
        for stream in self._service.streams:
            status, labels = stream.source.status(), {"camera": stream.camera_id}
            counts, rates = stream.counts, stream.pace.rates
            figures += [
                Figure("reid_camera_live", "gauge", "1 while frames arrive", status.state == "live", labels),
                Figure("reid_frames_received_total", "counter", "frames decoded", status.frames, labels),
                Figure("reid_frames_dropped_total", "counter", "frames replaced by newer ones", status.dropped, labels),
                Figure("reid_frames_total", "counter", "frames looked at", counts.frames, labels),
                Figure("reid_looks_wanted_per_second", "gauge", "looks it should get", rates.wanted, labels),
                Figure("reid_looks_per_second", "gauge", "looks it has got lately", rates.got, labels),
                Figure("reid_reconnects_total", "counter", "reconnections of the camera", status.reconnects, labels),
                Figure("reid_tracks_total", "counter", "tracks of people", counts.tracks, labels),
                Figure("reid_descriptors_total", "counter", "descriptors told", counts.descriptors, labels),
                Figure("reid_crops_described_total", "counter", "crops described", counts.described, labels),
            ]
            if stream.sensitivity is not None:
                what = "how well descriptors tell people apart (d'); below 1 they do not help to follow them"
                figures.append(Figure("reid_descriptor_sensitivity", "gauge", what, stream.sensitivity, labels))
            figures += _zone_figures(stream)
            figures += box_figures(stream.source)
        return figures

    def _configuration(self) -> Figure:
        what = "1 while the configuration file, as it was read last, is at work"
        return Figure("reid_configuration_taken", "gauge", what, self._refusal() is None)

    def _link_figures(self) -> list[Figure]:
        facts = self._publisher.facts()
        counts = facts.counts
        figures = [
            Figure("reid_broker_connected", "gauge", "1 while the broker is connected", facts.is_connected),
            Figure("reid_name_disputed", "gauge", "1 while another machine uses our name", facts.is_taken_over),
            Figure("reid_messages_total", "counter", "messages that were numbered", counts.accepted),
            Figure("reid_messages_spooled_total", "counter", "messages written to the disk", facts.spooled),
            Figure("reid_spool_writable", "gauge", "1 while the disk can be written", facts.spool_fault is None),
            Figure("reid_messages_delivered_total", "counter", "messages the broker acknowledged", counts.delivered),
            Figure("reid_messages_refused_total", "counter", "messages the broker refused", counts.refused),
            Figure("reid_messages_waiting", "gauge", "messages to deliver", facts.waiting),
            Figure("reid_spool_bytes", "gauge", "disk used by the spool", facts.spool_bytes),
        ]
        if (age_s := self._publisher.oldest_age_s()) is not None:
            what = "age of the oldest message to deliver"
            figures.append(Figure("reid_oldest_message_age_seconds", "gauge", what, age_s))
        if facts.spool_hours is not None:
            what = "how long the spool lasts without a broker, at the rate since the start"
            figures.append(Figure("reid_spool_lasts_seconds", "gauge", what, facts.spool_hours * 3600))
        for reason, count in facts.dropped.items():
            labels = {"reason": reason}
            figures.append(Figure("reid_messages_dropped_total", "counter", "messages dropped", count, labels))
        return figures

    def _clock_figures(self) -> list[Figure]:
        clock = self._publisher.facts().clock
        told = (
            ("reid_clock_synchronised", "1 while somebody who knows the time sets the clock", clock.is_synchronised),
            ("reid_clock_offset_seconds", "what is still corrected of the clock", clock.offset_s),
            ("reid_clock_uncertainty_seconds", "the largest error that is possible", clock.uncertainty_s),
        )
        return [Figure(name, "gauge", what, value) for name, what, value in told if value is not None]

    def _stage_figures(self) -> list[Figure]:
        what = "seconds spent on looking at frames (of all workers), describing people, and following them"
        return [
            Figure("reid_stage_seconds_total", "counter", what, seconds, {"stage": stage})
            for stage, seconds in self._service.stage_s.items()
        ]

    def _build(self) -> Figure:
        labels = {"version": read_version(), **model_names(self._service)}
        return Figure("reid_build_info", "gauge", "always 1; what runs is in the labels", 1, labels)


def _board_figures() -> list[Figure]:
    figures = [
        Figure("reid_temperature_celsius", "gauge", "temperature", celsius, {"zone": zone})
        for zone, celsius in read_temperatures().items()
    ]
    figures += [
        Figure("reid_power_watts", "gauge", "electric power", watts, {"rail": rail})
        for rail, watts in read_power().items()
    ]
    if (is_throttled := read_is_throttled()) is not None:
        what = "1 while heat or power slows the processor down"
        figures.append(Figure("reid_throttled", "gauge", what, is_throttled))
    return figures


def name_file(sha256: str) -> str:
    """How /readyz names a model file."""
    return f"sha256 {sha256[:16]}"


def _zone_figures(stream: CameraStream) -> list[Figure]:
    figures = []
    for zone, count in stream.zones.counts.items():
        labels = {"camera": stream.camera_id, "zone": zone}
        figures += [
            Figure("reid_zone_people", "gauge", "people in the zone at the last look", count.people, labels),
            Figure("reid_zone_tracks_total", "counter", "tracks of people who entered it", count.tracks, labels),
        ]
    return figures


def _tell_refusal(fault: str | None) -> str:
    return "as it was read last" if fault is None else f"as before; the one that was read last is refused: {fault}"


def _memory() -> Figure:
    return Figure("reid_resident_bytes", "gauge", "resident memory", resident_mib() * 2**20)
