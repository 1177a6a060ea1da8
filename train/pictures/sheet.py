"""A sheet of small images in labelled rows, which all pictures of people have in common."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

# All lengths are inches.
_TILE_WIDTH = 0.8
_GAP = 0.12
_CAPTION_HEIGHT = 0.18
_LABEL_WIDTH = 1.75
_HEAD_HEIGHT = 0.25
_MARGIN = 0.2
_LINE_HEIGHT = 0.16
_CHARACTERS_PER_INCH = 15
_LEAST_COLUMNS = 7  # room for the title


@dataclass(frozen=True)
class Tile:
    """One image. image: (H, W, 3) uint8, RGB. caption: a few characters below it. frame: colour of its border."""

    image: NDArray[np.uint8]
    caption: str = ""
    frame: str | None = None


@dataclass(frozen=True)
class SheetRow:
    """Images side by side, with a label on their left."""

    label: str
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Sheet:
    """Rows of images of one size. heads: text above each column. explanation: how to read the sheet."""

    title: str
    explanation: str
    heads: Sequence[str]
    rows: Sequence[SheetRow]


def draw_sheet(sheet: Sheet, picture: Path) -> None:
    """Draw a sheet into a picture file."""
    height, width, _ = sheet.rows[0].tiles[0].image.shape
    tile_height = _TILE_WIDTH * height / width
    row_height = tile_height + _CAPTION_HEIGHT + _GAP
    columns = max(_LEAST_COLUMNS, *(len(row.tiles) for row in sheet.rows))
    sheet_width = 2 * _MARGIN + _LABEL_WIDTH + columns * (_TILE_WIDTH + _GAP)
    explanation = textwrap.wrap(sheet.explanation, round((sheet_width - 2 * _MARGIN) * _CHARACTERS_PER_INCH))
    top = _MARGIN + (len(explanation) + 2) * _LINE_HEIGHT + _HEAD_HEIGHT
    sheet_height = top + len(sheet.rows) * row_height + _MARGIN
    figure = Figure(figsize=(sheet_width, sheet_height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.text(_MARGIN, _MARGIN, sheet.title, fontsize=10, weight="bold", va="top")
    axes.text(_MARGIN, _MARGIN + 1.5 * _LINE_HEIGHT, "\n".join(explanation), fontsize=8, va="top", linespacing=1.4)
    for column, head in enumerate(sheet.heads):
        axes.text(_left(column) + _TILE_WIDTH / 2, top - 0.07, head, fontsize=8, ha="center")
    for number, row in enumerate(sheet.rows):
        _draw_row(axes, row, top=top + number * row_height, tile_height=tile_height)
    axes.set(xlim=(0, sheet_width), ylim=(sheet_height, 0), aspect="auto")
    axes.axis("off")
    figure.savefig(picture, dpi=160)


def _draw_row(axes: Axes, row: SheetRow, *, top: float, tile_height: float) -> None:
    middle = top + tile_height / 2
    # A file name may hold dollar signs, between which matplotlib would set a formula.
    axes.text(_MARGIN, middle, row.label, fontsize=7.5, va="center", linespacing=1.4, parse_math=False)
    for column, tile in enumerate(row.tiles):
        left, bottom = _left(column), top + tile_height
        axes.imshow(tile.image, extent=(left, left + _TILE_WIDTH, bottom, top), aspect="auto")
        if tile.frame is not None:
            border = Rectangle((left, top), _TILE_WIDTH, tile_height, fill=False, edgecolor=tile.frame, linewidth=3)
            axes.add_patch(border)
        axes.text(left + _TILE_WIDTH / 2, bottom + 0.04, tile.caption, fontsize=7.5, ha="center", va="top")


def _left(column: int) -> float:
    return _MARGIN + _LABEL_WIDTH + column * (_TILE_WIDTH + _GAP)
