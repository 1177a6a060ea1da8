"""The picture of the Pareto page: latency across, accuracy up, and the front."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no screen is needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from benchmarks.reporting.pareto_front import Advice, EngineOption, find_front
from benchmarks.reporting.text import network_title

_COLOURS = {"osnet_x1_0": "#1b4f72", "osnet_x0_75": "#2e86c1", "osnet_x0_5": "#28a08a", "osnet_x0_25": "#d35400"}
_OTHER = "#7d3c98"
_MARKERS = {"fp32": "o", "fp16": "s", "bf16": "D", "int8": "^"}
_GREY = "#6b7280"


def draw_picture(
    options: Sequence[EngineOption], advice: Sequence[Advice], *, path: Path, device: str, data_set: str | None
) -> None:
    """Write a PNG. Engines without an accuracy, if any, stand in a strip below, by latency alone."""
    scored = [option for option in options if option.accuracy]
    others = [option for option in options if not option.accuracy]
    heights = (3, 1.5) if others else (3,)
    figure, grid = plt.subplots(
        len(heights), 1, sharex=True, squeeze=False, figsize=(12, 7), height_ratios=heights, layout="constrained"
    )
    upper, lowest = grid[0, 0], grid[-1, 0]
    _draw_scored(upper, scored)
    _draw_advice(upper, advice)
    if others:
        _draw_unscored(lowest, others)
    upper.set_title("How fast and how accurate: up and to the left is better", loc="left", fontsize=13, weight="bold")
    upper.set_ylabel(f"mAP % on {data_set}" if data_set else "mAP %: not measured yet")
    lowest.set_xlabel(f"milliseconds for one person, median, one thread of {device}")
    upper.set_xscale("log")
    for axes in grid.flat:
        axes.grid(visible=True, which="both", color="#e5e7eb", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    lowest.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    lowest.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    lowest.xaxis.set_minor_formatter(NullFormatter())
    _draw_legend(upper, options)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_scored(axes: Axes, scored: Sequence[EngineOption]) -> None:
    for option in scored:
        assert option.accuracy
        score = option.accuracy.mean_ap
        axes.errorbar(
            option.median_ms,
            100 * score.value,
            yerr=[[100 * (score.value - score.low)], [100 * (score.high - score.value)]],
            marker=_MARKERS.get(option.precision, "x"),
            color=_COLOURS.get(option.architecture, _OTHER),
            markersize=9,
            elinewidth=1,
            capsize=3,
            alpha=0.9,
        )
    front = find_front(scored)
    axes.plot(
        [one.median_ms for one in front],
        [100 * one.mean_ap for one in front],
        color="#111827",
        linewidth=1.2,
        drawstyle="steps-post",
        label="front: nothing is faster and more accurate",
    )
    for number, option in enumerate(front, 1):
        place = (option.median_ms, 100 * option.mean_ap)
        axes.annotate(str(number), place, xytext=(8, 6), textcoords="offset points", fontsize=9, weight="bold")
        axes.plot([], [], marker=f"${number}$", linestyle="none", color="#111827", label=option.title)
    if not scored:
        axes.text(0.5, 0.5, "no accuracy was measured yet", transform=axes.transAxes, ha="center", color=_GREY)


def _draw_advice(axes: Axes, advice: Sequence[Advice]) -> None:
    for one in advice:
        if one.budget.ms is not None:
            axes.axvline(one.budget.ms, color="#b91c1c", linestyle="--", linewidth=1)
            label = f" budget {one.budget.ms:g} ms (95th percentile)"
            axes.text(one.budget.ms, 0.02, label, transform=axes.get_xaxis_transform(),
                      color="#b91c1c", fontsize=8)  # fmt: skip
        if one.option:
            axes.plot(one.option.median_ms, 100 * one.option.mean_ap, "o", markersize=20, fillstyle="none",
                      color="#b91c1c")  # fmt: skip
    axes.plot([], [], "o", markersize=9, fillstyle="none", color="#b91c1c", label="recommended")


def _draw_unscored(axes: Axes, others: Sequence[EngineOption]) -> None:
    """Draw one row per input size, the largest on top."""
    sizes = sorted({option.input for option in others})
    for option in others:
        axes.plot(
            option.median_ms,
            sizes.index(option.input),
            marker=_MARKERS.get(option.precision, "x"),
            color=_COLOURS.get(option.architecture, _OTHER),
            fillstyle="none",
            markersize=7,
            linestyle="none",
        )
    axes.set_yticks(range(len(sizes)), [f"{height}x{width}" for height, width in sizes])
    axes.set_ylim(-0.6, max(len(sizes), 1) - 0.4)
    axes.set_title("Timed only: no trained model, or not scored yet", loc="left", fontsize=9, color=_GREY)


def _draw_legend(axes: Axes, options: Sequence[EngineOption]) -> None:
    widths = {option.architecture: _COLOURS.get(option.architecture, _OTHER) for option in options}
    for architecture, colour in sorted(widths.items(), reverse=True):
        axes.plot([], [], marker="o", linestyle="none", color=colour, label=network_title(architecture))
    for precision in sorted({option.precision for option in options}):
        axes.plot([], [], marker=_MARKERS.get(precision, "x"), linestyle="none", color=_GREY, label=precision)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1.02), frameon=False)
