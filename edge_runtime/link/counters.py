"""Counters of the link: messages, refusals, connections, and the latency of messages."""

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_LATENCIES_KEPT = 4096
LATENCY_BOUNDS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""Upper bounds of the classes in which latencies are counted: classes of many nodes can be added, percentiles not."""


@dataclass(frozen=True)
class Counts:
    """Totals since the start. Latency: capture to PUBACK of the latest live descriptors, None before the first one.

    latency_classes: how many were within each of LATENCY_BOUNDS_S but not within the one before, and above the last.
    latency_sum_s: of all of them.
    """

    accepted: int
    delivered: int
    delivered_historical: int
    refused: int
    connections: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    latency_classes: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_S) + 1)
    latency_sum_s: float = 0.0


class LinkCounters:
    """Totals and the latest 4096 latencies. Thread-safe: any thread may add and read."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._accepted = self._delivered = self._delivered_historical = self._refused = self._connections = 0
        self._latencies_ms = deque[float](maxlen=_LATENCIES_KEPT)
        self._classes, self._latency_sum_s = [0] * (len(LATENCY_BOUNDS_S) + 1), 0.0

    def add_accepted(self, count: int) -> None:
        """Count messages that were handed to the spool."""
        with self._mutex:
            self._accepted += count

    def add_connection(self) -> None:
        """Count a connection that was established."""
        with self._mutex:
            self._connections += 1

    def add_refused(self) -> None:
        """Count a message that the broker refused."""
        with self._mutex:
            self._refused += 1

    def add_delivered(self, *, is_historical: bool = False, latency_ms: float | None = None) -> None:
        """Count a message that the broker acknowledged. latency_ms: capture to PUBACK, of live descriptors.

        Without the time for which the node waited for a better moment.
        """
        with self._mutex:
            self._delivered += 1
            self._delivered_historical += is_historical
            if latency_ms is not None:
                self._latencies_ms.append(latency_ms)
                self._classes[bisect_left(LATENCY_BOUNDS_S, latency_ms / 1000)] += 1
                self._latency_sum_s += latency_ms / 1000

    def counts(self) -> Counts:
        """The totals now."""
        with self._mutex:
            latencies = sorted(self._latencies_ms)
            return Counts(
                self._accepted,
                self._delivered,
                self._delivered_historical,
                self._refused,
                self._connections,
                percentile(latencies, share=0.50),
                percentile(latencies, share=0.95),
                tuple(self._classes),
                self._latency_sum_s,
            )


def percentile(ordered: Sequence[float], *, share: float) -> float | None:
    """Percentile by the nearest-rank rule; None for an empty sequence. ordered: ascending. share: in (0, 1]."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]
