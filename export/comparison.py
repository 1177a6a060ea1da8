"""A model against the one it was made from: how far descriptors moved, and what that costs in retrieval."""

import argparse
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, ExportError
from edge_runtime.contract.manifest import Evidence, Fidelity, Precision, Score, read_manifest
from edge_runtime.engine.engine import open_engine
from train.data.datasets import ReidData
from train.metrics import Retrieval
from train.scoring import Describe, describe_test_split, evidence, score


@dataclass(frozen=True)
class Tolerance:
    """What a model may lose against its parent, in percentage points."""

    rank1: float
    mean_ap: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(rank1=0.1, mean_ap=0.05),
    "fp16": Tolerance(rank1=0.3, mean_ap=0.1),
    "int8": Tolerance(rank1=1.0, mean_ap=0.5),
}


@dataclass(frozen=True)
class Comparison:
    """Scores of both models on the same images.

    crossed: queries described by the parent, gallery by the child, because a fleet mixes precisions.
    """

    parent: Evidence
    child: Evidence
    crossed: Retrieval

    @property
    def lost(self) -> Tolerance:
        """What the child loses, in percentage points; negative where it gains."""
        return Tolerance(
            rank1=100 * (self.parent.rank1.value - self.child.rank1.value),
            mean_ap=100 * (self.parent.mean_ap.value - self.child.mean_ap.value),
        )

    def excess(self, tolerance: Tolerance) -> str | None:
        """Say in one phrase what goes beyond the tolerance; None where nothing does."""
        faults = [
            f"{lost:.2f} points of {name} lost where at most {allowed:g} may be"
            for name, lost, allowed in (
                ("rank-1", self.lost.rank1, tolerance.rank1),
                ("mAP", self.lost.mean_ap, tolerance.mean_ap),
            )
            if lost > allowed + 1e-9
        ]
        return " and ".join(faults) or None


def compare(parent: Path, child: Path, data: ReidData) -> Comparison:
    """Describe query and gallery with both models and compare.

    Raises:
        ManifestError, EngineError: a model cannot be opened.
        ExportError: their descriptors are of different spaces.
        DataError: an image cannot be decoded.
    """
    spaces = [read_manifest(path).space_id for path in (parent, child)]
    if spaces[0] != spaces[1]:
        raise ExportError(
            f"{child} describes in space {spaces[1]}, {parent} in space {spaces[0]}: other weights or another input, "
            "so they cannot be compared; give a model and one that was made from it"
        )
    threads = os.cpu_count() or 1
    with open_engine(parent, threads=threads) as one, open_engine(child, threads=threads) as other:
        spec = one.manifest.input
        return compare_descriptions(
            one.describe, other.describe, data, height_px=spec.height_px, width_px=spec.width_px
        )


def compare_descriptions(
    parent: Describe, child: Describe, data: ReidData, *, height_px: int, width_px: int
) -> Comparison:
    """Compare two ways to describe the same images."""
    one = describe_test_split(parent, data, height_px=height_px, width_px=width_px)
    other = describe_test_split(child, data, height_px=height_px, width_px=width_px)
    moved = fidelity(
        np.concatenate([split.descriptors for split in one]), np.concatenate([split.descriptors for split in other])
    )
    before, after = evidence(score(*one), data), evidence(score(*other), data)
    crossed = score(one[0], other[1])
    after = after.model_copy(
        update={
            "to_parent": moved,
            "parent_rank1": before.rank1.value,
            "parent_mean_ap": before.mean_ap.value,
            "crossed_rank1": crossed.rank(1),
            "crossed_mean_ap": crossed.mean_ap,
        }
    )
    return Comparison(parent=before, child=after, crossed=crossed)


def fidelity(parent: NDArray[np.float32], child: NDArray[np.float32]) -> Fidelity:
    """How close L2-normalised descriptors (N, D) are, row by row.

    Raises:
        ExportError: a descriptor holds something that is not a finite number.
    """
    for name, descriptors in (("parent", parent), ("new", child)):
        broken = int((~np.isfinite(descriptors).all(axis=1)).sum())
        if broken:
            raise ExportError(f"{broken} of {len(descriptors)} descriptors of the {name} model are not finite numbers")
    cosines = (parent.astype(np.float64) * child).sum(axis=1)
    return Fidelity(
        cosine_mean=float(cosines.mean()),
        cosine_min=float(cosines.min()),
        largest_difference=float(np.abs(parent - child).max()),
        images=len(parent),
    )


def add_tolerance_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say how much a model may lose."""
    limits = ", ".join(f"{name} {limit.rank1:g} / {limit.mean_ap:g}" for name, limit in TOLERANCES.items())
    parser.add_argument(
        "--rank1-points",
        type=float,
        help=f"percentage points of rank-1 that may be lost (default by precision, rank-1 / mAP: {limits})",
    )
    parser.add_argument("--map-points", type=float, help="percentage points of mAP that may be lost")


def tolerance_of(arguments: argparse.Namespace, precision: Precision) -> Tolerance:
    """The tolerance asked for with the options of `add_tolerance_options`.

    Raises:
        ConfigError: not a number, which no loss would exceed.
    """
    if any(math.isnan(points) for points in (arguments.rank1_points, arguments.map_points) if points is not None):
        raise ConfigError("--rank1-points and --map-points take percentage points, found nan")
    usual = TOLERANCES[precision]
    return Tolerance(
        rank1=usual.rank1 if arguments.rank1_points is None else arguments.rank1_points,
        mean_ap=usual.mean_ap if arguments.map_points is None else arguments.map_points,
    )


def as_table(comparison: Comparison) -> str:
    """Both models' scores with their intervals, side by side, for a person to read."""
    rows = [f"{'':18}{'parent':>22}{'new':>22}{'crossed':>10}"]
    crossed = comparison.crossed
    for title, field, mixed in (
        ("rank-1 %", "rank1", crossed.rank(1)),
        ("mAP %", "mean_ap", crossed.mean_ap),
        ("mINP %", "mean_inp", crossed.mean_inp),
    ):
        cells = [_with_interval(getattr(side, field)) for side in (comparison.parent, comparison.child)]
        rows.append(f"{title:18}{cells[0]:>22}{cells[1]:>22}{100 * mixed:>10.2f}")
    moved = comparison.child.to_parent
    if moved:
        rows.append(
            f"cosine to the parent: mean {moved.cosine_mean:.5f}, least {moved.cosine_min:.5f}; largest difference "
            f"{moved.largest_difference:.2g}; {moved.images} images"
        )
    rows.append("intervals: 95 %, bootstrap over queries; crossed: queries by the parent, gallery by the new model")
    return "\n".join(rows)


def _with_interval(value: Score) -> str:
    return f"{100 * value.value:.2f} ({100 * value.low:.1f} to {100 * value.high:.1f})"
