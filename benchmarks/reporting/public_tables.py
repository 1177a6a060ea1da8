"""The table of public networks: where they are from, their terms, and what they score and take here."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.measuring.records import read_record
from benchmarks.reporting.document_table import CPU_RECORDS, ROOT, Table
from benchmarks.reporting.text import Record, markdown_table
from edge_runtime.contract.model_list import PublicModel, read_public_models

_SCORES = "public_models.json"
_TIMES = "public_models_time.json"
_NONE = "not measured"
_COPY = "cuhk03_np_detected"


def public_table(paths: Sequence[Path]) -> str:
    """Every row of export/models.json with its figures. paths: of that file."""
    scores, times = (_by_name(ROOT / CPU_RECORDS / name) for name in (_SCORES, _TIMES))
    head = (
        "`reid-edge fetch`",
        "licence of code / weights",
        "trained on",
        "input",
        "MB",
        "street, rank-1 / mAP %",
        "true pairs at 1 % false",
        "CUHK03-NP copy, rank-1 / mAP %",
        "ms per person, float32 / INT8",
    )
    return markdown_table(
        head,
        [_cells(row, scores=scores.get(row.name), times=times.get(row.name)) for row in read_public_models(paths[0])],
    )


def _by_name(path: Path) -> dict[str, Record]:
    return {one["name"]: one for one in read_record(path)["networks"]} if path.exists() else {}


def _cells(row: PublicModel, *, scores: Record | None, times: Record | None) -> list[str]:
    street = scores["street"] if scores else None
    copy = scores["data_sets"].get(_COPY) if scores else None
    return [
        f"[{row.name}]({row.page})",
        f"{row.licence.code} / {row.licence.weights}",
        row.licence.data,
        f"{row.height_px}x{row.width_px}" + (f", {row.pixels}" if row.pixels else ""),
        f"{row.size / 1e6:.1f}",
        _pair(street),
        f"{100 * street['true_pairs']['value']:.1f}" if street else _NONE,
        _pair(copy),
        f"{times['float32_ms']:.2f} / {times['int8_ms']:.2f}" if times else _NONE,
    ]


def _pair(found: Record | None) -> str:
    return f"{100 * found['rank1']['value']:.1f} / {100 * found['mean_ap']['value']:.1f}" if found else _NONE


PUBLIC_TABLES = (
    Table(
        "public_models",
        ("export/models.json",),
        "python benchmarks/public_models.py NETWORKS --clip VIDEO TRUTH --data DATA",
        public_table,
        "Scores by `benchmarks/public_models.py`: the street is TUD-Campus and TUD-Stadtmitte, 18 people whom no "
        "network of ours saw. Times by its `--time`: float32 in ONNX Runtime, INT8 in OpenVINO, one thread, 8 people "
        "at once.",
    ),
)
