"""Latency and accuracy of engines put together: which are on the Pareto front, and which fits a budget best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.measuring.latency_record import CallTiming, LatencyResult, TimedNetwork
from benchmarks.peers.plain_export import EAGER
from benchmarks.reporting.text import network_title
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Score
from train.recipes.osnet_market1501 import RECIPES

AccuracyState = Literal["measured", "not measured", "not trained"]
"""Whether an accuracy is known. not measured: the weights are trained, but this engine was not scored."""

ALIKE = 0.003
"""Engines whose mAP differs by no more count as equally accurate: as much as INT8 may lose in acceptance."""

EngineKey = tuple[str, tuple[int, int], str, str]
"""Architecture, input size, backend, precision: identifies an engine in latency and accuracy records."""


@dataclass(frozen=True)
class Accuracy:
    """What an engine scored on the data set of the page."""

    rank1: Score
    mean_ap: Score
    mean_inp: Score


@dataclass(frozen=True)
class PaperFigures:
    """A paper's figures for the same network and size, on its own data set."""

    rank1: float
    mean_ap: float


@dataclass(frozen=True)
class EngineOption:
    """One engine that a buyer can choose. each_ms: median milliseconds per image, by batch size."""

    architecture: str
    input: tuple[int, int]
    precision: str
    backend: str
    median_ms: float
    p95_ms: float
    times_eager: float | None
    each_ms: Mapping[int, float]
    resident_mib: float | None
    known: AccuracyState
    accuracy: Accuracy | None
    printed: PaperFigures | None

    @property
    def title(self) -> str:
        """For people: `OSNet x0.25, 256x128, int8, onnxruntime`."""
        height, width = self.input
        return f"{network_title(self.architecture)}, {height}x{width}, {self.precision}, {self.backend}"

    def is_of(self, architecture: str, size: tuple[int, int]) -> bool:
        """Whether this is an engine of that network at that input size."""
        return (self.architecture, self.input) == (architecture, size)

    @property
    def mean_ap(self) -> float:
        """mAP, for sorting; 0 if it is not measured."""
        return self.accuracy.mean_ap.value if self.accuracy else 0.0


@dataclass(frozen=True)
class Budget:
    """A buyer's limits. ms: for one image, 95th percentile. people, fps: people in each of fps frames a second."""

    ms: float | None = None
    people: int | None = None
    fps: float | None = None

    def __str__(self) -> str:
        """For people: `at most 5 ms for one image (95th percentile)`."""
        parts = []
        if self.ms is not None:
            parts.append(f"at most {self.ms:g} ms for one image (95th percentile)")
        if self.people is not None and self.fps is not None:
            parts.append(f"{self.people} people in each of {self.fps:g} frames per second")
        return " and ".join(parts)

    def is_met_by(self, option: EngineOption) -> bool:
        """Whether the engine is fast enough on one thread."""
        if self.ms is not None and option.p95_ms > self.ms:
            return False
        return self.people is None or self.fps is None or self.busy(option) <= 1

    def busy(self, option: EngineOption) -> float:
        """Share of one thread's time that describing all people takes, in the largest measured batch that fits."""
        assert self.people is not None
        assert self.fps is not None
        fitting = [batch for batch in option.each_ms if batch <= max(self.people, min(option.each_ms))]
        return self.people * self.fps * option.each_ms[max(fitting)] / 1000


@dataclass(frozen=True)
class Advice:
    """The best engine for a budget, None if there is none, and the reason in one sentence."""

    budget: Budget
    option: EngineOption | None
    reason: str


def list_options(cases: Iterable[LatencyResult], accuracy: Mapping[str, Any] | None) -> list[EngineOption]:
    """Every engine of the latency results, without peers, with its accuracy if the accuracy record holds it.

    Of an engine in several graphs the fastest counts; of a network in several records the last record.
    """
    scores = _scores(accuracy)
    found: dict[EngineKey, EngineOption] = {}
    for case in cases:
        found |= _options_of(case, scores)
    return sorted(found.values(), key=lambda option: option.median_ms)


def _options_of(case: LatencyResult, scores: Mapping[EngineKey, Accuracy]) -> dict[EngineKey, EngineOption]:
    is_trained = any(key[:2] == (case.architecture, case.input) for key in scores)
    found: dict[EngineKey, EngineOption] = {}
    for network in case.networks:
        timings = {timing.batch: timing for timing in case.timings if timing.name == network.name}
        if network.is_peer or network.name == EAGER or 1 not in timings:
            continue
        key = (case.architecture, case.input, network.backend.split()[0], network.precision)
        known: AccuracyState = "measured" if key in scores else "not measured" if is_trained else "not trained"
        option = _option(case, network, timings=timings, accuracy=scores.get(key), known=known)
        if key not in found or option.median_ms < found[key].median_ms:
            found[key] = option
    return found


def _option(
    case: LatencyResult,
    network: TimedNetwork,
    *,
    timings: Mapping[int, CallTiming],
    accuracy: Accuracy | None,
    known: AccuracyState,
) -> EngineOption:
    alone = {one.name: one.resident_mib for one in case.alone}
    one = timings[1]
    return EngineOption(
        architecture=case.architecture,
        input=case.input,
        precision=network.precision,
        backend=network.backend.split()[0],
        median_ms=one.median_ms,
        p95_ms=one.p95_ms,
        times_eager=one.times_eager,
        each_ms={batch: timing.median_ms / batch for batch, timing in sorted(timings.items())},
        resident_mib=alone.get(network.name),
        known=known,
        accuracy=accuracy,
        printed=read_paper_figures().get((case.architecture, case.input)),
    )


def _scores(record: Mapping[str, Any] | None) -> dict[EngineKey, Accuracy]:
    """The scores of each engine; the best where several of one key were scored."""
    found: dict[EngineKey, Accuracy] = {}
    for one in record["engines"] if record else ():
        key = (one["architecture"], (one["input"][0], one["input"][1]), one["backend"], one["precision"])
        scored = Accuracy(*(Score(**one[name]) for name in ("rank1", "mean_ap", "mean_inp")))
        if key not in found or scored.mean_ap.value > found[key].mean_ap.value:
            found[key] = scored
    return found


def read_paper_figures() -> dict[tuple[str, tuple[int, int]], PaperFigures]:
    """The OSNet paper's table 6, on Market-1501, by network and size; from the recipes."""
    return {
        (recipe.architecture, (recipe.height_px, recipe.width_px)): PaperFigures(
            recipe.expected.rank1, recipe.expected.mean_ap
        )
        for recipe in RECIPES
        if "table 6" in recipe.expected.source
        and recipe.expected.rank1 is not None
        and recipe.expected.mean_ap is not None
    }


def find_front(options: Sequence[EngineOption]) -> list[EngineOption]:
    """Engines that no other one beats in both latency and mAP, fastest first; only those whose accuracy is known."""
    front: list[EngineOption] = []
    scored = [option for option in options if option.accuracy]
    for option in sorted(scored, key=lambda one: (one.median_ms, -one.mean_ap)):
        if not front or option.mean_ap > front[-1].mean_ap:
            front.append(option)
    return front


def advise(options: Sequence[EngineOption], budget: Budget) -> Advice:
    """The fastest of the most accurate engines that meet the budget."""
    scored = [option for option in options if option.accuracy]
    if not scored:
        return Advice(budget, None, "No engine of this page has a measured accuracy, so none can be recommended.")
    fast_enough = [option for option in scored if budget.is_met_by(option)]
    if not fast_enough:
        fastest = min(scored, key=lambda one: one.p95_ms)
        return Advice(
            budget,
            None,
            f"No trained engine is fast enough on one thread; the fastest is {fastest.title} with "
            f"{fastest.p95_ms:.2f} ms for one image (95th percentile).",
        )
    highest = max(option.mean_ap for option in fast_enough)
    alike = [option for option in fast_enough if option.mean_ap >= highest - ALIKE]
    best = min(alike, key=lambda one: one.median_ms if budget.people is None else budget.busy(one))
    reason = (
        f"{best.title}: mAP {100 * best.mean_ap:.1f} %, and the fastest within {100 * ALIKE:.1f} points of the highest "
        f"of the {len(fast_enough)} trained engines (of {len(scored)}) that are fast enough; {best.p95_ms:.2f} ms for "
        "one image (95th percentile)"
    )
    if budget.people is not None and budget.fps is not None:
        reason += f", one thread is busy {100 * budget.busy(best):.0f} % of the time, by medians"
    return Advice(budget, best, reason + ".")


def require_one_device(records: Mapping[Path, Mapping[str, Any]]) -> str:
    """The device on which all records were measured.

    Raises:
        ConfigError: there are several; times of different machines must not be mixed.
    """
    devices = {str(record.get("device", "no device")) for record in records.values()}
    if len(devices) != 1:
        raise ConfigError(
            f"expected latency records of one device, found {', '.join(sorted(devices)) or 'none'}; "
            "give the records of one: --latency FILE ..."
        )
    return devices.pop()
