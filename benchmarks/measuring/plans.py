"""TensorRT engines for measuring: built from an ONNX file, with a manifest, without build_engine's gate. No torch."""

from pathlib import Path

from edge_runtime.contract.manifest import read_manifest, write_manifest
from edge_runtime.contract.provenance import describe_file, successor
from export.building.tensorrt_builder import Batch, BuiltPlan, build_plan

_WORKSPACE_MIB = 1024


def write_plan(onnx_file: Path, plan: Path, *, batch: Batch, timing_cache: Path | None = None) -> BuiltPlan:
    """Build `onnx_file` in its own precision and write the plan, its manifest last.

    Raises:
        ManifestError, ExportError, EngineError: it cannot be built here.
    """
    manifest = read_manifest(onnx_file)
    precision, kept_higher = manifest.build.precision, manifest.build.kept_higher
    sizes = {"batch_min": batch.smallest, "batch_opt": batch.best, "batch_max": batch.largest}
    built = build_plan(onnx_file, precision=precision, workspace_mib=_WORKSPACE_MIB, timing_cache=timing_cache, **sizes)
    plan.write_bytes(built.plan)
    artefact = describe_file(plan, parent=manifest, kind="engine", opset=None).model_copy(update=sizes)
    write_manifest(successor(manifest, artefact, build=built.build(precision, kept_higher=kept_higher)), plan)
    return built
