"""Does TensorRT run here? Build each ONNX file, run it beside ONNX Runtime, and print one JSON record, errors included.

The crops are the first query images of `--data`, a data set in Market-1501's layout; without it they are noise.

example: python benchmarks/tensorrt_smoke.py --data /data/cuhk03_np_detected > benchmarks/records/tensorrt_smoke.json
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, ReidError
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.contract.script import run
from edge_runtime.engine.engine import open_engine
from export.comparison import fidelity
from measuring.machine import record_head
from measuring.plans import write_plan
from train.data.datasets import load_images, open_folder

MODELS = Path(__file__).resolve().parent.parent / "edge_runtime" / "models"
CROPS = 64


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="*", default=sorted(MODELS.glob("*.onnx")), help="ONNX files")
    parser.add_argument("--data", type=Path, help="data set whose query images are the crops")
    arguments = parser.parse_args(argv)
    if not arguments.models:
        raise ConfigError(f"expected ONNX files in {MODELS}, found none; give their paths")
    trials = [try_model(path, data=arguments.data) for path in arguments.models]
    crops = "query images" if arguments.data else "noise"
    record = record_head("tensorrt_smoke") | {"machine": platform.machine()}
    print(json.dumps(record | {"crops": crops, "trials": [asdict(trial) for trial in trials]}, indent=2))
    return 0 if trials and not any(trial.error for trial in trials) else 1


def try_model(path: Path, *, data: Path | None) -> Trial:
    """Build one ONNX file and run it beside ONNX Runtime; an error becomes part of the result."""
    precision = "unknown"
    try:
        manifest = read_manifest(path)
        precision = manifest.build.precision
        crops = _crops(manifest, data)
        with tempfile.TemporaryDirectory() as folder:
            plan = Path(folder) / "model.engine"
            start = time.perf_counter()
            built = write_plan(path, plan)
            build_s = time.perf_counter() - start
            with open_engine(path) as reference, open_engine(plan) as engine:
                near = fidelity(reference.describe(crops), engine.describe(crops))
    except ReidError as error:
        return Trial(path.name, precision, error=str(error))
    return Trial(
        path.name,
        precision,
        tensorrt=built.tensorrt,
        cuda=built.cuda,
        gpu=built.gpu,
        compute_capability=built.compute_capability,
        build_s=round(build_s, 1),
        plan_mib=round(len(built.plan) / 2**20, 2),
        to_onnxruntime=near.model_dump(),
    )


def _crops(manifest: Manifest, data: Path | None) -> NDArray[np.uint8]:
    height, width = manifest.input.height_px, manifest.input.width_px
    if data is None:
        return np.random.default_rng(0).integers(0, 256, (CROPS, height, width, 3), dtype=np.uint8)
    queries = open_folder(data).query[:CROPS]
    return load_images(queries, height_px=height, width_px=width, rule=manifest.input.resize)


if __name__ == "__main__":
    sys.exit(run(main))
