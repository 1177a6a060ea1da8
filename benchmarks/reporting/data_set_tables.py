"""The table of data sets, from the catalog."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.reporting.document_table import Table
from benchmarks.reporting.text import markdown_table
from train.datasets.catalog import DATA_SETS
from train.datasets.data_set import DataSet


def data_set_table(_: Sequence[Path]) -> str:
    """The data sets that can be read, in the order of the catalog."""
    head = ("`--data-set`", "data set", "for", "training images", "test images", "published by")
    return markdown_table(head, [_data_set_cells(data_set) for data_set in DATA_SETS.values()])


def _data_set_cells(data_set: DataSet) -> tuple[str, ...]:
    counts = data_set.counts
    people = f" of {counts['training identities']:,} people" if "training identities" in counts else ""
    query = f"{counts['query images']:,} queries, " if "query images" in counts else ""
    test = counts.get("gallery images", counts.get("test images"))
    return (
        f"`{data_set.name}`",
        data_set.title,
        data_set.kind,
        f"{counts['training images']:,}{people}" if counts else "all of its four",
        f"{query}{test:,}" if test else "-",
        data_set.paper or "-",
    )


DATA_SET_TABLES = (
    Table(
        "data_sets",
        ("train/datasets/catalog.py",),
        "python train/run.py --list",
        data_set_table,
        "Counts as published; a copy that differs is refused.",
    ),
)
