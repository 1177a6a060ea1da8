"""Built engines that may be kept: each was compared with its float32 parent and is timed beside it."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.precision_plan import default_precision_plan
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.provenance import read_cpu_name
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.acceptance.comparison import Comparison
from export.building.engine_build import EngineBuild
from export.building.timing import interleave

_ROUNDS = 40
_MEASURE = "; let export/building/sensitivity.py measure what to leave in float and give its file as --precision-plan"
_MEASURE_AGAIN = (
    "; let export/building/sensitivity.py leave more in float with a smaller --largest-loss, or build another precision"
)


@dataclass(frozen=True)
class ComparedEngine:
    """A built engine that was compared with its float32 parent.

    path: where it lies until it is accepted. excess: says what it loses beyond the tolerance; None for nothing.
    """

    build: EngineBuild
    path: Path
    manifest: Manifest
    comparison: Comparison
    excess: str | None


@dataclass(frozen=True)
class EngineCandidate(ComparedEngine):
    """A compared engine that was timed beside its parent.

    median_ms, parent_median_ms: of one batch on one thread, measured in one interleaved run.
    """

    median_ms: float
    parent_median_ms: float

    @property
    def speedup(self) -> float:
        """Time of the float32 parent divided by the time of this engine."""
        return self.parent_median_ms / self.median_ms

    def _advice(self) -> str:
        """What to do if INT8 loses too much; not the same again where a plan was followed already."""
        entry = self.build.entry
        if entry.precision != "int8" or entry.backend == "torch":
            return ""
        is_usual = entry.kept_higher == default_precision_plan(entry.backend).kept_in_float
        return _MEASURE if is_usual else _MEASURE_AGAIN

    def fault(self, *, allow_slower: bool) -> str | None:
        """Say why the engine is refused; None if it is accepted. A float32 engine is never refused for its speed."""
        if self.excess:
            return f"is not good enough: {self.excess}{self._advice()}"
        if self.build.entry.precision != "fp32" and self.speedup < 1 and not allow_slower:
            return (
                f"is slower than its float32 parent: {self.median_ms:.2f} ms where that takes "
                f"{self.parent_median_ms:.2f} ms; take the float32 file, or add --allow-slower"
            )
        return None


def time_engines(parent: Path, engines: Sequence[Path], *, batch: int) -> tuple[list[float], str]:
    """Median milliseconds of the parent and then of each engine, and a line that says how they were measured."""
    with ExitStack() as stack:
        opened = [stack.enter_context(open_engine(path)) for path in (parent, *engines)]
        spec = opened[0].manifest.input
        shape = (batch, spec.height_px, spec.width_px, 3)
        crops = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

        def call(engine: Engine) -> object:
            return engine.describe(crops)

        calls = {index: (lambda engine=engine: call(engine)) for index, engine in enumerate(opened)}
        samples = interleave(calls, rounds=_ROUNDS)
        medians = [float(np.median(samples[index])) for index in range(len(opened))]
        return medians, f"batches of {batch}, one thread of {read_cpu_name()}; float32 by {opened[0].backend}"


def choose_fastest(candidates: Sequence[EngineCandidate], *, allow_slower: bool) -> EngineCandidate:
    """The fastest candidate that is accepted.

    Raises:
        ExportError: none is; it says why, for each.
    """
    faults = [candidate.fault(allow_slower=allow_slower) for candidate in candidates]
    accepted = [candidate for candidate, fault in zip(candidates, faults, strict=True) if not fault]
    if accepted:
        return min(accepted, key=lambda candidate: candidate.median_ms)
    sentences = [f"the {one.build.title} engine {fault}" for one, fault in zip(candidates, faults, strict=True)]
    raise ExportError(f"{'; '.join(sentences)}; no engine was written")


def format_candidates(candidates: Sequence[EngineCandidate], *, measured: str) -> str:
    """A table of all candidates, the fastest first: time, losses, verdict. measured: the line below it."""
    width = max(len(candidate.build.title) for candidate in candidates)
    titles = f"{'ms':>9}{'times float32':>15}{'rank-1 lost':>13}{'mAP lost':>10}{'1 - cos':>10}"
    rows = [f"{'engine':{width}}{titles}  verdict"]
    for candidate in sorted(candidates, key=lambda one: one.median_ms):
        moved = candidate.comparison.child.to_parent
        rows.append(
            f"{candidate.build.title:{width}}{candidate.median_ms:>9.2f}{candidate.speedup:>15.2f}"
            f"{candidate.comparison.rank1_points_lost:>13.2f}{candidate.comparison.map_points_lost:>10.2f}"
            f"{max(0, 1 - moved.cosine_mean) if moved else 0:>10.5f}  {candidate.excess or 'good enough'}"
        )
    return "\n".join([*rows, measured])
