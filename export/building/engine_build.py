"""An ONNX file to an engine file: decide what it is made of, see whether it is there already, build it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import Build, Manifest, hash_file, manifest_path, read_manifest, write_manifest
from edge_runtime.contract.provenance import derive_manifest, describe_file
from export.building.backends import BACKENDS, EngineKind
from export.building.tensorrt_builder import BatchSizes, build_plan, read_target
from export.building.tensorrt_versions import OPTIMISATION_LEVEL

TIMING_CACHE = "tensorrt_timing.cache"
"""Name of the file in which TensorRT keeps its measurements, so that the next build on this device is short."""
_WORKSPACE_MIB = 512


@dataclass(frozen=True)
class EngineBuild:
    """Everything that decides the bytes of an engine, and where it goes; made before anything is built.

    network: the ONNX file, in the precision of the engine. parent: the float32 ONNX file with the same weights.
    entry: the `build` entry of the engine's manifest. output: the engine's file.
    """

    network: Path
    parent: Path
    batch: BatchSizes
    entry: Build
    output: Path

    @property
    def title(self) -> str:
        """Precision and backend, such as `int8 tensorrt`."""
        return f"{self.entry.precision} {self.entry.backend}"


def decide_build(
    network: Path,
    kind: EngineKind,
    *,
    parent: Path,
    batch: BatchSizes,
    output: Path | None = None,
    optimisation_level: int = OPTIMISATION_LEVEL,
) -> EngineBuild:
    """Decide what an engine is made of and where it goes. Reads the manifest and the device, writes nothing.

    output: None for NAME_PRECISION_BACKEND beside the parent. optimisation_level: how long TensorRT searches.

    Raises:
        ExportError: the backend is TensorRT, and there is none or no usable GPU.
    """
    kept_higher = read_manifest(network).build.kept_higher
    if kind.backend == "tensorrt":
        target = read_target()
        entry = target.build(kind.precision, kept_higher=kept_higher, optimisation_level=optimisation_level)
        entry = entry.model_copy(update={"workspace_mib": _WORKSPACE_MIB})
    else:
        entry = Build(backend=kind.backend, precision=kind.precision, kept_higher=kept_higher)
    entry = entry.model_copy(update={"network_sha256": hash_file(network)})
    usual = parent.with_name(f"{parent.stem}_{kind.precision}_{kind.backend}{BACKENDS[kind.backend].suffix}")
    return EngineBuild(network, parent, batch, entry, output or usual)


def is_built(build: EngineBuild) -> bool:
    """Whether the output holds the engine already, made from the same files on the same device."""
    return build.output.exists() and not _differences(build)


def refuse_stale(builds: list[EngineBuild]) -> None:
    """Refuse to replace an engine that was made from other files, or on another device.

    Raises:
        ExportError: it names everything that differs.
    """
    for build in builds:
        rivals = [other for other in builds if other.output == build.output]
        if build.output.exists() and not any(is_built(rival) for rival in rivals):
            raise ExportError(
                f"{build.output} is there already, but not of this build: {'; '.join(_differences(build))}; "
                "replace it with --force, or give another --output"
            )


def _differences(build: EngineBuild) -> list[str]:
    """Say what differs between the engine at the output and the one to build."""
    if not manifest_path(build.output).exists():
        return ["it has no manifest"]
    try:
        there = read_manifest(build.output)
    except ManifestError as error:
        return [str(error)]
    found = there.build.model_dump() | {
        "batch": (there.artefact.batch_min, there.artefact.batch_opt, there.artefact.batch_max),
        "parent_sha256": there.artefact.parent_sha256,
    }
    wanted = build.entry.model_dump() | {
        "batch": (build.batch.smallest, build.batch.best, build.batch.largest),
        "parent_sha256": hash_file(build.parent),
    }
    return [f"{name} was {found[name]}, now {value}" for name, value in wanted.items() if found[name] != value]


def make_engine(build: EngineBuild, path: Path, *, timing_cache: Path | None = None) -> Manifest:
    """Build the engine into `path` and write a manifest without evidence beside it. Returns that manifest.

    path: where it lies until it is accepted; may be `build.output` itself. timing_cache: a file for TensorRT's
    measurements, read if it is there, and written.

    Raises:
        ExportError: TensorRT cannot build it.
    """
    if build.entry.backend == "tensorrt":
        path.write_bytes(_build_with_tensorrt(build, timing_cache))
    else:
        shutil.copyfile(build.network, path)
    return _write_manifest(build, path)


def copy_engine(build: EngineBuild, path: Path) -> Manifest:
    """Copy the engine that is built already to `path`, with a new manifest. Returns that manifest."""
    shutil.copyfile(build.output, path)
    return _write_manifest(build, path)


def _write_manifest(build: EngineBuild, path: Path) -> Manifest:
    made_from = read_manifest(build.network)
    artefact = describe_file(path, parent=made_from, kind="engine", opset=made_from.artefact.opset).model_copy(
        update={
            "file": build.output.name,
            "parent_sha256": hash_file(build.parent),
            "batch_min": build.batch.smallest,
            "batch_opt": build.batch.best,
            "batch_max": build.batch.largest,
        }
    )
    manifest = derive_manifest(made_from, artefact, build=build.entry, calibration=made_from.calibration)
    write_manifest(manifest, path)
    return manifest


def _build_with_tensorrt(build: EngineBuild, timing_cache: Path | None) -> bytes:
    return build_plan(
        build.network,
        precision=build.entry.precision,
        batch=build.batch,
        workspace_mib=_WORKSPACE_MIB,
        optimisation_level=build.entry.optimisation_level or OPTIMISATION_LEVEL,
        timing_cache=timing_cache,
    ).plan
