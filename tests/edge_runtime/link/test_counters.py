"""Counters and percentiles."""

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.link.counters import LinkCounters, percentile


@given(st.lists(st.integers(0, 100), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_nearest_rank(numbers: list[int], share: float) -> None:
    """The smallest of the numbers such that at least the given share of all are not larger."""
    ordered = sorted(numbers)
    oracle = next(n for n in ordered if sum(m <= n for m in ordered) * 100 >= round(share * 100) * len(ordered))
    assert percentile(ordered, share=share) == oracle


def test_nothing_has_no_percentile() -> None:
    """None, not zero."""
    assert percentile([], share=0.5) is None


def test_backlog_counts_as_delivered_but_has_no_latency() -> None:
    """An hour in the spool says nothing about the link."""
    counters = LinkCounters()
    counters.add_delivered(is_historical=True)
    counts = counters.counts()
    assert (counts.delivered, counts.delivered_historical, counts.latency_p50_ms) == (1, 1, None)
    counters.add_delivered(latency_ms=12.0)
    assert counters.counts().latency_p95_ms == 12.0


def test_memory_is_bounded() -> None:
    """Only the latest latencies are kept."""
    counters = LinkCounters()
    for latency_ms in [1e6] * 10 + [1.0] * 5000:
        counters.add_delivered(latency_ms=latency_ms)
    assert counters.counts().latency_p95_ms == 1.0
    assert len(counters._latencies_ms) <= 4096
