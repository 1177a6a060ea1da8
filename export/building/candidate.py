"""Engines on trial: each is judged by the gate and timed beside its float32 parent."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.provenance import read_cpu_name
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.acceptance.comparison import Comparison
from export.building.build import Plan
from export.building.timing import interleave

_ROUNDS = 40
_ADVICE = {"int8": "; let export/sensitivity.py measure what to leave in float and give its file as --choice"}
"""What to do where an engine of that precision loses too much."""


@dataclass(frozen=True)
class Trial:
    """A built engine with its verdict. excess: what it loses beyond the tolerance, None where nothing.

    median_ms, parent_median_ms: of one batch, measured in one interleaved run on one thread.
    """

    plan: Plan
    candidate: Path
    manifest: Manifest
    comparison: Comparison
    excess: str | None
    median_ms: float
    parent_median_ms: float

    @property
    def speedup(self) -> float:
        """How many times as fast as the float32 parent it is."""
        return self.parent_median_ms / self.median_ms

    def fault(self, *, allow_slower: bool) -> str | None:
        """Say why the engine is refused; None where it is accepted. Float32 itself may be as slow as it is."""
        if self.excess:
            return f"is not good enough: {self.excess}{_ADVICE.get(self.plan.build.precision, '')}"
        if self.plan.build.precision != "fp32" and self.speedup < 1 and not allow_slower:
            return (
                f"is slower than its float32 parent: {self.median_ms:.2f} ms where that takes "
                f"{self.parent_median_ms:.2f} ms; take the float32 file, or add --allow-slower"
            )
        return None


def time_engines(parent: Path, candidates: Sequence[Path], *, batch: int) -> tuple[list[float], str]:
    """Median milliseconds of the parent and then of each candidate, and a line that says how they were measured."""
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(path)) for path in (parent, *candidates)]
        spec = engines[0].manifest.input
        shape = (batch, spec.height_px, spec.width_px, 3)
        crops = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)

        def call(engine: Engine) -> object:
            return engine.describe(crops)

        calls = {index: (lambda engine=engine: call(engine)) for index, engine in enumerate(engines)}
        samples = interleave(calls, rounds=_ROUNDS)
        medians = [float(np.median(samples[index])) for index in range(len(engines))]
        return medians, f"batches of {batch}, one thread of {read_cpu_name()}; float32 by {engines[0].backend}"


def trials_as_table(trials: Sequence[Trial], *, measured: str) -> str:
    """All candidates side by side: time, loss, verdict."""
    width = max(len(trial.plan.title) for trial in trials)
    titles = f"{'ms':>9}{'times float32':>15}{'rank-1 lost':>13}{'mAP lost':>10}{'1 - cos':>10}"
    rows = [f"{'engine':{width}}{titles}  verdict"]
    for trial in sorted(trials, key=lambda one: one.median_ms):
        moved = trial.comparison.child.to_parent
        rows.append(
            f"{trial.plan.title:{width}}{trial.median_ms:>9.2f}{trial.speedup:>15.2f}"
            f"{trial.comparison.rank1_points_lost:>13.2f}{trial.comparison.map_points_lost:>10.2f}"
            f"{max(0, 1 - moved.cosine_mean) if moved else 0:>10.5f}  {trial.excess or 'good enough'}"
        )
    return "\n".join([*rows, measured])
