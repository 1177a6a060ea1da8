"""Tables out of records: what is there is shown as it is, what is not there is called not measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme_tables
from edge_runtime.contract.errors import ConfigError

SCORE = {"value": 0.412, "low": 0.394, "high": 0.432}


def network(name: str, backend: str, *, is_peer: bool) -> dict[str, Any]:
    """As a latency record describes one."""
    return {"name": name, "backend": backend, "precision": "fp32", "weights": "random", "sha256": None, "rank1": None,
            "mean_ap": None, "is_peer": is_peer}  # fmt: skip


NETWORKS = [network("PyTorch eager", "torch", is_peer=True), network("a.onnx", "onnxruntime 1 CPU", is_peer=False)]
TIMINGS = [
    {"name": name, "batch": 1, "median_ms": ms, "p95_ms": 2 * ms, "times_eager": 8 / ms, "times_arithmetic": 1.5}
    for name, ms in (("PyTorch eager", 8.0), ("a.onnx", 1.25))
]
ALONE = {"name": "a.onnx", "single_stream_p90_ms": 1.3, "multi_stream_p99_ms": 9.9, "resident_mib": 94.6}
RECORDS: dict[str, dict[str, Any]] = {
    "latency_osnet_x0_25.json": {"architecture": "osnet_x0_25", "input": [64, 32], "networks": NETWORKS,
                                 "timings": TIMINGS, "rounds": 9, "alone": [ALONE], "alone_s": 2},
    "latency_grid.json": {
        "cases": [{"architecture": "osnet_x0_25", "input": [64, 32], "networks": NETWORKS, "timings": TIMINGS}]
    },
    "accuracy_cuhk03_np_detected.json": {
        "data_set": "patterns",
        "queries": 8,
        "gallery": 9,
        "engines": [
            {"file": "a", "architecture": "osnet_x0_25", "input": [64, 32], "precision": "fp32", "backend": "torch",
             "runs_on": "PyTorch, cpu", "rank1": SCORE, "mean_ap": SCORE, "mean_inp": SCORE, "to_first": None}
        ],
        "crossings": [{"query": "a", "gallery": "a", "rank1": SCORE, "mean_ap": SCORE}],
    },
    "chain_osnet_x0_25.json": {
        "architecture": "osnet_x0_25",
        "threads": 2,
        "rounds": 3,
        "ways": [{"name": "onnxruntime fp32"}],
        "timings": [
            {"way": "onnxruntime fp32", "batch": 8, "median_ms": 0.62, "faster_than": {"torch_crops": 1.52}},
        ],
    },
    "preprocessing.json": {
        "input": [256, 128],
        "job": "boxes to crops",
        "timings": [{"way": "torch crops", "batch": 8, "cpu_ms": 0.2046, "times_ours": 5.61}],
    },
    "nncf_osnet_x0_25.json": {
        "architecture": "osnet_x0_25",
        "nncf": "3.4.0",
        "job": "Peers: planes",
        "data_set": "patterns",
        "timings": [
            {"way": "ours, INT8", "batch": 8, "median_ms": 0.651, "times_nncf": 1.859},
            {"way": "theirs, any batch", "batch": 8, "median_ms": 2.1, "times_nncf": 0.9},
        ],
        "scores": [{"way": "ours, INT8", "rank1": SCORE, "mean_ap": SCORE}],
    },
    "train_speed.json": {
        "threads": 2,
        "batch": 64,
        "speeds": [{"network": "osnet_x1_0", "height_px": 128, "width_px": 64, "loop": "ours", "images_per_s": 107.4,
                    "times_peer": 1.68}],
    },
    "retrieval.json": {
        "cores": 2,
        "runs": [{"job": "ranking, ours", "size": {"queries": 1, "gallery": 2, "length": 3}, "seconds": 0.5,
                  "peak_mib": 99.6}],
    },
    "gpu_tensorrt.json": {"gpu": "some GPU, CUDA 13.0", "commands": [{"error": None}, {"error": "no kernel"}]},
    "gpu_latency.json": {"gpu": None, "commands": [{"error": "no CUDA device"}]},
}  # fmt: skip
WANTED = {
    "latency": [
        "| PyTorch eager | fp32 | 1 | 8.00 |",
        "| onnxruntime 1 CPU | fp32 | 1 | 1.25 | 2.50 | 6.40 | 1.5 |",
        "OSNet x0.25 64x32, one thread on",
    ],
    "alone": ["| onnxruntime 1 CPU fp32 | 1.30 | 9.90 | 95 | not measured |"],
    "grid": ["| network | 64x32 |", "| OSNet x0.25 | 1.25 / 1.25 (onnxruntime fp32) |"],
    "engines": ["| OSNet x0.25 64x32 fp32 | PyTorch, cpu | 41.2 (39.4 to 43.2) |", "| queries by | gallery by |"],
    "chain_x0_25": ["times as fast as torch crops", "| onnxruntime fp32 | 8 | 0.62 | 1.52 |"],
    "preprocessing": ["| torch crops | 8 | 0.205 | 5.6 |", "Crops of 256x128"],
    "nncf": [
        "| ours, INT8 | 8 | 0.65 | 1.86 | 41.2 (39.4 to 43.2) |",
        "| 0.90 | - | - |",
        "OSNet x0.25 on patterns; NNCF 3.4.0",
    ],
    "train_speed": ["| OSNet x1.0 | 128x64 | ours | 107 | 1.68 |"],
    "retrieval": ["| ranking, ours | 1 | 2 | 3 | 0.50 | 100 |"],
    "gpu": ["| tensorrt | 1 of 2 commands on some GPU, CUDA 13.0 |", "| latency | not measured |"],
}


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of records instead of the project's; empty."""
    monkeypatch.setattr(readme_tables, "RECORDS", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", WANTED)
def test_a_table_shows_its_record(name: str, records: Path) -> None:
    """Figures as they were measured."""
    for file, record in RECORDS.items():
        (records / file).write_text(json.dumps(record | {"device": "some CPU"}))
    found = readme_tables.TABLES[name]()
    for row in WANTED[name]:
        assert row in found


@pytest.mark.parametrize("name", [*WANTED, "chain_x1_0"])
def test_without_a_record_a_table_says_not_measured(name: str, records: Path) -> None:
    """And how to measure it."""
    found = readme_tables.TABLES[name]().lower()
    assert "not measured" in found
    assert name == "gpu" or "python benchmarks/" in found


def test_a_record_of_something_else_is_refused(records: Path) -> None:
    """With its path and the command that makes the right one."""
    (records / "retrieval.json").write_text('{"benchmark": "demo"}')
    with pytest.raises(ConfigError, match=r"retrieval\.json is no record of this table: 'runs' .* run python"):
        readme_tables.TABLES["retrieval"]()


def test_a_table_nobody_makes_is_refused() -> None:
    """A typo in the README."""
    with pytest.raises(ConfigError, match="table 'latenzy' is unknown or has no end"):
        readme_tables.with_tables("<!-- table latenzy -->\n<!-- end -->")
