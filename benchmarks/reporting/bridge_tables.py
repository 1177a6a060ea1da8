"""The table of bridges between spaces: what is found through them, and what a mixed gallery finds."""

from collections import defaultdict

from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table, score_text

_SHOWN = 3000


def bridge_table(record: Record) -> str:
    """A row for each ordered pair of networks; spaces that are the same need no bridge."""
    alone = {one["name"]: one["mean_ap"]["value"] for one in record["networks"]}
    as_it_is = {(one["old"], one["new"]): one["mean_ap"]["value"] for one in record["unbridged"]}
    bridges: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for one in record["bridges"]:
        bridges[one["old"], one["new"]].append(one)
    rows = []
    for old, new in dict.fromkeys([*bridges, *as_it_is]):
        found = as_it_is.get((old, new))
        figures = [
            f"`{old}`",
            f"`{new}`",
            f"{100 * alone[old]:.1f}",
            f"{100 * alone[new]:.1f}",
            "other length" if found is None else f"{100 * found:.1f}",
        ]
        rows.append([*figures, *_bridged(bridges[old, new])])
    head = (
        "gallery by",
        "queries by",
        "old alone, mAP %",
        "new alone, mAP %",
        "as they are, mAP %",
        "over a bridge of 3,000 pairs, mAP %",
        "kept of the new %: 300 / 1,000 / 3,000 / all pairs",
        "the same by tracks %",
        "half native, half moved, rank-1 %: better half / as it is / calibrated",
    )
    return markdown_table(head, rows)


def _bridged(bridges: list[Record]) -> list[str]:
    if not bridges:
        return ["same space: no bridge", "-", "-", "-"]
    by_count = sorted(bridges, key=lambda one: int(one["pairs"]))
    shown = next(one for one in by_count if one["pairs"] == _SHOWN)
    mixed = shown["mixed"]
    halves = (max(mixed["native"], mixed["moved"]), mixed["as_it_is"], mixed["calibrated"])
    return [
        score_text(shown["mean_ap"]),
        " / ".join(f"{100 * one['kept']['value']:.0f}" for one in by_count),
        " / ".join(f"{100 * one['kept_unlabelled']['value']:.0f}" for one in by_count),
        " / ".join(f"{100 * one:.1f}" for one in halves),
    ]


BRIDGE_TABLES = (
    Table(
        "bridges",
        (f"{CPU_RECORDS}/bridges.json",),
        "python benchmarks/bridges.py NETWORKS --data DATA",
        of_record(bridge_table),
        "{queries} queries and {gallery} images of people whom no bridge has seen, of {data_set}; in brackets the 95 % "
        "interval.",
    ),
)
