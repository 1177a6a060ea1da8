"""What the link counts: messages, refusals, connections, and how long a message takes."""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_LATENCIES_KEPT = 4096


@dataclass(frozen=True)
class Counts:
    """Totals since the start. Latencies are capture to PUBACK of the latest live descriptors; None before the first."""

    spooled: int
    delivered: int
    delivered_historical: int
    refused: int
    connections: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None


class LinkCounters:
    """Thread-safe counters; memory is bounded."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._spooled = self._delivered = self._delivered_historical = self._refused = self._connections = 0
        self._latencies_ms = deque[float](maxlen=_LATENCIES_KEPT)

    def add_spooled(self, count: int) -> None:
        """Count messages that are in the spool."""
        with self._mutex:
            self._spooled += count

    def add_connection(self) -> None:
        """Count a connection that came up."""
        with self._mutex:
            self._connections += 1

    def add_refused(self) -> None:
        """Count a message that the broker refused."""
        with self._mutex:
            self._refused += 1

    def add_delivered(self, *, is_historical: bool = False, latency_ms: float | None = None) -> None:
        """Count a message that the broker has; latency_ms where it says something."""
        with self._mutex:
            self._delivered += 1
            self._delivered_historical += is_historical
            if latency_ms is not None:
                self._latencies_ms.append(latency_ms)

    def counts(self) -> Counts:
        """The totals as they are now."""
        with self._mutex:
            latencies = sorted(self._latencies_ms)
            return Counts(
                self._spooled,
                self._delivered,
                self._delivered_historical,
                self._refused,
                self._connections,
                percentile(latencies, share=0.50),
                percentile(latencies, share=0.95),
            )


def percentile(ordered: Sequence[float], *, share: float) -> float | None:
    """The smallest of the ordered numbers that at least `share` of them do not exceed; None of none."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]
