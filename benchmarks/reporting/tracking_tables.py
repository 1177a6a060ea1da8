"""The tables of trackers and of best shots at several rates of looks."""

from collections.abc import Sequence

from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table

_OURS, _DESCRIPTORS = "ours", "our descriptors"


def tracking_table(record: Record) -> str:
    """Each tracker with the settings that suit it best; per clip and rate HOTA / IDF1, and milliseconds."""
    scores = record["scores"]
    clips = list(dict.fromkeys(one["clip"] for one in scores))
    names = _better_settings(scores)
    counts = list(dict.fromkeys(timing["boxes"] for timing in record["timings"]))
    rows = [
        [name, clip, *_cells(scores, name, clip=clip), *_times(record, name, counts=counts)]
        for clip in clips
        for name in names
    ]
    rates = [f"{one['rate']:g}/s" for one in scores if (one["tracker"], one["clip"]) == (names[0], clips[0])]
    return markdown_table(["tracker", "clip", *rates, *(f"ms, {count} people" for count in counts)], rows)


def weak_table(record: Record) -> str:
    """What weaker descriptors do to our tracker."""
    rows = [
        [f"{one['dimensions']}", f"{one['sensitivity']:.2f}", f"{one['hota']:.1f} / {one['idf1']:.1f}"]
        for one in record["weakened"]
    ]
    return markdown_table(["dimensions", "d'", "HOTA / IDF1"], rows)


def best_shots_table(record: Record) -> str:
    """Both ways of choosing moments, by rate."""
    rows = [
        [
            f"{one['rate']:g}/s",
            one["way"],
            f"{one['descriptors']}",
            f"{one['on_a_person']:.3f}",
            f"{one['clean']:.3f}",
            f"{one['strictly_clean']:.3f}",
            f"{one['well_described']} of {one['people']}",
            f"{one['unclear_ends']}",
            f"{one['described'] / one['looks']:.2f}",
        ]
        for one in record["figures"]
    ]
    head = ["looks", "", "descriptors", "on a person", "clean", "strictly", "people well described", "unclear ends"]
    return markdown_table([*head, "crops per look"], rows)


def _better_settings(scores: Sequence[Record]) -> list[str]:
    """Of each other tracker the settings with the greatest sum of HOTA; all of ours, and all that get descriptors."""
    sums: dict[str, float] = {}
    for one in scores:
        sums[one["tracker"]] = sums.get(one["tracker"], 0.0) + one["hota"]
    best: dict[str, str] = {}
    for name, total in sums.items():
        is_alone = name.startswith(_OURS) or name.endswith(_DESCRIPTORS)
        kind = name if is_alone else name.split(",")[0]
        if kind not in best or total > sums[best[kind]]:
            best[kind] = name
    return list(best.values())


def _cells(scores: Sequence[Record], name: str, *, clip: str) -> list[str]:
    return [f"{one['hota']:.1f} / {one['idf1']:.1f}" for one in scores if (one["tracker"], one["clip"]) == (name, clip)]


def _times(record: Record, name: str, *, counts: Sequence[int]) -> list[str]:
    found = {(one["tracker"], one["boxes"]): one["cpu_ms"] for one in record["timings"]}
    return [f"{found[name, count]:.1f}" for count in counts]


TRACKING_TABLES = (
    Table(
        "tracking",
        (f"{CPU_RECORDS}/tracking.json",),
        "python benchmarks/tracking.py --clips CLIPS --detector DETECTOR --peer-python PYTHON",
        of_record(tracking_table),
        "HOTA / IDF1 in per cent by looks per second, all on the boxes of {detector}; ours with descriptors of "
        "{descriptors} where it says so; CPU time per update on {device}.",
    ),
    Table(
        "weak-descriptors",
        (f"{CPU_RECORDS}/tracking.json",),
        "python benchmarks/tracking.py --clips CLIPS --detector DETECTOR --peer-python PYTHON",
        of_record(weak_table),
        "All sequences of both clips together, through a camera's stream; 0: no descriptors.",
    ),
    Table(
        "best-shots",
        (f"{CPU_RECORDS}/best_shots.json",),
        "python benchmarks/best_shots.py --clips CLIPS --detector DETECTOR",
        of_record(best_shots_table),
        "Boxes of {detector}, network {model}; shares of descriptors.",
    ),
)
