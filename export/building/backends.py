"""The backends that an engine can be built for, one table row each: precisions, and whether this machine can build."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from calibration.precision_plan import TargetBackend
from edge_runtime.contract.errors import EngineError, ExportError
from edge_runtime.contract.manifest import Precision
from edge_runtime.engine.openvino_engine import load_openvino
from export.building.tensorrt_builder import tensorrt_unavailable


@dataclass(frozen=True)
class EngineKind:
    """What an engine computes in, and what runs it."""

    precision: Precision
    backend: TargetBackend


@dataclass(frozen=True)
class BuildingBackend:
    """One row of `BACKENDS`.

    precisions: what it can run. tried_by_best: those of them that `--best` tries. suffix: of an engine's file name.
    why_unavailable: says in one sentence why it cannot build on this machine; None if it can.
    """

    precisions: tuple[Precision, ...]
    tried_by_best: tuple[Precision, ...]
    suffix: str
    why_unavailable: Callable[[], str | None]


def _why_no_tensorrt() -> str | None:
    reason = tensorrt_unavailable()
    return reason and f"TensorRT is not available: {reason}"


def _why_no_openvino() -> str | None:
    try:
        load_openvino()
    except EngineError as error:
        return str(error)
    return None


BACKENDS: dict[TargetBackend, BuildingBackend] = {
    "tensorrt": BuildingBackend(("fp32", "fp16", "int8"), ("fp32", "fp16", "int8"), ".engine", _why_no_tensorrt),
    "openvino": BuildingBackend(("fp32", "bf16", "int8"), ("fp32", "bf16", "int8"), ".onnx", _why_no_openvino),
    # ONNX Runtime has no fast half precision on a CPU, so --best does not spend minutes on it.
    "onnxruntime": BuildingBackend(("fp32", "fp16", "int8"), ("fp32", "int8"), ".onnx", lambda: None),
}


def choose_backend(wanted: TargetBackend | Literal["auto"], precision: Precision) -> TargetBackend:
    """The backend to build for; `auto` takes TensorRT if it can build here, and prints the reason if it cannot.

    Raises:
        ExportError: it is not available, or does not run this precision.
    """
    if wanted == "auto":
        return _choose(precision)
    if precision not in BACKENDS[wanted].precisions:
        able = " and ".join(name for name, row in BACKENDS.items() if precision in row.precisions)
        raise ExportError(f"{wanted} runs no {precision} engines; take --backend {able}")
    reason = BACKENDS[wanted].why_unavailable()
    if reason:
        raise ExportError(f"{reason}; build on another device, or with --backend onnxruntime")
    return wanted


def _choose(precision: Precision) -> TargetBackend:
    if precision == "bf16":
        return choose_backend("openvino", precision)
    reason = tensorrt_unavailable()
    if reason is None:
        return "tensorrt"
    print(f"building for ONNX Runtime on the CPU, because TensorRT is not available: {reason}")
    return "onnxruntime"
