"""Tables of how many cameras a machine carries: what each case used, and what that says about boards."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.measuring.records import read_record
from benchmarks.reporting.document_table import CPU_RECORDS, Table, of_record
from benchmarks.reporting.text import Record, markdown_table

_SOURCE = f"{CPU_RECORDS}/cameras.json"
_COMMAND = "python benchmarks/cameras.py --detector yolox_nano_416x256.onnx"
_ENOUGH = 0.9
"""The share of the looks it wants that a camera which is carried gets; the daemon's own rule for `keeps up`."""
_UNTRIED = ("Jetson Orin Nano", "Jetson Orin NX", "Jetson AGX Orin", "a PC with an NVIDIA GPU")


def cameras_table(record: Record) -> str:
    """One row per case and version: medians over the rounds; looks of the camera that got the fewest and the most."""
    head = ["cameras", "version", "looks/s each", "cores", "CPU ms per look", "p95 ms", "MiB"]
    rows = []
    for case, version in dict.fromkeys((run["case"], run["version"]) for run in record["runs"]):
        runs = _runs(record, case=case, version=version)
        looks = [sorted(run["looks_per_s"].values()) for run in runs]
        latencies = [run["p95_ms"] for run in runs if run["p95_ms"] is not None]
        rows.append(
            [
                case,
                version,
                f"{median(one[0] for one in looks):.1f} to {median(one[-1] for one in looks):.1f}",
                f"{median(run['cores'] for run in runs):.2f}",
                f"{median(run['cpu_ms_per_look'] for run in runs):.1f}",
                f"{median(latencies):.0f}" if latencies else "-",
                f"{median(run['peak_mib'] for run in runs):.0f}",
            ]
        )
    return markdown_table(head, rows)


def boards_table(paths: Sequence[Path]) -> str:
    """For each machine that has a record, the largest cases in which every camera got the looks it wants."""
    rows = []
    for record in map(read_record, paths):
        carried = [case for case in _cases(record) if _is_carried(record, case)]
        machine = f"{record['cores']} cores of {record['device']}, no GPU"
        rows.append([machine, ", or ".join(_largest(carried)) or "none of the cases", record["detector"]])
    rows += [[board, "not measured", "-"] for board in _UNTRIED]
    return markdown_table(["machine", "cameras that got their looks", "detector"], rows)


def _runs(record: Record, *, case: str, version: str = "now") -> list[Record]:
    return [run for run in record["runs"] if (run["case"], run["version"]) == (case, version)]


def _cases(record: Record) -> list[str]:
    return list(dict.fromkeys(run["case"] for run in record["runs"] if run["version"] == "now"))


def _is_carried(record: Record, case: str) -> bool:
    """Whether in the median round each camera got nearly all looks that it wants."""
    runs = _runs(record, case=case)
    least = median(min(run["looks_per_s"].values()) for run in runs)
    return bool(least >= _ENOUGH * runs[0]["max_fps"])


def _largest(cases: Sequence[str]) -> list[str]:
    """Of cases that differ in the number of cameras only, the one with the most: `8 large` of `4 large`, `8 large`."""
    most: dict[str, str] = {}
    for case in cases:
        count, _, kind = case.partition(" ")
        if kind not in most or int(count) > int(most[kind].partition(" ")[0]):
            most[kind] = case
    return list(most.values())


CAMERA_TABLES = (
    Table(
        "cameras",
        (_SOURCE,),
        _COMMAND,
        of_record(cameras_table),
        "{cores} cores of {device}, {detector}, {method}. Small is 768x432 and large 1920x1080 at 15 frames/s, heavy "
        "3840x2160 at 10; a camera wants 10 looks/s where nothing else is said.",
    ),
    Table(
        "boards",
        ("benchmarks/records/*/cameras.json",),
        _COMMAND,
        boards_table,
        "Of the cases that `benchmarks/cameras.py` runs, the largest in which every camera got 9 of 10 looks that it "
        "wants: small is 768x432, large 1920x1080, heavy 3840x2160, 10 looks/s where nothing else is said.",
    ),
)
