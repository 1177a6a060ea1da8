"""The receiver of a simulated fleet: `reid-listen` without its printing."""

import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

from edge_runtime.link.broker import Connection
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.counters import percentile
from edge_runtime.receiver.receiver import Accepted, Receiver

QUIET_S = 5.0
"""Longer without a message: no more will come."""
PATIENCE_S = 90.0
"""Longer after the load: the receiver is too slow for it."""


@dataclass(frozen=True)
class ReceivedFigures:
    """What arrived since the last figures. latency: from the capture of the frame until its descriptor was checked.
    quiet_s: since the last message.
    """

    messages: int
    duplicates: int
    refused: int
    bytes: int
    cpu_s: float
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    quiet_s: float


@dataclass
class _Counts:
    latencies_ms: list[float] = field(default_factory=list)
    bytes: int = 0
    duplicates: int = 0
    refused: int = 0
    cpu_s: float = field(default_factory=time.process_time)
    heard_s: float = field(default_factory=time.monotonic)


def receive_fleet(pipe: Pipe, *, settings: BrokerSettings) -> None:
    """Subscribe and answer; then answer each number of messages with their figures, once all have
    arrived or no more of them do.

    Raises:
        PublishError: the connection is lost.
    """
    connection = Connection(settings, client_id="fleet-receiver", session_s=0)
    connection.subscribe(["reid/v1/#"])
    receiver, counts, expected, until_s = Receiver(), _Counts(), None, 0.0
    pipe.send(0)
    while True:
        _take(connection, receiver, counts=counts)
        if expected is None and pipe.poll():
            expected, until_s = pipe.recv(), time.monotonic() + PATIENCE_S
            if expected is None:
                break
        if expected is not None and (_has_all(counts, expected) or time.monotonic() > until_s):
            pipe.send(_figures(receiver, counts))
            counts = _Counts(duplicates=receiver.count("duplicate"), refused=receiver.count("refused"))
            expected = None
    connection.close()


def _take(connection: Connection, receiver: Receiver, *, counts: _Counts) -> None:
    for received in connection.step(0.05)[1]:
        counts.heard_s = time.monotonic()
        for event in receiver.take(received):
            if isinstance(event, Accepted):
                counts.bytes += event.payload_bytes
                counts.latencies_ms.append((time.time_ns() - event.message.capture_ns) / 1e6)


def _has_all(counts: _Counts, expected: int) -> bool:
    return len(counts.latencies_ms) >= expected or time.monotonic() - counts.heard_s > QUIET_S


def _figures(receiver: Receiver, counts: _Counts) -> ReceivedFigures:
    ordered = sorted(counts.latencies_ms)
    return ReceivedFigures(
        messages=len(ordered),
        duplicates=receiver.count("duplicate") - counts.duplicates,
        refused=receiver.count("refused") - counts.refused,
        bytes=counts.bytes,
        cpu_s=time.process_time() - counts.cpu_s,
        latency_p50_ms=percentile(ordered, share=0.50),
        latency_p95_ms=percentile(ordered, share=0.95),
        quiet_s=time.monotonic() - counts.heard_s,
    )
