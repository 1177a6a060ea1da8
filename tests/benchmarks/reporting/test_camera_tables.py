"""Tables of how many cameras a machine carries."""

import json
from pathlib import Path
from typing import Any

from benchmarks.reporting.camera_tables import boards_table, cameras_table


def run(case: str, *, looks: list[float], version: str = "now", max_fps: float = 10.0) -> dict[str, Any]:
    """One run of a case."""
    return {
        "case": case,
        "version": version,
        "max_fps": max_fps,
        "cores": 0.5,
        "cpu_ms_per_look": 12.0,
        "looks_per_s": {f"camera-{number}": rate for number, rate in enumerate(looks)},
        "p95_ms": None,
        "peak_mib": 200.0,
    }


def record(*runs: dict[str, Any]) -> dict[str, Any]:
    """A record of them."""
    return {"runs": list(runs), "cores": 2, "device": "CPU", "detector": "a.onnx"}


def test_a_row_has_the_medians_of_its_rounds() -> None:
    """And the looks of the camera that got the fewest and of the one that got the most; versions are kept apart."""
    runs = [run("2 small", looks=looks) for looks in ([10.0, 8.0], [9.0, 7.0], [9.5, 2.0])]
    table = cameras_table(record(*runs, run("2 small", looks=[1.0, 1.0], version="before")))
    assert "| 2 small | now | 7.0 to 9.5 | 0.50 | 12.0 | - | 200 |" in table
    assert "| 2 small | before | 1.0 to 1.0 |" in table


def test_a_board_carries_what_starves_no_camera(tmp_path: Path) -> None:
    """One camera that gets too few looks is enough for a case not to count; boards nobody tried are named."""
    path = tmp_path / "cameras.json"
    runs = [
        run("1 small", looks=[10.0]),
        run("4 small", looks=[9.1] * 4),
        run("8 small", looks=[10.0] * 7 + [8.0]),
        run("16 large, 2 looks/s", looks=[1.9] * 16, max_fps=2.0),
        run("1 large", looks=[3.0]),
    ]
    path.write_text(json.dumps(record(*runs)))
    table = boards_table([path])
    assert "| 2 cores of CPU, no GPU | 4 small, or 16 large, 2 looks/s | a.onnx |" in table
    assert "| Jetson Orin Nano | not measured | - |" in table
    path.write_text(json.dumps(record(run("1 large", looks=[3.0]))))
    assert "| 2 cores of CPU, no GPU | none of the cases | a.onnx |" in boards_table([path])
