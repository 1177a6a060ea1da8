"""Write flow.svg, the drawing of the whole flow on the project's first page: lanes of boxes, and arrows between them.

Colours are those of paper and ink on a card of its own, so that it can be read on a light page and on a dark one.
"""

import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

from edge_runtime.contract.script import ScriptParser, replace_file, run

FLOW = Path(__file__).resolve().parents[2] / "flow.svg"
_WIDTH, _HEIGHT = 1120, 406
_BOX_WIDTH, _BOX_HEIGHT = 136, 66
_LINE = "#6b7280"
_TITLE = 'font-size="16" font-weight="600" fill="#1f2937"'
_DETAIL = 'font-size="12" fill="#4b5563"'
_NOTE = 'font-size="12" fill="#1f2937"'
_NAME = 'font-size="13" fill="#1f2937"'
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class FlowBox:
    """A box: its left upper corner, a title, a line below it, and its colour."""

    left: int
    top: int
    title: str
    detail: str
    fill: str

    def draw(self) -> str:
        """The box as SVG."""
        middle = self.left + _BOX_WIDTH / 2
        return (
            f'<rect x="{self.left}" y="{self.top}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="8" '
            f'fill="{self.fill}" stroke="{_LINE}"/>'
            + _text(middle, self.top + 29, text=self.title, style=_TITLE)
            + _text(middle, self.top + 49, text=self.detail, style=_DETAIL)
        )


_MAKE, _RUN, _HEAR = "#dbeafe", "#dcfce7", "#fef3c7"
_TOP, _BELOW = 68, 264
_COLUMNS = (36, 216, 396, 576, 762, 948)
BOXES = (
    FlowBox(_COLUMNS[0], _TOP, "data set", "labelled people", "#ffffff"),
    FlowBox(_COLUMNS[1], _TOP, "train", "checkpoint", _MAKE),
    FlowBox(_COLUMNS[2], _TOP, "export", "ONNX file, engine", _MAKE),
    FlowBox(_COLUMNS[3], _TOP, "calibration", "ranges for INT8", _MAKE),
    FlowBox(_COLUMNS[0], _BELOW, "camera", "frames", _RUN),
    FlowBox(_COLUMNS[1], _BELOW, "people", "boxes and tracks", _RUN),
    FlowBox(_COLUMNS[2], _BELOW, "engine", "descriptors", _RUN),
    FlowBox(_COLUMNS[3], _BELOW, "spool", "messages, on disk", _RUN),
    FlowBox(_COLUMNS[4], _BELOW, "broker", "MQTT 5", "#ffffff"),
    FlowBox(_COLUMNS[5], _BELOW, "receiver", "checks for gaps", _HEAR),
)


def main(argv: list[str] | None = None) -> int:
    """Write the drawing. Returns the exit code."""
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--help",
        next_step="README.md shows flow.svg",
        examples="example: python benchmarks/reporting/flow_drawing.py",
    )
    parser.parse_args(argv)
    replace_file(FLOW, draw_flow())
    return 0


def draw_flow() -> str:
    """The whole SVG file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="{_FONT}" role="img">',
        "<title>From a data set to an engine, and from a camera to a receiver</title>",
        f'<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{_LINE}"/></marker></defs>',
        f'<rect x="1" y="1" width="{_WIDTH - 2}" height="{_HEIGHT - 2}" rx="14" fill="#f8fafc" stroke="#cbd5e1"/>',
        _lane(20, 26, width=708, height=124, title="once: from a data set to an engine"),
        _lane(20, 222, width=708, height=164, title="beside each camera: edge_runtime"),
        _lane(932, 222, width=168, height=164, title="anywhere"),
        *(box.draw() for box in BOXES),
        *_arrows(),
    ]
    return "\n".join(parts) + "\n</svg>\n"


def _arrows() -> list[str]:
    upper, lower = _TOP + _BOX_HEIGHT / 2, _BELOW + _BOX_HEIGHT / 2
    right = [left + _BOX_WIDTH for left in _COLUMNS]
    engine = _COLUMNS[2] + _BOX_WIDTH / 2
    return [
        *(_arrow(right[i], upper, right=_COLUMNS[i + 1], bottom=upper) for i in (0, 1)),
        _arrow(right[2], upper, right=_COLUMNS[3], bottom=upper, is_both_ways=True),
        _arrow(engine, _TOP + _BOX_HEIGHT, right=engine, bottom=_BELOW),
        _text(
            engine + 12, 181, text="engine and its manifest: what goes in, what comes out,", style=_NOTE, anchor="start"
        ),
        _text(engine + 12, 198, text="where it came from, what it scored", style=_NOTE, anchor="start"),
        *(_arrow(right[i], lower, right=_COLUMNS[i + 1], bottom=lower) for i in range(5)),
        _text(_COLUMNS[0], _BELOW + 100, text="Pixels never leave this part.", style=_NAME, anchor="start"),
    ]


def _lane(left: int, top: int, *, width: int, height: int, title: str) -> str:
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="10" fill="#ffffff" '
        f'stroke="#94a3b8" stroke-dasharray="5 4"/>'
        + _text(left + 16, top + 25, text=title, style=_NAME, anchor="start")
    )


def _arrow(left: float, top: float, *, right: float, bottom: float, is_both_ways: bool = False) -> str:
    start = ' marker-start="url(#head)"' if is_both_ways else ""
    return (
        f'<line x1="{left:g}" y1="{top:g}" x2="{right:g}" y2="{bottom:g}" stroke="{_LINE}" stroke-width="1.6"'
        f'{start} marker-end="url(#head)"/>'
    )


def _text(x: float, y: float, *, text: str, style: str, anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" {style} text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(run(main))
