"""All that a person asks about a node, in one JSON object: what the page at / and `reid-edge status` show."""

import time
from dataclasses import asdict, dataclass

from edge_runtime.contract.provenance import read_utc
from edge_runtime.health.board import read_is_throttled, read_power, read_temperatures
from edge_runtime.health.build_info import model_names, read_version
from edge_runtime.health.checks import HealthChecks
from edge_runtime.health.history import STEP_S, CameraHistories, people_now
from edge_runtime.link.publisher import Publisher
from edge_runtime.service import Service, resident_mib
from edge_runtime.streams.stream import CameraStream


@dataclass(frozen=True)
class CameraReport:
    """One camera. Names that end in `_s` are seconds, `since_s` and `last_message_s` ago.

    fault: what is to be done, None if all is well. people_lately: see `NodeReport.people_step_s`; the latest last.
    """

    id: str
    state: str
    fault: str | None
    since_s: float
    looks_wanted_per_s: float
    looks_got_per_s: float
    people: int
    last_message_s: float | None
    people_lately: list[int]


@dataclass(frozen=True)
class NodeReport:
    """A node at one moment. faults: of /readyz. people_step_s: see `history.STEP_S`."""

    site: str
    node: str
    version: str
    read_at: str
    uptime_s: float
    is_ready: bool
    faults: list[str]
    cameras: list[CameraReport]
    people_step_s: float
    model: dict[str, str]
    broker: dict[str, object]
    clock: dict[str, object]
    spool: dict[str, object]
    machine: dict[str, object]


class Reporter:
    """Makes reports. Thread-safe."""

    def __init__(
        self, checks: HealthChecks, *, service: Service, publisher: Publisher, histories: CameraHistories
    ) -> None:
        self._checks, self._service, self._publisher, self._histories = checks, service, publisher, histories

    def report(self) -> NodeReport:  # long: each fact of the node, in order
        """Everything now."""
        facts, settings = self._publisher.facts(), self._publisher.settings
        failed = [check for check in (*self._checks.liveness(), *self._checks.readiness()) if not check.ok]
        return NodeReport(
            site=settings.site,
            node=settings.node,
            version=read_version(),
            read_at=read_utc(),
            uptime_s=self._service.uptime_s(),
            is_ready=not failed,
            faults=[f"{check.name}: {check.detail}" for check in failed],
            cameras=[self._camera(stream) for stream in self._service.streams],
            people_step_s=STEP_S,
            model=model_names(self._service),
            broker={
                "address": str(settings.broker),
                "is_connected": facts.is_connected,
                "fault": facts.fault,
                "delivered": facts.counts.delivered,
                "latency_p50_ms": facts.counts.latency_p50_ms,
                "latency_p95_ms": facts.counts.latency_p95_ms,
            },
            clock=asdict(facts.clock),
            spool={
                "waiting": facts.waiting,
                "oldest_s": self._publisher.oldest_age_s(),
                "lasts_h": facts.spool_hours,
                "bytes": facts.spool_bytes,
                "given_up": dict(facts.dropped),
                "fault": facts.spool_fault,
            },
            machine={
                "resident_mib": resident_mib(),
                "temperatures_c": read_temperatures(),
                "power_w": read_power(),
                "is_throttled": read_is_throttled(),
            },
        )

    def _camera(self, stream: CameraStream) -> CameraReport:
        history, rates = self._histories.of(stream), stream.pace.rates
        now_s, told_s = time.monotonic(), stream.latest_message_s
        return CameraReport(
            id=stream.camera_id,
            state=history.state,
            fault=history.reason or self._service.too_slow(stream),
            since_s=now_s - history.since_s,
            looks_wanted_per_s=rates.wanted,
            looks_got_per_s=rates.got,
            people=people_now(stream),
            last_message_s=None if told_s is None else now_s - told_s,
            people_lately=list(history.people_lately),
        )
