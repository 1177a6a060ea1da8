"""What an engine is made from: the ONNX file given, others of the same network beside it, calibration images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from calibration.precision_plan import PrecisionPlan, TargetBackend, default_precision_plan
from calibration.quantization import quantize_file
from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import Precision, read_manifest
from export.building.backends import BACKENDS, EngineKind


@dataclass(frozen=True)
class EngineSource:
    """The files that engines of one network are made from.

    model: the ONNX file that was given. parent: the float32 ONNX file with the same weights, perhaps the same file.
    calibration: image list, and data: the folder that the list was made from. precision_plan: for one backend; other
    backends, and all of them if it is None, use their default plan.
    """

    model: Path
    parent: Path
    calibration: Path | None = None
    data: Path | None = None
    precision_plan: PrecisionPlan | None = None

    @property
    def is_quantized(self) -> bool:
        """Whether the file that was given is in INT8 already."""
        return read_manifest(self.model).build.precision == "int8"


def list_kinds(source: EngineSource, wanted: TargetBackend | Literal["auto"]) -> list[EngineKind]:
    """The engines that `--best` tries on this machine; prints what is left out, and why.

    Raises:
        ExportError: the backend that was asked for is not available.
    """
    kinds = []
    for backend, row in BACKENDS.items():
        if wanted not in ("auto", backend):
            continue
        if reason := row.why_unavailable():
            print(f"not tried: {backend} ({reason})")
            continue
        for precision in row.tried_by_best:
            if reason := _missing(source, precision):
                print(f"not tried: {precision} {backend} ({reason})")
            else:
                kinds.append(EngineKind(precision, backend))
    if not kinds:
        raise ExportError(f"nothing can be built here for {wanted}; take --backend auto")
    return kinds


def _missing(source: EngineSource, precision: Precision) -> str | None:
    """Say which input an engine of this precision lacks; None if it lacks none."""
    if precision == "int8" and source.calibration is None and not source.is_quantized:
        return "needs --calibration LIST"
    if precision == "fp16":
        try:
            find_sibling(source.model, "fp16")
        except ExportError as error:
            return str(error)
    return None


def get_network(source: EngineSource, kind: EngineKind, *, folder: Path) -> Path:
    """The ONNX file to build an engine from; for INT8 it is written into `folder` if there is none yet.

    Raises:
        ExportError: something that the precision needs is missing.
    """
    if kind.precision in ("fp32", "bf16"):  # OpenVINO computes the float32 file in bfloat16
        return source.parent
    if kind.precision == "int8":
        return source.model if source.is_quantized else _quantize(source, kind.backend, folder=folder)
    return find_sibling(source.model, kind.precision)


def _quantize(source: EngineSource, backend: TargetBackend, *, folder: Path) -> Path:
    if source.calibration is None:
        raise ExportError(
            f"{source.model} is not quantised yet: add --calibration LIST, made with calibration/select_images.py"
        )
    if source.data is None:
        raise ExportError("quantising reads the training images: add --data with the folder the list was made from")
    plan = source.precision_plan
    if plan is None or plan.backend != backend:
        plan = default_precision_plan(backend)
    network = folder / f"{source.parent.stem}_{backend}.onnx"
    quantize_file(source.parent, network, image_list=source.calibration, data=source.data, plan=plan)
    return network


def find_sibling(model: Path, precision: Precision) -> Path:
    """The ONNX file with the same weights in another precision: the model itself, or a file beside it.

    It is recognised by its manifest, not by its name.

    Raises:
        ManifestError: the model has no valid manifest.
        ExportError: the model is no ONNX file, or there is no such file.
    """
    manifest = read_manifest(model)
    if manifest.artefact.kind != "onnx":
        raise ExportError(f"expected an ONNX file of export/to_onnx.py, found {model}: {manifest.artefact.kind}")
    for path in (model, *sorted(model.parent.glob("*.onnx"))):
        try:
            other = read_manifest(path)
        except ManifestError:
            continue  # not one of our files
        is_same_network = other.artefact.kind == "onnx" and other.space_id == manifest.space_id
        if is_same_network and other.build.precision == precision:
            return path
    option = " --half" if precision == "fp16" else ""
    raise ExportError(
        f"found no {precision} ONNX file with the weights of {model} beside it; write it with export/to_onnx.py{option}"
    )
