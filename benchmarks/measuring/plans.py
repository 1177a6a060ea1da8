"""TensorRT engines for measuring: built from an ONNX file, with a manifest, without the gate of build_engine."""

from pathlib import Path

from edge_runtime.contract.manifest import read_manifest, write_manifest
from edge_runtime.contract.provenance import describe_file, successor
from export.tensorrt_builder import BuiltPlan, build_plan

_WORKSPACE_MIB = 1024


def write_plan(onnx_file: Path, plan: Path, *, batch_max: int = 32) -> BuiltPlan:
    """Build `onnx_file` in its own precision for batches of 1 to `batch_max`, best at 8, and write the plan.

    Raises:
        ManifestError, ExportError, EngineError: it cannot be built here.
    """
    manifest = read_manifest(onnx_file)
    precision, kept_higher = manifest.build.precision, manifest.build.kept_higher
    built = build_plan(
        onnx_file,
        precision=precision,
        batch_min=1,
        batch_opt=min(8, batch_max),
        batch_max=batch_max,
        workspace_mib=_WORKSPACE_MIB,
    )
    plan.write_bytes(built.plan)
    artefact = describe_file(plan, parent=manifest, kind="engine", opset=None)
    artefact = artefact.model_copy(update={"batch_min": 1, "batch_opt": min(8, batch_max), "batch_max": batch_max})
    write_manifest(successor(manifest, artefact, build=built.build(precision, kept_higher=kept_higher)), plan)
    return built
