"""The picture of a precision plan: what each layer group costs and saves, and the networks that come out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from calibration.precision_plan import PrecisionPlan
from edge_runtime.contract.errors import ConfigError

matplotlib.use("Agg")
from matplotlib import pyplot

_INT8, _FLOAT = "#1f77b4", "#d98c3f"


@dataclass(frozen=True)
class Outcome:
    """Time and loss of a whole engine. loss: mean of 1 - cosine to float32. lost_map: percentage points of mAP."""

    name: str
    time_us: float
    loss: float
    lost_map: float
    least_cosine: float


def draw_layer_costs(plan: PrecisionPlan, outcomes: Sequence[Outcome], *, path: Path, title: str) -> None:
    """Write the picture as a PNG file.

    Raises:
        ConfigError: the file cannot be written.
    """
    figure, (losses, savings, whole) = pyplot.subplots(1, 3, figsize=(15, 5), layout="constrained")
    _draw_groups(plan, losses, savings=savings)
    _draw_outcomes(outcomes, whole)
    figure.suptitle(title)
    try:
        figure.savefig(path, dpi=110, metadata={"Software": None})
    except OSError as error:
        raise ConfigError(f"cannot write the picture {path}: {error.strerror}; give another --output") from error
    finally:
        pyplot.close(figure)


def _draw_groups(plan: PrecisionPlan, losses: Any, *, savings: Any) -> None:
    costs = sorted(plan.measured, key=lambda cost: cost.loss)
    names = [f"{cost.group}\n({cost.lost_map:+.2f} mAP lost)" for cost in costs]
    colours = [_FLOAT if cost.group in plan.kept_in_float else _INT8 for cost in costs]
    losses.barh(names, [cost.loss for cost in costs], color=colours)
    losses.set_title("What it costs to quantise only this group")
    losses.set_xlabel("mean of 1 - cosine to float32 (less is better)")
    middles = np.array([cost.saved_us for cost in costs])
    spread = [middles - [cost.low_us for cost in costs], [cost.high_us for cost in costs] - middles]
    savings.barh([cost.group for cost in costs], middles, xerr=np.maximum(spread, 0), color=colours, capsize=3)
    savings.axvline(0, color="black", linewidth=0.8)
    savings.set_title("What it saves")
    savings.set_xlabel("microseconds per image; left of 0 float is faster\nwhiskers: quartiles of the rounds")
    patches = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for colour in (_INT8, _FLOAT)]
    losses.legend(patches, ["chosen: INT8", "chosen: stays in float"], loc="lower right")


def _draw_outcomes(outcomes: Sequence[Outcome], whole: Any) -> None:
    for outcome in outcomes:
        label = f"{outcome.name}: {outcome.time_us:.0f} us, {outcome.lost_map:+.2f} mAP lost"
        whole.scatter(outcome.time_us, outcome.loss, s=70, label=label)
    whole.set_xlim(0, 1.1 * max(outcome.time_us for outcome in outcomes))
    whole.set_ylim(top=1.6 * max(outcome.loss for outcome in outcomes))  # room for the legend
    whole.legend(loc="upper left", fontsize=9)
    whole.set_title("Whole networks: left and low is better")
    whole.set_xlabel("microseconds per image, one thread")
    whole.set_ylabel("mean of 1 - cosine to float32")
