"""Write the README's result tables from the committed records, or check that they are up to date."""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measuring.records import RECORDS as ALL_RECORDS
from benchmarks.measuring.records import read_record
from benchmarks.reporting import tables
from benchmarks.reporting.training_table import training_table
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Manifest, Score, read_manifest
from edge_runtime.contract.script import run

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ALL_RECORDS / "cpu-epyc"
MODELS = ROOT / "edge_runtime" / "models"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns 1 when `--check` finds a table that is out of date."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python benchmarks/readme_tables.py --check")
    parser.add_argument("--check", action="store_true", help="change nothing, only say whether the tables are right")
    arguments = parser.parse_args(argv)
    path = ROOT / "README.md"
    old = path.read_text()
    new = with_tables(old)
    if arguments.check:
        print("README.md is up to date" if new == old else "README.md is out of date: run benchmarks/readme_tables.py")
        return int(new != old)
    path.write_text(new)
    return 0


def with_tables(text: str) -> str:
    """The text with what stands between `<!-- table NAME -->` and `<!-- end -->` made anew.

    Raises:
        ConfigError: a table of that name is not known, or has no end.
    """
    parts = text.split("<!-- table ")
    done = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition(" -->")
        _, end, after = rest.partition("<!-- end -->")
        if name not in TABLES or not end:
            raise ConfigError(f"README.md: table {name!r} is unknown or has no end; known: {', '.join(TABLES)}")
        done.append(f"<!-- table {name} -->\n{TABLES[name]()}\n<!-- end -->{after}")
    return "".join(done)


def accuracy_table() -> str:
    """The committed models on CUHK03, from their manifests."""
    rows = [
        "| model | input | size | rank-1 % | mAP % | mINP % | cosine to float32, mean / least |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for path in (MODELS / "osnet_x0_25_cuhk03.onnx", MODELS / "osnet_x0_25_cuhk03_int8.onnx"):
        manifest = read_manifest(path)
        found = _evidence(manifest)
        fidelity = found.to_parent if manifest.build.precision != "fp32" else None
        cosine = "-" if fidelity is None else f"{fidelity.cosine_mean:.4f} / {fidelity.cosine_min:.3f}"
        size = f"{manifest.input.height_px}x{manifest.input.width_px}"
        scores = " | ".join(_score(score) for score in (found.rank1, found.mean_ap, found.mean_inp))
        rows.append(
            f"| OSNet x0.25 {manifest.build.precision} | {size} | {path.stat().st_size / 1e6:.2f} MB | "
            f"{scores} | {cosine} |"
        )
    return "\n".join(rows)


def made_from(name: str, make: Callable[[Mapping[str, Any]], str], *, command: str) -> str:
    """The table of a record, or the command that measures it."""
    if not (RECORDS / name).exists():
        return f"Not measured yet: `{command}`."
    record = read_record(RECORDS / name)
    try:
        return make(record)
    except (IndexError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{RECORDS / name} is no record of this table: {error} is missing or wrong; run {command}"
        ) from error


def gpu_table() -> str:
    """The steps of the GPU evidence, measured or not."""
    names = ("tensorrt", "latency", "accuracy", "training", "crop_kernel")
    paths = {name: RECORDS / f"gpu_{name}.json" for name in names}
    return tables.gpu({name: read_record(path) if path.exists() else None for name, path in paths.items()})


def demo_table() -> str:
    """What `make demo` measured, in both precisions."""
    records = [read_record(RECORDS / f"demo_{precision}.json") for precision in ("fp32", "int8")]
    figures: dict[str, Callable[[dict[str, Any]], str]] = {
        "frames looked at / replaced by newer ones": lambda r: (
            f"{r['daemon']['frames']} / {r['daemon']['frames_dropped']}"
        ),
        "tracks": lambda r: str(r["daemon"]["tracks"]),
        "descriptors received, of those made": lambda r: (
            f"{r['listener']['descriptors']} of {r['daemon']['descriptors']}"
        ),
        "bytes per descriptor message": lambda r: f"{r['listener']['bytes_per_descriptor']:.0f}",
        "capture to PUBACK, p50 / p95": lambda r: (
            f"{r['daemon']['latency_p50_ms']:.0f} / {r['daemon']['latency_p95_ms']:.0f} ms"
        ),
        "sequence": lambda r: "complete" if r["listener"]["is_complete"] else "not complete",
        "start of the process to first message": lambda r: f"{r['daemon']['start_to_first_message_s']:.1f} s",
        "resident memory": lambda r: f"{r['daemon']['resident_mib']:.0f} MiB",
    }
    rows = ["| | float32 | INT8 |", "| --- | --- | --- |"]
    rows += [f"| {name} | {figure(records[0])} | {figure(records[1])} |" for name, figure in figures.items()]
    first = records[0]
    where = f"{first['seconds']:g} s of {first['source']} on {first['device']}, {first['cores']} cores."
    return "\n".join(rows) + f"\n\n{where}"


def _evidence(manifest: Manifest) -> Any:
    if manifest.evidence is None:
        raise ConfigError(f"the manifest of {manifest.artefact.file} holds no scores; export it with --data")
    return manifest.evidence


def _score(score: Score) -> str:
    return f"{100 * score.value:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"


_PYTHON = "python benchmarks"
TABLES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy_table,
    "demo": demo_table,
    "gpu": gpu_table,
    "training": lambda: training_table(RECORDS),
    **{
        name: partial(made_from, record, make, command=f"{_PYTHON}/{command}")
        for name, record, make, command in (
            ("latency", "latency_osnet_x0_25.json", tables.latency, "latency.py"),
            ("latency_x1_0", "latency_osnet_x1_0.json", tables.latency, "latency.py ENGINE ..."),
            ("alone", "latency_osnet_x0_25.json", tables.alone, "latency.py"),
            ("grid", "latency_grid.json", tables.grid, "latency.py --grid"),
            ("engines", "accuracy_cuhk03_np_detected.json", tables.accuracy, "accuracy.py ENGINE ... --data DATA"),
            ("chain_x0_25", "chain_osnet_x0_25.json", tables.chain, "chain.py ENGINE ..."),
            ("chain_x1_0", "chain_osnet_x1_0.json", tables.chain, "chain.py ENGINE ..."),
            ("preprocessing", "preprocessing.json", tables.preprocessing, "preprocessing.py"),
            ("nncf", "nncf_osnet_x0_25.json", tables.nncf, "nncf_peer.py ENGINE ..."),
            ("train_speed", "train_speed.json", tables.train_speed, "train_speed.py"),
            ("retrieval", "retrieval.json", tables.retrieval, "retrieval.py"),
        )
    },
}
"""What stands between `<!-- table NAME -->` and `<!-- end -->` in the README, by name."""

if __name__ == "__main__":
    sys.exit(run(main))
