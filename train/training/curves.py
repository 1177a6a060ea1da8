"""A run's log as a picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import MaxNLocator

Row = Mapping[str, Any]
Curves = dict[str, list[tuple[int, float]]]


def draw_curves(log: Path, picture: Path) -> None:
    """Draw losses, training accuracy, learning rate and scores over epochs. log: see `read_curves`."""
    panels = read_curves(log)
    figure, axes = pyplot.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), layout="constrained")
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        _draw(axis, title, curves)
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)


def read_curves(log: Path) -> dict[str, Curves]:
    """A run's curves by panel and name; a panel that has none is left out. log: JSON lines, one per epoch."""
    rows = list({row["epoch"]: row for row in map(json.loads, log.read_text().splitlines())}.values())
    panels = {
        "loss": {"total": _curve(rows, "loss"), **_nested(rows, "losses")},
        "training accuracy": {"": _curve(rows, "accuracy")},
        "learning rate": {"": _curve(rows, "learning_rate")},
        "scores": _nested(rows, "scores"),
    }
    return {title: curves for title, curves in panels.items() if curves}


def _draw(axis: Any, title: str, curves: Curves) -> None:
    for name, points in curves.items():
        marker = "o" if len(points) == 1 else None
        axis.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker=marker)
    axis.set(xlabel="epoch", title=title)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    if len(curves) > 1:
        axis.legend(fontsize="small")


def _curve(rows: Sequence[Row], key: str) -> list[tuple[int, float]]:
    return [(row["epoch"], row[key]) for row in rows]


def _nested(rows: Sequence[Row], key: str) -> Curves:
    """The figures under `key` by name, of the epochs that have them."""
    curves: Curves = {}
    for row in rows:
        for name, value in row.get(key, {}).items():
            curves.setdefault(name, []).append((row["epoch"], value))
    return curves
