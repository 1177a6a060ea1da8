"""What latency records hold, and what two of them say about a change."""

import json

import numpy as np
import pytest

from benchmarks.measuring.latency_record import (
    CallTiming,
    LatencyResult,
    TimedNetwork,
    find_changes,
    parse_results,
    summarise_samples,
)
from benchmarks.measuring.records import read_record
from benchmarks.measuring.roofline import LayerLoad, NetworkCost, Peaks
from benchmarks.reporting.latency_text import format_changes
from edge_runtime.contract.errors import ConfigError
from tests.conftest import ROOT

RECORD = ROOT / "benchmarks" / "records" / "cpu-epyc" / "latency_osnet_x0_25.json"
PEAKS = Peaks(gops={"fp32": 100.0}, copy_gb_s=10.0)
COST = NetworkCost(mult_adds=50_000_000, layers=(LayerLoad(50_000_000, 1000, 1_000_000),))


def case(**medians: float) -> LatencyResult:
    """One case with a network per name, its 95th percentile a tenth above its median."""
    timings = tuple(CallTiming(name, 1, value, 1.1 * value, times_eager=1) for name, value in medians.items())
    return LatencyResult("osnet_x0_25", (256, 128), (), timings)


def test_every_committed_record_can_be_read() -> None:
    """The records are the project's memory; README and page are made from them."""
    [found] = parse_results(read_record(RECORD), source=RECORD)
    assert found.architecture == "osnet_x0_25"
    assert {timing.name for timing in found.timings} == {network.name for network in found.networks}


def test_a_record_is_read_as_it_was_written() -> None:
    """Save-load round trip, of one case and of many."""
    written = case(engine=2.0)
    assert parse_results(json.loads(json.dumps(written.as_json())), source=RECORD) == (written,)
    many = {"cases": [written.as_json(), written.as_json()]}
    assert parse_results(json.loads(json.dumps(many)), source=RECORD) == (written, written)


def test_the_distance_to_the_limit_follows_from_the_peaks() -> None:
    """100 million operations at 100 GOP/s take 1 ms; four megabytes at 10 GB/s take 0.4 ms, so arithmetic decides."""
    network = TimedNetwork("PyTorch eager", "torch", "fp32", "random", None, None, None)
    samples = {("PyTorch eager", 1): np.full(10, 3.0), ("PyTorch eager", 2): np.full(10, 8.0)}
    one, two = summarise_samples(samples, [network], cost=COST, peaks=PEAKS)
    assert (one.arithmetic_ms, one.layerwise_ms, one.times_arithmetic) == (1.0, 1.0, 3.0)
    assert (two.arithmetic_ms, two.times_arithmetic) == (2.0, 4.0)


def test_a_precision_without_a_peak_has_no_limit() -> None:
    """Nothing is guessed."""
    network = TimedNetwork("PyTorch eager", "torch", "fp16", "random", None, None, None)
    [found] = summarise_samples({("PyTorch eager", 1): np.full(3, 1.0)}, [network], cost=COST, peaks=PEAKS)
    assert (found.arithmetic_ms, found.layerwise_ms, found.times_arithmetic) == (None, None, None)


def test_a_change_inside_the_spread_is_called_noise() -> None:
    """p95 is a tenth above the median: 5 % more or less says nothing, twice as fast does."""
    old = case(steady=1.0, better=2.0, worse=1.0, gone=1.0)
    new = case(steady=1.05, better=1.0, worse=1.5, new=1.0)
    found = {change.name: change for change in find_changes([old], [new])}
    assert set(found) == {"steady", "better", "worse"}
    assert found["steady"].is_noise
    assert (found["better"].ratio, found["better"].is_noise) == (2.0, False)
    assert (found["worse"].ratio < 1, found["worse"].is_noise) == (True, False)
    text = format_changes(found.values())
    assert [row.split("  ")[-1].split()[0] for row in text.splitlines()[1:]] == ["noise", "faster", "slower"]


def test_the_record_of_something_else_is_refused() -> None:
    """With the name of what is missing."""
    with pytest.raises(ConfigError, match=r"is no record of benchmarks/latency\.py: .architecture"):
        parse_results({"benchmark": "demo"}, source=RECORD)
