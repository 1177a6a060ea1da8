"""Latency and accuracy of the same engine put together: who is on the front, and who serves a budget best."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.measuring.latency_record import EAGER, CaseResult, Network, Timing
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Score
from train.recipes.osnet_market1501 import RECIPES

Known = Literal["measured", "not measured", "not trained"]
"""Of an accuracy: there is a figure; there are trained weights but this engine was not scored; there are no weights."""

ALIKE = 0.003
"""Engines whose mAP is this near count as equally accurate: it is what the gate lets INT8 lose."""

Key = tuple[str, tuple[int, int], str, str]
"""Architecture, input size, backend, precision: what latency and accuracy records have in common."""


@dataclass(frozen=True)
class Accuracy:
    """What an engine scored on the data set of the page."""

    rank1: Score
    mean_ap: Score
    mean_inp: Score


@dataclass(frozen=True)
class Printed:
    """What a paper reports for the same network and size, on its own data set."""

    rank1: float
    mean_ap: float


@dataclass(frozen=True)
class Choice:
    """One engine a buyer can choose. each_ms: milliseconds per image by batch size, by medians."""

    architecture: str
    input: tuple[int, int]
    precision: str
    backend: str
    median_ms: float
    p95_ms: float
    times_eager: float | None
    each_ms: Mapping[int, float]
    resident_mib: float | None
    known: Known
    accuracy: Accuracy | None
    printed: Printed | None

    @property
    def title(self) -> str:
        """As a person would say it: `OSNet x0.25, 256x128, int8, onnxruntime`."""
        height, width = self.input
        return f"{network_title(self.architecture)}, {height}x{width}, {self.precision}, {self.backend}"

    @property
    def mean_ap(self) -> float:
        """For ordering; only of engines whose accuracy is measured."""
        return self.accuracy.mean_ap.value if self.accuracy else 0.0


@dataclass(frozen=True)
class Budget:
    """What must hold. ms: the 95th percentile of one image at a time. people, fps: all of them in every frame."""

    ms: float | None = None
    people: int | None = None
    fps: float | None = None

    def __str__(self) -> str:
        parts = []
        if self.ms is not None:
            parts.append(f"at most {self.ms:g} ms for one image (95th percentile)")
        if self.people is not None and self.fps is not None:
            parts.append(f"{self.people} people in each of {self.fps:g} frames per second")
        return " and ".join(parts)

    def is_met_by(self, choice: Choice) -> bool:
        """Whether one thread is fast enough."""
        if self.ms is not None and choice.p95_ms > self.ms:
            return False
        return self.people is None or self.fps is None or self.busy(choice) <= 1

    def busy(self, choice: Choice) -> float:
        """Share of one thread's time that describing everybody takes, with the largest measured batch that fits."""
        assert self.people is not None
        assert self.fps is not None
        fitting = [batch for batch in choice.each_ms if batch <= max(self.people, min(choice.each_ms))]
        return self.people * self.fps * choice.each_ms[max(fitting)] / 1000


@dataclass(frozen=True)
class Advice:
    """The best engine for a budget, None if none will do, and the reason in one sentence."""

    budget: Budget
    choice: Choice | None
    reason: str


def network_title(architecture: str) -> str:
    """`osnet_x0_25` as papers write it: OSNet x0.25."""
    name = re.sub(r"x(\d)_(\d+)", r"x\1.\2", architecture).replace("osnet", "OSNet").replace("_", " ")
    return name if "OSNet" in name else name.upper() if len(name) < 4 else name.capitalize()


def choices_of(cases: Iterable[CaseResult], accuracy: Mapping[str, Any] | None) -> list[Choice]:
    """Every engine of latency records, with its accuracy where an accuracy record has it. Peers are left out.

    Of an engine in several graphs the fastest counts; of a case in several records the last one.
    """
    scores = _scores(accuracy)
    found: dict[Key, Choice] = {}
    for case in cases:
        found |= _choices_of_case(case, scores)
    return sorted(found.values(), key=lambda choice: choice.median_ms)


def _choices_of_case(case: CaseResult, scores: Mapping[Key, Accuracy]) -> dict[Key, Choice]:
    is_trained = any(key[:2] == (case.architecture, case.input) for key in scores)
    found: dict[Key, Choice] = {}
    for network in case.networks:
        timings = {timing.batch: timing for timing in case.timings if timing.name == network.name}
        if network.is_peer or network.name == EAGER or 1 not in timings:
            continue
        key = (case.architecture, case.input, network.backend.split()[0], network.precision)
        known: Known = "measured" if key in scores else "not measured" if is_trained else "not trained"
        choice = _choice(case, network, timings, accuracy=scores.get(key), known=known)
        if key not in found or choice.median_ms < found[key].median_ms:
            found[key] = choice
    return found


def _choice(
    case: CaseResult, network: Network, timings: Mapping[int, Timing], *, accuracy: Accuracy | None, known: Known
) -> Choice:
    alone = {one.name: one.resident_mib for one in case.alone}
    one = timings[1]
    return Choice(
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
        printed=printed_figures().get((case.architecture, case.input)),
    )


def _scores(record: Mapping[str, Any] | None) -> dict[Key, Accuracy]:
    """Architecture, size, backend and precision -> what it scored; the best where several were scored."""
    found: dict[Key, Accuracy] = {}
    for one in record["engines"] if record else ():
        key = (one["architecture"], (one["input"][0], one["input"][1]), one["backend"], one["precision"])
        scored = Accuracy(*(Score(**one[name]) for name in ("rank1", "mean_ap", "mean_inp")))
        if key not in found or scored.mean_ap.value > found[key].mean_ap.value:
            found[key] = scored
    return found


def printed_figures() -> dict[tuple[str, tuple[int, int]], Printed]:
    """The OSNet paper's table 6, Market-1501, out of the recipes: rank-1 and mAP by width and resolution."""
    return {
        (recipe.architecture, (recipe.height_px, recipe.width_px)): Printed(
            recipe.expected.rank1, recipe.expected.mean_ap
        )
        for recipe in RECIPES
        if "table 6" in recipe.expected.source
        and recipe.expected.rank1 is not None
        and recipe.expected.mean_ap is not None
    }


def front_of(choices: Sequence[Choice]) -> list[Choice]:
    """Those that no other one beats in both latency and mAP, fastest first; engines without accuracy are not on it."""
    front: list[Choice] = []
    scored = [choice for choice in choices if choice.accuracy]
    for choice in sorted(scored, key=lambda one: (one.median_ms, -one.mean_ap)):
        if not front or choice.mean_ap > front[-1].mean_ap:
            front.append(choice)
    return front


def advise(choices: Sequence[Choice], budget: Budget) -> Advice:
    """The fastest of the most accurate engines that meet the budget."""
    scored = [choice for choice in choices if choice.accuracy]
    if not scored:
        return Advice(budget, None, "No engine of this page has a measured accuracy, so none can be recommended.")
    fast_enough = [choice for choice in scored if budget.is_met_by(choice)]
    if not fast_enough:
        fastest = min(scored, key=lambda one: one.p95_ms)
        return Advice(
            budget,
            None,
            f"No trained engine is fast enough on one thread; the fastest is {fastest.title} with "
            f"{fastest.p95_ms:.2f} ms for one image (95th percentile).",
        )
    highest = max(choice.mean_ap for choice in fast_enough)
    alike = [choice for choice in fast_enough if choice.mean_ap >= highest - ALIKE]
    best = min(alike, key=lambda one: one.median_ms if budget.people is None else budget.busy(one))
    reason = (
        f"{best.title}: mAP {100 * best.mean_ap:.1f} %, and the fastest within {100 * ALIKE:.1f} points of the highest "
        f"of the {len(fast_enough)} trained engines (of {len(scored)}) that are fast enough; {best.p95_ms:.2f} ms for "
        "one image (95th percentile)"
    )
    if budget.people is not None and budget.fps is not None:
        reason += f", one thread is busy {100 * budget.busy(best):.0f} % of the time, by medians"
    return Advice(budget, best, reason + ".")


def one_device(records: Mapping[Path, Mapping[str, Any]]) -> str:
    """The device all records were measured on.

    Raises:
        ConfigError: there are several, and times of different machines have no common front.
    """
    devices = {str(record.get("device", "no device")) for record in records.values()}
    if len(devices) != 1:
        raise ConfigError(
            f"expected latency records of one device, found {', '.join(sorted(devices)) or 'none'}; "
            "give the records of one: --latency FILE ..."
        )
    return devices.pop()
