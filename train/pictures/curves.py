"""The curves of a run, and of several runs in one picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from edge_runtime.contract.errors import DataError

Curves = dict[str, list[tuple[int, float]]]
"""Name of a curve -> (epoch, figure) of each point."""
_COLUMNS = 3
_MAIN_CURVES = ("", "total")
"""Curves without a name in the legend: the panel's title says enough."""


def draw_curves(log: Path, picture: Path) -> None:
    """Draw losses, training accuracy, learning rate and scores over epochs. log: see `read_curves`."""
    panels = read_curves(log)
    figure = Figure(figsize=(4 * len(panels), 3.2), layout="constrained")
    [axes] = figure.subplots(1, len(panels), squeeze=False)
    for axis, (title, curves) in zip(axes, panels.items(), strict=True):
        _draw(axis, title, curves=curves)
    figure.savefig(picture, dpi=120)


def read_curves(log: Path) -> dict[str, Curves]:
    """A run's curves by panel and name; a panel without curves is left out. log: JSON lines, one per epoch."""
    rows = list({row["epoch"]: row for row in map(json.loads, log.read_text().splitlines())}.values())
    panels = {
        "loss": {"total": _curve(rows, "loss"), **_nested(rows, "losses")},
        "training accuracy": {"": _curve(rows, "accuracy")},
        "learning rate": {"": _curve(rows, "learning_rate")},
        "scores": _nested(rows, "scores"),
    }
    return {title: curves for title, curves in panels.items() if curves}


def draw_comparison(runs: Sequence[Path], picture: Path) -> None:
    """Draw what each run's log holds over epochs, a panel per figure, a line per run. runs: run folders.

    Raises:
        DataError: a run folder has no log, or one that cannot be read.
    """
    logs = {_name(run, runs): _read(run / "log.jsonl") for run in runs}
    panels = arrange_panels(logs)
    colours = {name: f"C{number}" for number, name in enumerate(logs)}
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 3 * rows + 0.25 * len(logs) + 0.2), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    for axes, (title, curves) in zip(grid.flat, panels.items(), strict=False):
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), color=colours[name], marker="o" if len(points) == 1 else None)
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    lines = [Line2D([], [], color=colour) for colour in colours.values()]
    figure.legend(lines, list(colours), loc="outside lower center")
    figure.savefig(picture, dpi=120)


def arrange_panels(logs: Mapping[str, Mapping[str, Curves]]) -> dict[str, Curves]:
    """Title of each figure -> the curve of every run that has it. logs: run -> its panels."""
    panels: dict[str, Curves] = {}
    for run, of_run in logs.items():
        for panel, curves in of_run.items():
            for name, points in curves.items():
                title = panel if name in _MAIN_CURVES else f"{panel}: {name.replace('_', ' ')}"
                panels.setdefault(title, {})[run] = points
    return panels


def _name(run: Path, runs: Sequence[Path]) -> str:
    """A run's folder name, or the whole path where two are called alike."""
    name = run.resolve().name
    return name if sum(other.resolve().name == name for other in runs) == 1 else str(run)


def _read(log: Path) -> dict[str, Curves]:
    try:
        curves = read_curves(log)
    except FileNotFoundError as error:
        raise DataError(
            f"expected a run's log at {log}, found none; give run folders, as train/run.py leaves them"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{log} is not the log of a run, or was cut short") from error
    if not curves["learning rate"][""]:
        raise DataError(f"{log} holds no finished epoch yet")
    return curves


def _draw(axis: Any, title: str, *, curves: Curves) -> None:
    for name, points in curves.items():
        marker = "o" if len(points) == 1 else None
        axis.plot(*zip(*points, strict=True), label=name.replace("_", " "), marker=marker)
    axis.set(xlabel="epoch", title=title)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    if len(curves) > 1:
        axis.legend(fontsize="small")


def _curve(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    return [(row["epoch"], row[key]) for row in rows]


def _nested(rows: Sequence[Mapping[str, Any]], key: str) -> Curves:
    """The figures under `key` by name, of the epochs that have them."""
    curves: Curves = {}
    for row in rows:
        for name, value in row.get(key, {}).items():
            curves.setdefault(name, []).append((row["epoch"], value))
    return curves
