"""From a request to an engine file: what it will be made of, whether it is there already, and the building of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from calibration.precision_plan import default_choice
from calibration.quantization import quantize
from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import Build, Manifest, hash_file, manifest_path, read_manifest, write_manifest
from edge_runtime.contract.provenance import derive_manifest, describe_file
from export.building.request import Request, find_sibling
from export.building.tensorrt_builder import build_plan, read_target

_WORKSPACE_MIB = 512
_TIMING_CACHE = "tensorrt_timing.cache"


@dataclass(frozen=True)
class Plan:
    """A request with everything that decides the engine's bytes.

    network: the ONNX file with the wanted precision. build: the entry of the manifest, known before anything is built.
    output: where the engine goes.
    """

    request: Request
    network: Path
    build: Build
    output: Path

    @property
    def title(self) -> str:
        """Precision and backend, as in the cross-precision matrix."""
        return f"{self.build.precision} {self.build.backend}"


def make_plan(request: Request, folder: Path, *, output: Path | None) -> Plan:
    """Find the network, or quantise it into `folder` if that was not done yet, and look at the device.

    Raises:
        ExportError: something that the precision needs is missing, or TensorRT is.
    """
    network = _network(request, folder)
    kept_higher = read_manifest(network).build.kept_higher
    if request.backend == "tensorrt":
        build = read_target().build(request.precision, kept_higher=kept_higher)
        build = build.model_copy(update={"workspace_mib": _WORKSPACE_MIB})
    else:
        build = Build(backend=request.backend, precision=request.precision, kept_higher=kept_higher)
    build = build.model_copy(update={"network_sha256": hash_file(network)})
    return Plan(request, network, build, output or _usual_output(request))


def _usual_output(request: Request) -> Path:
    parent, suffix = request.source.parent, ".engine" if request.backend == "tensorrt" else ".onnx"
    return parent.with_name(f"{parent.stem}_{request.precision}_{request.backend}{suffix}")


def _network(request: Request, folder: Path) -> Path:
    """The ONNX file that holds the wanted precision; what OpenVINO runs in bfloat16 is the float32 file."""
    source, precision = request.source, request.precision
    if precision != "int8":
        return source.parent if precision in ("fp32", "bf16") else find_sibling(source.model, precision)
    if read_manifest(source.model).build.precision == "int8":
        return source.model
    if source.calibration is None:
        raise ExportError(
            f"{source.model} is not quantised yet: add --calibration LIST, made with calibration/select_images.py"
        )
    if source.data is None:
        raise ExportError("quantising reads the training images: add --data with the folder the list was made from")
    network = folder / f"{source.parent.stem}_{request.backend}.onnx"
    is_meant = source.choice is not None and source.choice.backend == request.backend
    choice = source.choice if source.choice and is_meant else default_choice(request.backend)
    quantize(
        source.parent,
        network,
        image_list=source.calibration,
        data=source.data,
        choice=choice,
    )
    return network


def is_built(plan: Plan) -> bool:
    """Whether the engine lies at its place already, made from the same things on the same device."""
    return plan.output.exists() and not _differences(plan)


def refuse_stale(plans: list[Plan]) -> None:
    """Refuse to replace an engine that was made from other things, or elsewhere, unless the user forces it.

    Raises:
        ExportError: with everything that differs.
    """
    for plan in plans:
        rivals = [other for other in plans if other.output == plan.output]
        if plan.output.exists() and not any(is_built(rival) for rival in rivals):
            raise ExportError(
                f"{plan.output} is there already, but not of this build: {'; '.join(_differences(plan))}; "
                "replace it with --force, or give another --output"
            )


def _differences(plan: Plan) -> list[str]:
    """What an engine that is there was made from, where that differs from the plan."""
    if not manifest_path(plan.output).exists():
        return ["it has no manifest"]
    try:
        there = read_manifest(plan.output)
    except ManifestError as error:
        return [str(error)]
    batch = plan.request.source.batch
    found = there.build.model_dump() | {
        "batch": (there.artefact.batch_min, there.artefact.batch_opt, there.artefact.batch_max),
        "parent_sha256": there.artefact.parent_sha256,
    }
    wanted = plan.build.model_dump() | {
        "batch": (batch.smallest, batch.best, batch.largest),
        "parent_sha256": hash_file(plan.request.source.parent),
    }
    return [f"{name} was {found[name]}, now {value}" for name, value in wanted.items() if found[name] != value]


def make_engine(plan: Plan, candidate: Path, *, reuse: bool) -> Manifest:
    """Write the engine and a manifest without evidence. Returns that manifest.

    reuse: copy the engine if it is built already.
    """
    made_from = read_manifest(plan.network)
    if reuse and is_built(plan):
        print(f"{plan.output} is there already, built from the same things: it is judged again, not built")
        shutil.copyfile(plan.output, candidate)
    elif plan.build.backend == "tensorrt":
        candidate.write_bytes(_build_with_tensorrt(plan))
    else:
        shutil.copyfile(plan.network, candidate)
    batch = plan.request.source.batch
    artefact = describe_file(candidate, parent=made_from, kind="engine", opset=made_from.artefact.opset).model_copy(
        update={
            "file": plan.output.name,
            "parent_sha256": hash_file(plan.request.source.parent),
            "batch_min": batch.smallest,
            "batch_opt": batch.best,
            "batch_max": batch.largest,
        }
    )
    manifest = derive_manifest(made_from, artefact, build=plan.build, calibration=made_from.calibration)
    write_manifest(manifest, candidate)
    return manifest


def _build_with_tensorrt(plan: Plan) -> bytes:
    batch = plan.request.source.batch
    return build_plan(
        plan.network,
        precision=plan.request.precision,
        batch_min=batch.smallest,
        batch_opt=batch.best,
        batch_max=batch.largest,
        workspace_mib=_WORKSPACE_MIB,
        timing_cache=plan.request.source.model.with_name(_TIMING_CACHE),
    ).plan
