"""Tables of the gallery: how tracks are joined into people, and what becomes of promised shares of wrong pairs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring.records import read_record
from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table, score_text

_JOINED = ["way", "IDF1 %", "AssA %", "names per person", "false joins per 1,000", "recall %"]


def association_table(paths: Sequence[Path]) -> str:
    """Ours, and each peer at the threshold at which its IDF1 is best. paths: one record per kind of descriptors."""
    rows = [[record["looks"], *row] for record in map(read_record, paths) for row in _joined(record)]
    return markdown_table(["descriptors", *_JOINED], rows)


def clips_table(record: Record) -> str:
    """The same on clips, which are two cameras each."""
    rows = [[one["clip"], *row] for one in record["clips"] for row in _joined(one)]
    return markdown_table(["clip", *_JOINED], rows)


def promises_table(record: Record) -> str:
    """What really passed where 1 % and 0.1 % of the wrong pairs were promised."""
    head = ["limit of", "learnt from", "judged on", "compared", "1 % promised", "0.1 % promised", "pairs", "people"]
    rows: dict[tuple[str, ...], dict[float, Any]] = {}
    for one in record["promises"]:
        of = one["promise"]
        learnt = f"{of['learnt_from']} ({of['learnt_tracks']} tracks)" if of["learnt_tracks"] else of["learnt_from"]
        rows.setdefault((of["way"], learnt, one["counted_on"], one["compared"]), {})[one["promised"]] = one
    return markdown_table(
        head,
        [
            [
                *key,
                *(score_text(by_share[share]["real"]) if share in by_share else "-" for share in (0.01, 0.001)),
                f"{next(iter(by_share.values()))['pairs']:,}",
                str(next(iter(by_share.values()))["people"]),
            ]
            for key, by_share in rows.items()
        ],
    )


def found_table(record: Record) -> str:
    """Right pairs found where 1 % of the wrong ones really pass."""
    head = ["clip", "compared", "right pairs", "by cosine", "by the gallery", "difference"]
    return markdown_table(
        head,
        [
            [
                one["counted_on"],
                one["compared"],
                f"{one['right_pairs']:,}",
                *(score_text(one[way]) for way in ("by_cosine", "by_log_ratio")),
                f"{100 * one['difference']['low']:+.0f} to {100 * one['difference']['high']:+.0f}",
            ]
            for one in record["found"]
        ],
    )


def _joined(record: Record) -> Iterator[list[str]]:
    best = {name: max(scores.values(), key=lambda one: one["idf1"]) for name, scores in record["peers"].items()}
    for name, one in [("reid-edge", record["ours"]), *best.items()]:
        shares = [f"{100 * one[key]:.1f}" for key in ("idf1", "ass_a", "recall")]
        yield [name, *shares[:2], f"{one['names_per_person']:.1f}", f"{one['false_joins']:.1f}", shares[2]]


GALLERY_TABLES = (
    Table(
        "association",
        (f"{CPU_RECORDS}/association.json", f"{CPU_RECORDS}/association_drawn.json"),
        "python benchmarks/gallery_association.py --data DATA",
        association_table,
        "{tracks} tracks of {floor[people]} simulated people past {floor[cameras]} cameras; "
        "each peer at the threshold that suits it best.",
    ),
    Table(
        "association clips",
        (f"{CPU_RECORDS}/association_clips.json",),
        "python benchmarks/gallery_association.py --clips CLIPS --detector yolox_nano.onnx",
        of_record(clips_table),
        "Means over the sequences of ten looks a second at each clip, with {engine}; each peer at the threshold that "
        "suits it best.",
    ),
    Table(
        "promises",
        (f"{CPU_RECORDS}/gallery_calibration.json",),
        "python benchmarks/gallery_calibration.py --clips CLIPS --detector yolox_nano.onnx",
        of_record(promises_table),
        "Wrong pairs that really pass, in per cent, with 95 % intervals over people; {model}.",
    ),
    Table(
        "found pairs",
        (f"{CPU_RECORDS}/gallery_calibration.json",),
        "python benchmarks/gallery_calibration.py --clips CLIPS --detector yolox_nano.onnx",
        of_record(found_table),
        "In per cent, with 95 % intervals over people.",
    ),
)
