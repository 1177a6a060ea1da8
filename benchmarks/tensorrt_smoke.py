"""Does TensorRT run here? Build each ONNX file, run it beside ONNX Runtime, and write one JSON record, errors included.

The crops are the first query images of `--data`, a data set in Market-1501's layout; without it they are noise. The
record is written after each engine, so a run that is stopped leaves what it found. Needs no torch.

example: python benchmarks/tensorrt_smoke.py osnet.onnx osnet_fp16.onnx --data /data/cuhk03_np_detected
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.engines import write_plan
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import EngineError, ReidError
from edge_runtime.contract.manifest import Manifest, manifest_path, read_manifest
from edge_runtime.contract.script import run
from edge_runtime.engine.catalog import open_engine
from export.acceptance.comparison import fidelity
from export.building.tensorrt_builder import Batch
from train.datasets.catalog import load_images, open_folder

CROPS = 16


@dataclass(frozen=True)
class Trial:
    """What became of one ONNX file: an engine and how near it is to ONNX Runtime, or the sentence of its error."""

    model: str
    precision: str
    tensorrt: str | None = None
    cuda: str | None = None
    gpu: str | None = None
    compute_capability: str | None = None
    build_s: float | None = None
    plan_mib: float | None = None
    to_onnxruntime: dict[str, float] | None = None
    error: str | None = None


def main(argv: list[str] | None = None) -> int:
    """Try every model. Returns 0 if all of them ran."""
    arguments = _parser().parse_args(argv)
    batch = Batch(1, arguments.batch[0], arguments.batch[1])
    head = record_head("tensorrt_smoke") | {
        "machine": platform.machine(),
        "crops": "query images" if arguments.data else "noise",
        "batch": asdict(batch),
    }
    trials = []
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.models:
            plan = engine_path(path, best=batch.best) if arguments.keep else Path(folder) / "model.engine"
            trials.append(try_model(path, plan, batch=batch, data=arguments.data, timing_cache=arguments.timing_cache))
            record = head | {"trials": [asdict(trial) for trial in trials]}
            write_record(arguments.output or record_folder() / "tensorrt_smoke.json", record)
    print(json.dumps(record, indent=2))
    if faults := [f"{trial.model}: {trial.error}" for trial in trials if trial.error]:
        raise EngineError("; ".join(faults))
    return 0


def engine_path(model: Path, *, best: int) -> Path:
    """Where the engine of an ONNX file goes that is tuned for this batch size."""
    return model.with_name(f"{model.stem}_b{best}.engine")


def try_model(model: Path, plan: Path, *, batch: Batch, data: Path | None, timing_cache: Path | None) -> Trial:
    """Build one ONNX file and run it beside ONNX Runtime; an error becomes part of the result."""
    precision = "unknown"
    try:
        manifest = read_manifest(model)
        precision = manifest.build.precision
        crops = _crops(manifest, data)
        start = time.perf_counter()
        built = write_plan(model, plan, batch=batch, timing_cache=timing_cache)
        build_s = time.perf_counter() - start
        with open_engine(model, threads=os.cpu_count() or 1) as reference, open_engine(plan) as engine:
            near = fidelity(reference.describe(crops), engine.describe(crops))
    except ReidError as error:
        for path in (plan, manifest_path(plan)):  # nobody shall take an engine that does not run
            path.unlink(missing_ok=True)
        return Trial(_name(model), precision, error=str(error))
    return Trial(
        _name(model),
        precision,
        tensorrt=built.tensorrt,
        cuda=built.cuda,
        gpu=built.gpu,
        compute_capability=built.compute_capability,
        build_s=round(build_s, 1),
        plan_mib=round(len(built.plan) / 2**20, 2),
        to_onnxruntime=near.model_dump(),
    )


def _name(model: Path) -> str:
    """Files of several networks have the same names, in folders of their own."""
    return f"{model.resolve().parent.name}/{model.name}"


def _crops(manifest: Manifest, data: Path | None) -> NDArray[np.uint8]:
    height, width = manifest.input.height_px, manifest.input.width_px
    if data is None:
        return np.random.default_rng(0).integers(0, 256, (CROPS, height, width, 3), dtype=np.uint8)
    queries = open_folder(data).query[:CROPS]
    return load_images(queries, height_px=height, width_px=width, rule=manifest.input.resize)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files for TensorRT, their manifests beside them")
    parser.add_argument("--data", type=Path, help="data set whose query images are the crops")
    parser.add_argument(
        "--batch",
        type=int,
        nargs=2,
        default=[8, 32],
        metavar=("OPT", "MAX"),
        help="the batch size that engines are tuned for, and the largest they accept (default: 8 32)",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave each engine that runs beside its file, as NAME_bOPT.engine"
    )
    parser.add_argument("--timing-cache", type=Path, help="file that makes later builds on this device short")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/tensorrt_smoke.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
