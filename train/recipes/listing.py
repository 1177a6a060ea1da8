"""The table of `train/run.py --list`: every table row of the papers, its recipe, the paper's figures and ours."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from statistics import mean

from edge_runtime.contract.errors import ConfigError
from train.recipes.catalog import all_recipes
from train.recipes.recipe import Expected, Recipe

Figures = dict[str, float]
"""Scores of one run by name, as shares of 1."""

_ELSEWHERE = "In no table of a paper"
_TABLES = {
    "OSNet": ("3", "4", "5", "6", "7", "8", "9", "10", "11", "12a", "12b", "12c", "12d", "12e", "12f"),
    "PLR-OSNet": ("I", "II", "III", "IV", "V", "VI", "VII"),
    "MGN": ("2", "3", "4", "5"),
    "Pyramid": ("1", "2", "3", "4"),
    _ELSEWHERE: ("",),
}
_HEADS = ("table", "row", "recipe", "data set", "published", "ours")
_EXPLANATION = """\
Figures in per cent: rank-1 / mAP; for classification the error, for attributes the mean accuracy (mA).
published: by the paper, or by the public code where the row says so. ours: measured on our copies of the data, mean
over seeds, from benchmarks/records; "-" if not measured. Where a copy has smaller images than the original, the two
cannot be compared.
"""


@dataclass(frozen=True)
class TableRow:
    """One row of one table of a paper, and the recipe that trains it. table: empty where it is in none."""

    paper: str
    table: str
    row: str
    recipe: Recipe

    @property
    def data_set(self) -> str:
        """The data set whose test images are scored."""
        return self.recipe.test_set or self.recipe.data_set


def table_rows() -> tuple[TableRow, ...]:
    """All rows, paper by paper in the order of the recipes; rows of one table may be apart."""
    return tuple(row for recipe in all_recipes() for row in _rows(recipe))


def find_records() -> Path | None:
    """The folder of our own measurements, in the checkout or an installed package; None if it is not installed."""
    try:
        folder = files("benchmarks") / "records"
    except ModuleNotFoundError:
        return None
    return folder if isinstance(folder, Path) and folder.is_dir() else None


def list_recipes(pattern: str = "", *, records: Path | None = None) -> str:
    """The table for the terminal, at most 120 columns wide, of all rows that contain each word of `pattern`.

    The order of the words, letter case, and which of "-", "_", "/" and space stands between words do not matter.
    records: folder of our measurements, at any depth; None means `find_records`.

    Raises:
        ConfigError: no row contains them.
    """
    words = _plain(pattern).split()
    chosen = [row for row in table_rows() if all(_holds(_searched(row), word) for word in words)]
    if not chosen:
        raise ConfigError(f"no recipe contains {pattern!r}; run --list without a word to see them all")
    chosen.sort(key=_order)
    runs = _runs_by_recipe(records or find_records())
    lines = [_EXPLANATION]
    for paper, group in groupby(chosen, key=lambda row: row.paper):
        lines += [paper, *_aligned([_HEADS, *(_cells(row, runs) for row in group)]), ""]
    return "\n".join(lines).rstrip()


def _rows(recipe: Recipe) -> Iterator[TableRow]:
    """The rows that a source names: one, as "OSNet, table 5, model 8", or several, separated by "; "."""
    for source in recipe.expected.source.split("; "):
        paper, _, place = source.partition(", table ")
        table, _, row = place.partition(", ")
        yield TableRow(paper, table, row, recipe) if row else TableRow(_ELSEWHERE, "", source, recipe)


def _searched(row: TableRow) -> str:
    setting = "cross-domain" if row.recipe.test_set else ""
    return _plain(f"{row.paper}, table {row.table}, {row.row}, {row.recipe.name}, {row.data_set} {setting}")


def _plain(text: str) -> str:
    """Lower case, words separated by spaces, numbers joined to nouns: `Table 5, part-3` becomes `table5  part3`."""
    return re.sub(r"\b(table|model|part) (?=\w)", r"\1", re.sub("[-_/,]", " ", text.lower()))


def _holds(text: str, word: str) -> bool:
    """A number counts only as a whole: table 1 is not table 10."""
    return re.search(re.escape(word) + (r"(?!\d)" if word[-1].isdigit() else ""), text) is not None


def _order(row: TableRow) -> tuple[int, int]:
    return list(_TABLES).index(row.paper), _TABLES[row.paper].index(row.table)


def _cells(row: TableRow, runs: Mapping[str, Sequence[Figures]]) -> tuple[str, ...]:
    measured = _mean_figures(runs.get(row.recipe.name.replace(":", "-"), ()))
    return row.table, row.row, row.recipe.name, row.data_set, _published(row.recipe.expected), measured


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    """One line per row, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [" ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]


def _published(expected: Expected) -> str:
    return _figures(
        rank1=expected.rank1,
        mean_ap=expected.mean_ap,
        top1_error=expected.top1_error,
        mean_accuracy=expected.mean_accuracy,
    )


def _runs_by_recipe(records: Path | None) -> dict[str, list[Figures]]:
    """The figures of every recorded run, of all seeds and random splits, by the name of its recipe in a file name."""
    runs: dict[str, list[Figures]] = {}
    for folder in records.rglob("*-seed*") if records is not None else ():
        if folder.is_dir():
            runs.setdefault(folder.name.rpartition("-seed")[0], []).extend(_read_run(folder))
    return runs


def _read_run(folder: Path) -> list[Figures]:
    """The figures in a record: those of scores.json, or of the manifest if there is no such file."""
    scores = [json.loads(path.read_text()) for path in folder.rglob("scores.json")]
    if scores:
        return [content["scores"][content["reported"]] for content in scores]
    manifests = [json.loads(path.read_text()) for path in folder.glob("model.pth.json")]
    return [{key: manifest["evidence"][key]["value"] for key in ("rank1", "mean_ap")} for manifest in manifests]


def _mean_figures(runs: Sequence[Figures]) -> str:
    """The mean over runs, for the terminal."""
    return _figures(**{key: _mean_of(key, runs) for key in ("rank1", "mean_ap", "top1_error", "mean_accuracy")})


def _mean_of(key: str, runs: Sequence[Figures]) -> float | None:
    values = [run[key] for run in runs if key in run]
    return mean(values) if values else None


def _figures(
    *, rank1: float | None, mean_ap: float | None, top1_error: float | None, mean_accuracy: float | None
) -> str:
    if top1_error is not None:
        return f"error {100 * top1_error:.4g}"
    if mean_accuracy is not None:
        return f"mA {100 * mean_accuracy:.1f}"
    if rank1 is None:
        return "-"
    return f"{100 * rank1:.1f} / " + ("-" if mean_ap is None else f"{100 * mean_ap:.1f}")
