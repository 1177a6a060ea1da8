"""Try whether TensorRT runs here: build an engine of each ONNX file, compare it with ONNX Runtime, write a record.

Errors stand in the record, too. It is written after each engine, so that a stopped run leaves what it found. The crops
are the first query images of `--data`, a data set in Market-1501's layout; without it they are noise. Needs no torch.
"""

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

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import EngineError, ReidError
from edge_runtime.contract.manifest import Manifest, manifest_path, read_manifest, write_manifest
from edge_runtime.contract.provenance import derive_manifest, describe_file
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.catalog import open_engine
from export.acceptance.comparison import fidelity
from export.building.tensorrt_builder import BatchSizes, BuiltPlan, build_plan
from train.datasets.catalog import load_images, open_folder

CROPS = 16
_EXAMPLES = "example: python benchmarks/tensorrt_smoke.py osnet.onnx osnet_fp16.onnx --data /data/cuhk03_np_detected"
_WORKSPACE_MIB = 1024


@dataclass(frozen=True)
class SmokeResult:
    """The outcome for one ONNX file: its engine and how close that is to ONNX Runtime, or the error."""

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
    """Try every model. Returns 0 if all of them ran.

    Raises:
        EngineError: some did not; holds the reason of each.
    """
    arguments = _parser().parse_args(argv)
    batch = BatchSizes(1, arguments.batch[0], arguments.batch[1])
    head = record_head("tensorrt_smoke") | {
        "machine": platform.machine(),
        "crops": "query images" if arguments.data else "noise",
        "batch": asdict(batch),
    }
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for path in arguments.models:
            plan = engine_path(path, best=batch.best) if arguments.keep else Path(folder) / "model.engine"
            results.append(try_model(path, plan, batch=batch, data=arguments.data, timing_cache=arguments.timing_cache))
            record = head | {"results": [asdict(result) for result in results]}
            write_record(arguments.output or record_folder() / "tensorrt_smoke.json", record)
    print(json.dumps(record, indent=2))
    if faults := [f"{result.model}: {result.error}" for result in results if result.error]:
        raise EngineError("; ".join(faults))
    return 0


def engine_path(model: Path, *, best: int) -> Path:
    """Path of an ONNX file's engine that is tuned for this batch size."""
    return model.with_name(f"{model.stem}_b{best}.engine")


def try_model(
    model: Path, plan: Path, *, batch: BatchSizes, data: Path | None, timing_cache: Path | None
) -> SmokeResult:
    """Build one ONNX file and run it beside ONNX Runtime; an error is part of the result."""
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
        for path in (plan, manifest_path(plan)):  # so that nobody uses an engine that does not run
            path.unlink(missing_ok=True)
        return SmokeResult(_name(model), precision, error=str(error))
    return SmokeResult(
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


def write_plan(onnx_file: Path, plan: Path, *, batch: BatchSizes, timing_cache: Path | None = None) -> BuiltPlan:
    """Build `onnx_file` in its own precision and write the plan, its manifest last.

    Raises:
        ManifestError, ExportError, EngineError: it cannot be built here.
    """
    manifest = read_manifest(onnx_file)
    precision, kept_higher = manifest.build.precision, manifest.build.kept_higher
    built = build_plan(
        onnx_file, precision=precision, batch=batch, workspace_mib=_WORKSPACE_MIB, timing_cache=timing_cache
    )
    plan.write_bytes(built.plan)
    sizes = {"batch_min": batch.smallest, "batch_opt": batch.best, "batch_max": batch.largest}
    artefact = describe_file(plan, parent=manifest, kind="engine", opset=None).model_copy(update=sizes)
    write_manifest(derive_manifest(manifest, artefact, build=built.build(precision, kept_higher=kept_higher)), plan)
    return built


def _name(model: Path) -> str:
    """The file with its folder, because files of several networks have the same names."""
    return f"{model.resolve().parent.name}/{model.name}"


def _crops(manifest: Manifest, data: Path | None) -> NDArray[np.uint8]:
    height, width = manifest.input.height_px, manifest.input.width_px
    if data is None:
        return np.random.default_rng(0).integers(0, 256, (CROPS, height, width, 3), dtype=np.uint8)
    queries = open_folder(data).query[:CROPS]
    return load_images(queries, height_px=height, width_px=width, rule=manifest.input.resize)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="MODEL.onnx",
        next_step="python benchmarks/latency.py times engines that were kept with --keep",
        examples=_EXAMPLES,
    )
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files for TensorRT, each beside its manifest")
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
        "--keep", action="store_true", help="keep each engine that runs beside its ONNX file, as NAME_bOPT.engine"
    )
    parser.add_argument(
        "--timing-cache",
        type=Path,
        help="file of TensorRT's kernel timings, which makes later builds on this device faster",
    )
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/tensorrt_smoke.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
