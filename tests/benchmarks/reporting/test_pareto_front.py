"""The front, and which engine fits a budget."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measuring.latency_record import CallTiming, LatencyResult, TimedNetwork
from benchmarks.reporting.pareto_front import (
    Accuracy,
    Budget,
    EngineOption,
    advise,
    find_front,
    list_options,
    read_paper_figures,
    require_one_device,
)
from benchmarks.reporting.text import network_title
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Score


def option(ms: float, mean_ap: float | None, *, each_of_eight_ms: float | None = None) -> EngineOption:
    """An engine that takes so long for one image; its 95th percentile is 10 % above."""
    score = None if mean_ap is None else Score(value=mean_ap, low=mean_ap, high=mean_ap)
    return EngineOption(
        architecture="osnet_x1_0",
        input=(256, 128),
        precision="fp32",
        backend="onnxruntime",
        median_ms=ms,
        p95_ms=1.1 * ms,
        times_eager=1,
        each_ms={1: ms} | ({} if each_of_eight_ms is None else {8: each_of_eight_ms}),
        resident_mib=None,
        known="measured" if score else "not trained",
        accuracy=Accuracy(score, score, score) if score else None,
        printed=None,
    )


def case(**networks: tuple[str, str, bool]) -> LatencyResult:
    """x0.25 at 256x128 with networks by name: backend, precision, whether it is a peer."""
    described = [
        TimedNetwork(n, f"{b} 1.0 CPU", p, "random", None, None, None, peer) for n, (b, p, peer) in networks.items()
    ]
    timings = [CallTiming(name, batch, 2.0 * batch, 3.0 * batch, 4.0) for name, batch in product(networks, (1, 8))]
    return LatencyResult("osnet_x0_25", (256, 128), tuple(described), tuple(timings))


def scored(**engine: Any) -> dict[str, Any]:
    """An accuracy record of one engine."""
    score = {"value": 0.4, "low": 0.3, "high": 0.5}
    found = {"architecture": "osnet_x0_25", "input": [256, 128], "backend": "onnxruntime", "precision": "fp32"}
    return {"engines": [found | {"rank1": score, "mean_ap": score, "mean_inp": score} | engine]}


@given(st.lists(st.tuples(st.floats(0.1, 100), st.one_of(st.none(), st.floats(0, 1))), max_size=30))
def test_the_front_is_what_no_other_engine_beats(figures: list[tuple[float, float | None]]) -> None:
    """Against the definition, pair by pair: nothing is at least as fast and as accurate, and better in one of both."""
    options = [option(ms, mean_ap) for ms, mean_ap in figures]
    known = [one for one in options if one.accuracy]

    def is_beaten(one: EngineOption) -> bool:
        return any(
            other.median_ms <= one.median_ms
            and other.mean_ap >= one.mean_ap
            and (other.median_ms, other.mean_ap) != (one.median_ms, one.mean_ap)
            for other in known
        )

    best = {(one.median_ms, one.mean_ap) for one in known if not is_beaten(one)}
    assert {(one.median_ms, one.mean_ap) for one in find_front(options)} == best


def test_a_budget_takes_the_most_accurate_engine_that_is_fast_enough() -> None:
    """By the 95th percentile: 4.8 ms by the median are 5.3 and too slow; one without accuracy is never recommended."""
    options = [option(1, 0.3), option(2, 0.5), option(4.8, 0.6), option(9, 0.9), option(0.5, None)]
    advice = advise(options, Budget(ms=5))
    assert advice.option is options[1]
    assert "the 2 trained engines (of 4)" in advice.reason


def test_of_engines_that_are_equally_accurate_the_fastest_is_taken() -> None:
    """A tenth of a point of mAP is no reason to wait longer; half a point is."""
    slow, fast, worse = option(3, 0.412), option(2, 0.411), option(1, 0.407)
    assert advise([slow, fast, worse], Budget(ms=5)).option is fast


def test_a_crowd_is_described_in_the_largest_batches_that_were_measured() -> None:
    """20 people at 10 frames per second leave 5 ms each; in batches of 8 an engine of 6 ms takes 4 and is 80 % busy."""
    batched, single = option(6, 0.5, each_of_eight_ms=4), option(6, 0.6)
    budget = Budget(people=20, fps=10)
    assert budget.busy(batched) == pytest.approx(0.8)
    advice = advise([batched, single], budget)
    assert advice.option is batched
    assert "busy 80 % of the time" in advice.reason
    assert Budget(people=4, fps=10).busy(batched) == pytest.approx(0.24)  # too few for a batch of 8


def test_where_nothing_fits_the_fastest_is_named() -> None:
    """And where nothing is trained, that is said."""
    advice = advise([option(7, 0.3), option(9, 0.5)], Budget(ms=5))
    assert advice.option is None
    assert "the fastest is OSNet x1.0, 256x128, fp32, onnxruntime with 7.70 ms" in advice.reason
    assert "none can be recommended" in advise([option(1, None)], Budget(ms=5)).reason


def test_a_figure_belongs_to_one_backend_and_precision_only() -> None:
    """What was not scored is `not measured`; what nobody trained is `not trained`; peers are no option."""
    cases = [
        case(
            fast=("onnxruntime", "fp32", False),
            small=("onnxruntime", "int8", False),
            other=("openvino", "fp32", False),
            plain=("onnxruntime", "fp32", True),
        )
    ]
    found = {(one.backend, one.precision): one.known for one in list_options(cases, scored())}
    assert found == {
        ("onnxruntime", "fp32"): "measured",
        ("onnxruntime", "int8"): "not measured",
        ("openvino", "fp32"): "not measured",
    }
    elsewhere = scored(input=[128, 64])
    assert {one.known for one in list_options(cases, elsewhere)} == {"not trained"}
    assert {one.accuracy for one in list_options(cases, None)} == {None}


def test_the_papers_figures_are_those_of_its_table() -> None:
    """OSNet, table 6: sixteen widths and resolutions; the paper's best and worst."""
    printed = read_paper_figures()
    assert len(printed) == 16
    assert (printed["osnet_x1_0", (256, 128)].rank1, printed["osnet_x1_0", (256, 128)].mean_ap) == (0.948, 0.849)
    assert printed["osnet_x1_0", (64, 32)].mean_ap == 0.673


def test_records_of_several_machines_are_refused() -> None:
    """Their times have no common front."""
    with pytest.raises(ConfigError, match="latency records of one device, found A, B"):
        require_one_device({Path("a"): {"device": "A"}, Path("b"): {"device": "B"}})


def test_networks_are_named_as_in_papers() -> None:
    """For people who read the page."""
    assert [network_title(name) for name in ("osnet_x0_25", "osnet_ibn_x1_0", "mgn", "pyramid")] == [
        "OSNet x0.25", "OSNet ibn x1.0", "MGN", "Pyramid",
    ]  # fmt: skip
