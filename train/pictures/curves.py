"""The curves of several runs in one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from edge_runtime.contract.errors import DataError
from train.training.run_folder import Curves, read_curves

_COLUMNS = 3
_MAIN_CURVES = ("", "total")
"""Names of curves that are titled by their panel alone."""


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
