"""Tables out of records: what is there is shown as it is, what is not there is called not measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import readme_tables
from benchmarks.reporting.document_table import render_table
from benchmarks.reporting.tables import TABLES
from edge_runtime.contract.errors import ConfigError
from tests.conftest import ROOT

CPU = "benchmarks/records/cpu-epyc"
NAMES = {table.name: table for table in TABLES}
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
    f"{CPU}/latency_osnet_x0_25.json": {"architecture": "osnet_x0_25", "input": [64, 32], "networks": NETWORKS,
                                 "timings": TIMINGS, "rounds": 9, "alone": [ALONE], "alone_s": 2},
    f"{CPU}/latency_grid.json": {
        "cases": [{"architecture": "osnet_x0_25", "input": [64, 32], "networks": NETWORKS, "timings": TIMINGS}]
    },
    f"{CPU}/accuracy_cuhk03_np_detected.json": {
        "data_set": "patterns",
        "queries": 8,
        "gallery": 9,
        "engines": [
            {"file": "a", "architecture": "osnet_x0_25", "input": [64, 32], "precision": "fp32", "backend": "torch",
             "runs_on": "PyTorch, cpu", "rank1": SCORE, "mean_ap": SCORE, "mean_inp": SCORE, "to_first": None}
        ],
        "crossings": [{"query": "a", "gallery": "a", "rank1": SCORE, "mean_ap": SCORE}],
    },
    f"{CPU}/chain_osnet_x0_25.json": {
        "architecture": "osnet_x0_25",
        "threads": 2,
        "rounds": 3,
        "ways": [{"name": "onnxruntime fp32"}],
        "timings": [
            {"way": "onnxruntime fp32", "batch": 8, "median_ms": 0.62, "faster_than": {"torch_crops": 1.52}},
        ],
    },
    f"{CPU}/preprocessing.json": {
        "input": [256, 128],
        "job": "boxes to crops",
        "timings": [{"way": "torch crops", "batch": 8, "cpu_ms": 0.2046, "times_ours": 5.61}],
    },
    f"{CPU}/nncf_osnet_x0_25.json": {
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
    f"{CPU}/train_speed.json": {
        "threads": 2,
        "batch": 64,
        "precision": {"ours": "bfloat16", "peer": "float32"},
        "speeds": [{"network": "osnet_x1_0", "height_px": 128, "width_px": 64, "loop": "ours", "images_per_s": 107.4,
                    "times_peer": 1.68}],
    },
    f"{CPU}/retrieval.json": {
        "cores": 2,
        "runs": [{"job": "ranking, ours", "size": {"queries": 1, "gallery": 2, "length": 3}, "seconds": 0.5,
                  "peak_mib": 99.6}],
    },
    f"{CPU}/failures.json": {
        "faults": {"kill -9": 16, "disk full": 0, "bits flip": 4}, "kills": 20, "flipped_bits": 36, "seconds": 1200,
        "seed": 0,
        "account": {"numbers": 20000, "received": 19960, "given_up": {"lost": 39, "disk": 1}, "unexplained": 0,
                    "waiting": 0, "duplicates": 1400, "reused": 0, "refused": 0, "altered": 0},
    },
    f"{CPU}/soak.json": {
        "job": "8 cameras", "detector": "HOG", "minutes": 60.0, "method": "a line",
        "first": {"at_s": 720.0, "resident_mib": 208.5, "threads": 30, "open_files": 60},
        "last": {"at_s": 3599.0, "resident_mib": 208.6, "threads": 30, "open_files": 60},
        "resident_mib_per_day": {"per_day": 3.0, "low": -12.04, "high": 18.0},
    },
    f"{CPU}/fleet.json": {
        "cores": 2, "nodes": 500, "rate": 20.0, "seconds": 10.0, "connect_s": 4.0, "broker_mib_idle": 30.0,
        "steps": [{"wanted_per_s": 1000.0, "got_per_s": 998.0, "lost": 0, "latency_p50_ms": 9.0, "latency_p95_ms": 30.0,
                   "cores": {"broker": 0.25, "receiver": 0.5}, "cpu_us_per_message": {"broker": 40.0, "receiver": 90.0},
                   "why": [], "breaks_first": None},
                  {"wanted_per_s": 9000.0, "got_per_s": 0.0, "lost": 7, "latency_p50_ms": None, "latency_p95_ms": None,
                   "cores": {"broker": 0.25, "receiver": 0.99},
                   "cpu_us_per_message": {"broker": 40.0, "receiver": 90.0},
                   "why": ["7 lost"], "breaks_first": "receiver"}],
        "plans": [{"nodes": 10000, "messages_per_s": 200000.0, "broker_cores": 8.0, "brokers": 16,
                   "receiver_cores": 18.0, "receivers": 36, "mbit_per_s": 2400.4, "gb_per_day": 25920.0}],
    },
    f"{CPU}/bridges.json": {
        "data_set": "patterns", "queries": 7, "gallery": 9,
        "networks": [{"name": name, "mean_ap": SCORE} for name in ("a", "b")],
        "unbridged": [{"old": "a", "new": "b", "mean_ap": {"value": 0.005}}],
        "bridges": [{"old": "a", "new": "b", "pairs": pairs, "mean_ap": SCORE, "kept": {"value": pairs / 5000},
                     "kept_unlabelled": {"value": 0.7},
                     "mixed": {"native": 0.4, "moved": 0.3, "as_it_is": 0.38, "calibrated": 0.41}}
                    for pairs in (300, 3000)],
    },
    "benchmarks/records/h100/gpu_tensorrt.json": {"gpu": "some GPU, CUDA 13.0",
                                                  "commands": [{"error": None}, {"error": "no kernel"}]},
    "benchmarks/records/h100/gpu_latency.json": {"gpu": None, "commands": [{"error": "no CUDA device"}]},
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
    "failures": [
        "| faults | 16 x kill -9, 4 x bits flip |",
        "| received | 19,960 |",
        "| told by the node as given up | 39 lost, 1 disk |",
        "| **unexplained** | **0** |",
        "20 kills and 36 flipped bits in 1,200 s",
    ],
    "soak": [
        "| memory, MiB | 208.5 | 208.6 | +3.0 a day (-12.0 to +18.0) |",
        "| threads | 30 | 30 |",
        "8 cameras, detector HOG, 60 minutes; in brackets the 95 % interval of a line.",
    ],
    "fleet": [
        "| 1,000 | 998 | 0 | 9 / 30 ms | 0.25 cores, 40 us each | 0.50 cores, 90 us each | yes |",
        "| no: 7 lost; busiest: receiver |",
    ],
    "fleet-plan": ["| 10,000 | 200,000 | 8.00 | 16 | 18.00 | 36 | 2,400 | 25,920 |", "20 messages per second"],
    "bridges": [
        "| `a` | `b` | 41.2 | 41.2 | 0.5 | 41.2 (39.4 to 43.2) | 6 / 60 | 70 / 70 | 40.0 / 38.0 / 41.0 |",
        "7 queries and 9 images",
    ],
    "gpu": [
        "| tensorrt | some GPU, CUDA 13.0 | 1 of 2 commands ran |",
        "| latency | no GPU | not measured |",
        "| training | - | not measured |",
    ],
}


def write_records(root: Path) -> None:
    """Records of a project that lies in `root`."""
    for name, record in RECORDS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record | {"device": "some CPU"}))


@pytest.mark.parametrize("name", WANTED)
def test_a_table_shows_its_record(name: str, tmp_path: Path) -> None:
    """Figures as they were measured."""
    write_records(tmp_path)
    found = render_table(NAMES[name], root=tmp_path)
    for row in WANTED[name]:
        assert row in found


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_without_a_record_a_table_says_how_to_measure_it(table: Any, tmp_path: Path) -> None:
    """Nothing is made up."""
    assert render_table(table, root=tmp_path) == f"Not measured yet: `{table.command}`."


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_row_is_complete(table: Any) -> None:
    """Each table has sources, a script that measures them and a caption, and stands in exactly one document."""
    assert table.name
    assert table.sources
    assert table.caption.strip()
    scripts = [word for word in table.command.split() if word.endswith(".py")]
    assert all((ROOT / script).exists() for script in scripts)
    documents = [path for path in readme_tables.DOCUMENTS if path.exists()]
    assert sum(path.read_text().count(f"<!-- table {table.name} -->") for path in documents) == 1


def test_no_two_tables_share_a_name() -> None:
    """A marker means one table."""
    assert len(NAMES) == len(TABLES)


def test_the_summary_has_four_lines_and_names_its_machine() -> None:
    """The first page of the project shows it."""
    table = render_table(NAMES["summary"])
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == 2 + 4
    assert "AMD EPYC" in table


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    """With its path and the command that makes the right one."""
    path = tmp_path / CPU / "retrieval.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"benchmark": "demo"}')
    with pytest.raises(ConfigError, match=r"retrieval\.json: no record of table retrieval, 'runs' .* run python"):
        render_table(NAMES["retrieval"], root=tmp_path)


def test_a_table_nobody_makes_is_refused() -> None:
    """A typo in a document is named with the document."""
    with pytest.raises(ConfigError, match=r"train/README\.md: table 'latenzy' is unknown or has no end"):
        readme_tables.fill_tables("<!-- table latenzy -->\n<!-- end -->", document=Path("train/README.md"))


def test_what_stands_around_a_table_stays() -> None:
    """Only the lines between the markers are written."""
    text = "before\n<!-- table retrieval -->\nold\n<!-- end -->\nafter\n"
    found = readme_tables.fill_tables(text, document=Path("README.md"))
    assert found.startswith("before\n<!-- table retrieval -->\n| job |")
    assert found.endswith("\n<!-- end -->\nafter\n")
    assert "old" not in found
