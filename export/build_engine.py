"""Build an engine from an ONNX file and accept it only if it still finds the right people."""

import argparse
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibration.quantization import Activations, quantize
from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Manifest,
    Precision,
    file_sha256,
    read_manifest,
    write_manifest,
)
from edge_runtime.contract.provenance import cpu_name, describe_file, successor
from edge_runtime.contract.script import run
from edge_runtime.engine.engine import open_engine
from export.comparison import Comparison, add_tolerance_options, as_table, compare, tolerance_of
from export.tensorrt_builder import build_plan, tensorrt_unavailable
from export.timing import interleave
from train.data.datasets import open_folder

_WORKSPACE_MIB = 512
_TIMING_CACHE = "tensorrt_timing.cache"
_TIMING_ROUNDS = 40


@dataclass(frozen=True)
class Request:
    """What to build. parent is the float32 ONNX file; model the one that was given, perhaps the same."""

    model: Path
    parent: Path
    precision: Precision
    backend: str
    calibration: Path | None
    data: Path


def main(argv: list[str] | None = None) -> int:
    """Build, compare, and keep the engine if it is good enough. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    precision: Precision = "int8" if arguments.int8 else "fp16"
    tolerance = tolerance_of(arguments, precision)
    _check_calibration(arguments.model, arguments.calibration, precision=precision)
    data = open_folder(arguments.data)
    request = Request(
        model=arguments.model,
        parent=_relative(arguments.model, "fp32"),
        precision=precision,
        backend=_choose_backend(arguments.backend),
        calibration=arguments.calibration,
        data=arguments.data,
    )
    output = arguments.output or _usual_output(request)
    if output.is_dir():
        raise ExportError(f"expected the name of a file to write, found the folder {output}; give another --output")
    if output.exists() and output.samefile(arguments.model):
        raise ExportError(f"the engine would replace the model it is built from, {output}; give another --output")
    with _folder_beside(output) as name:
        candidate = Path(name) / output.name
        manifest = build_candidate(request, candidate)
        comparison = compare(request.parent, candidate, data)
        print(as_table(comparison))
        excess = comparison.excess(tolerance)
        if excess:
            raise ExportError(f"the {precision} engine is not good enough: {excess}; no engine was written")
        print(_speed(request, candidate))
        _keep(candidate, output, manifest=manifest, comparison=comparison)
    print(f"{output}: {precision}, backend {request.backend}, {output.stat().st_size / 1e6:.2f} MB")
    return 0


def _choose_backend(wanted: str) -> str:
    if wanted == "onnxruntime":
        return wanted
    reason = tensorrt_unavailable()
    if reason is None:
        return "tensorrt"
    if wanted == "tensorrt":
        raise ExportError(f"TensorRT is not available: {reason}; build on the device, or with --backend onnxruntime")
    print(f"TensorRT is not available ({reason}): building for ONNX Runtime on the CPU")
    return "onnxruntime"


def build_candidate(request: Request, candidate: Path) -> Manifest:
    """Write the engine and a manifest without evidence. Returns that manifest."""
    with tempfile.TemporaryDirectory() as folder:
        network = _network(request, Path(folder))
        made_from = read_manifest(network)
        if request.backend == "tensorrt":
            build, artefact = _build_with_tensorrt(request, network, candidate)
        else:
            shutil.copyfile(network, candidate)
            build = made_from.build
            artefact = describe_file(candidate, parent=made_from, kind="engine", opset=made_from.artefact.opset)
    artefact = artefact.model_copy(update={"parent_sha256": file_sha256(request.parent)})
    manifest = successor(made_from, artefact, build=build, calibration=made_from.calibration)
    write_manifest(manifest, candidate)
    return manifest


def _check_calibration(model: Path, calibration: Path | None, *, precision: Precision) -> None:
    """Refuse an image list that nothing would be calibrated with, but for the one a quantised model was made with."""
    if calibration is None:
        return
    if precision != "int8":
        raise ExportError(f"--calibration is for --int8 only: {precision} needs no image list; leave it out")
    used = read_manifest(model).calibration
    if used is not None and used.image_list_sha256 != file_sha256(calibration):
        raise ExportError(
            f"{model} is quantised already, with another image list than {calibration}; leave --calibration out, "
            "or give the float32 file"
        )


def _network(request: Request, folder: Path) -> Path:
    """The ONNX file that holds the wanted precision; it is quantised into `folder` if that was not done yet."""
    if request.precision == "fp16" or read_manifest(request.model).build.precision == "int8":
        return _relative(request.model, request.precision)
    if request.calibration is None:
        raise ExportError(
            f"{request.model} is not quantised yet: add --calibration LIST, made with calibration/select_images.py"
        )
    network = folder / request.model.name
    activations: Activations = "int8" if request.backend == "tensorrt" else "uint8"
    quantize(request.parent, network, image_list=request.calibration, data=request.data, activations=activations)
    return network


def _build_with_tensorrt(request: Request, network: Path, candidate: Path) -> tuple[Build, Artefact]:
    made_from = read_manifest(network)
    batch = made_from.artefact
    built = build_plan(
        network,
        precision=request.precision,
        batch_min=batch.batch_min,
        batch_opt=batch.batch_opt,
        batch_max=batch.batch_max,
        workspace_mib=_WORKSPACE_MIB,
        timing_cache=request.model.with_name(_TIMING_CACHE),
    )
    candidate.write_bytes(built.plan)
    build = built.build(request.precision, kept_higher=made_from.build.kept_higher)
    return build, describe_file(candidate, parent=made_from, kind="engine", opset=batch.opset)


def _relative(model: Path, precision: Precision) -> Path:
    """The ONNX file with the same weights in another precision: the model itself, or one beside it.

    It is known by its manifest, not by its name.
    """
    manifest = read_manifest(model)
    if manifest.artefact.kind != "onnx":
        raise ExportError(f"expected an ONNX file of export/to_onnx.py, found {model}: {manifest.artefact.kind}")
    for path in (model, *sorted(model.parent.glob("*.onnx"))):
        try:
            other = read_manifest(path)
        except ManifestError:
            continue  # a file of something else
        is_same_network = other.artefact.kind == "onnx" and other.space_id == manifest.space_id
        if is_same_network and other.build.precision == precision:
            return path
    option = " --half" if precision == "fp16" else ""
    raise ExportError(
        f"found no {precision} ONNX file with the weights of {model} beside it; write it with export/to_onnx.py{option}"
    )


def _speed(request: Request, candidate: Path) -> str:
    """Say plainly how fast the engine is beside its parent, at batch 1 and on one thread."""
    with open_engine(request.parent) as parent, open_engine(candidate) as child:
        spec = parent.manifest.input
        crops = np.random.default_rng(0).integers(0, 256, (1, spec.height_px, spec.width_px, 3), dtype=np.uint8)
        samples = interleave(
            {"parent": lambda: parent.describe(crops), "child": lambda: child.describe(crops)}, rounds=_TIMING_ROUNDS
        )
        before, after = (float(np.median(samples[name])) for name in ("parent", "child"))
        return (
            f"{request.precision} on {child.backend} runs {before / after:.2f} times as fast as float32 on "
            f"{parent.backend} ({cpu_name()}, one thread, one crop: {after:.2f} and {before:.2f} ms)"
        )


def _keep(candidate: Path, output: Path, *, manifest: Manifest, comparison: Comparison) -> None:
    os.replace(candidate, output)
    write_manifest(manifest.model_copy(update={"evidence": comparison.child}), output)


def _usual_output(request: Request) -> Path:
    suffix = ".engine" if request.backend == "tensorrt" else ".onnx"
    return request.parent.with_name(f"{request.parent.stem}_{request.precision}_{request.backend}{suffix}")


def _folder_beside(output: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder on the same disk as `output`, so that the engine can be moved there in one step."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-")
    except OSError as error:
        raise ExportError(f"cannot write in {output.parent}: {error.strerror}; give another --output") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python export/build_engine.py osnet.onnx --int8 --calibration calibration.json "
        "--data data/market1501",
    )
    parser.add_argument("model", type=Path, help="ONNX file of export/to_onnx.py, its manifest beside it")
    precision = parser.add_mutually_exclusive_group(required=True)
    precision.add_argument("--fp16", action="store_true", help="half precision; needs to_onnx.py --half")
    precision.add_argument("--int8", action="store_true", help="INT8; quantises the model if that was not done yet")
    parser.add_argument("--calibration", type=Path, help="image list of calibration/select_images.py, for --int8")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="data set in Market-1501's layout: the engine is accepted by its scores on query and gallery",
    )
    parser.add_argument(
        "--backend",
        choices=("auto", "tensorrt", "onnxruntime"),
        default="auto",
        help="auto (default) takes TensorRT where it is available, and says which one it took",
    )
    parser.add_argument("--output", type=Path, help="default: NAME_PRECISION_BACKEND beside the model")
    add_tolerance_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
