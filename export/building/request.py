"""What is to be built: from which file, in which precision, for which backend."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.precision_plan import Backend, Choice
from edge_runtime.contract.errors import EngineError, ExportError, ManifestError
from edge_runtime.contract.manifest import Precision, read_manifest
from edge_runtime.engine.openvino_engine import load_openvino
from export.building.tensorrt_builder import Batch, tensorrt_unavailable

PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "tensorrt": ("fp32", "fp16", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "onnxruntime": ("fp32", "fp16", "int8"),
}
# ONNX Runtime has no fast half precision on a CPU: it would cost minutes to find out again that it is slower.
_WORTH_TRYING: dict[Backend, tuple[Precision, ...]] = PRECISIONS | {"onnxruntime": ("fp32", "int8")}


@dataclass(frozen=True)
class Source:
    """What an engine is made from. parent is the float32 ONNX file; model the one that was given, perhaps the same.

    data: the folder the calibration list was made from. choice: what to leave in float on one backend, None for the
    usual; others take the usual.
    """

    model: Path
    parent: Path
    calibration: Path | None
    data: Path | None
    batch: Batch
    choice: Choice | None = None


@dataclass(frozen=True)
class Request:
    """One engine to build."""

    source: Source
    precision: Precision
    backend: Backend


def choose_backend(wanted: Backend | Literal["auto"], precision: Precision) -> Backend:
    """The backend to build for; `auto` says which one it took.

    Raises:
        ExportError: it is not there, or does not run this precision.
    """
    if wanted == "auto":
        return _choose(precision)
    if precision not in PRECISIONS[wanted]:
        able = " and ".join(name for name, precisions in PRECISIONS.items() if precision in precisions)
        raise ExportError(f"{wanted} runs no {precision} engines; take --backend {able}")
    reason = unavailable(wanted)
    if reason:
        raise ExportError(f"{reason}; build on another device, or with --backend onnxruntime")
    return wanted


def _choose(precision: Precision) -> Backend:
    if precision == "bf16":
        return choose_backend("openvino", precision)
    reason = tensorrt_unavailable()
    if reason is None:
        return "tensorrt"
    print(f"TensorRT is not available ({reason}): building for ONNX Runtime on the CPU")
    return "onnxruntime"


def unavailable(backend: Backend) -> str | None:
    """Say in one sentence why a backend cannot build here; None where it can."""
    if backend == "tensorrt":
        reason = tensorrt_unavailable()
        return reason and f"TensorRT is not available: {reason}"
    if backend == "openvino":
        try:
            load_openvino()
        except EngineError as error:
            return str(error)
    return None


def all_requests(source: Source, wanted: Backend | Literal["auto"]) -> list[Request]:
    """Everything that is worth trying on this device; what is left out, and why, is printed.

    Raises:
        ExportError: the backend asked for is not there.
    """
    requests = []
    for backend, precisions in _WORTH_TRYING.items():
        if wanted not in ("auto", backend):
            continue
        if reason := unavailable(backend):
            print(f"not tried: {backend} ({reason})")
            continue
        for precision in precisions:
            if reason := _missing(source, precision):
                print(f"not tried: {precision} {backend} ({reason})")
            else:
                requests.append(Request(source, precision, backend))
    if not requests:
        raise ExportError(f"nothing can be built here for {wanted}; take --backend auto")
    return requests


def _missing(source: Source, precision: Precision) -> str | None:
    """Say what an engine of this precision cannot be made without; None where all is there."""
    if precision == "int8" and source.calibration is None and read_manifest(source.model).build.precision != "int8":
        return "needs --calibration LIST"
    if precision == "fp16":
        try:
            find_sibling(source.model, "fp16")
        except ExportError as error:
            return str(error)
    return None


def find_sibling(model: Path, precision: Precision) -> Path:
    """The ONNX file with the same weights in another precision: the model itself, or one beside it.

    It is known by its manifest, not by its name.

    Raises:
        ManifestError: the model has no valid manifest.
        ExportError: the model is no ONNX file, or there is none in this precision.
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
