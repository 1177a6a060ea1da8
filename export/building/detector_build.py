"""A fitted detection network to engines of the backends that this machine has, each tried beside its parent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import onnx

from calibration.precision_plan import DETECTOR_PLANS, PrecisionPlan, TargetBackend
from edge_runtime.contract.errors import EngineError, ExportError
from edge_runtime.contract.manifest import Build, Precision
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.catalog import DetectorSettings, describe_opened, open_detector
from edge_runtime.people.detector import Detector
from edge_runtime.people.detector_file import read_detector_file
from edge_runtime.people.detector_manifest import (
    DetectorCalibration,
    DetectorManifest,
    DetectorTrial,
    MeasuredLook,
    write_detector_manifest,
)
from edge_runtime.people.network_detector import NetworkDetector
from export.building.backends import BACKENDS, EngineKind
from export.building.detector_networks import halve_detector, quantize_detector
from export.building.detector_trial import TrialFrames, compare, describe_trial, fault_of
from export.building.engine_build import TIMING_CACHE
from export.building.tensorrt_builder import build_plan, read_target
from export.building.tensorrt_versions import OPTIMISATION_LEVEL

DetectorPrecision = Literal["fp16", "bf16", "int8", "best"]
_WORKSPACE_MIB = 512
_TRIED = {"onnxruntime": ("int8",), "openvino": ("bf16", "int8"), "tensorrt": ("fp16", "int8")}
"""Precisions that can be faster than the float32 file, by backend."""


@dataclass(frozen=True)
class DetectorSource:
    """What detectors are built from. network: float32, fitted, as it lies at `path`, opened as `detector`.

    parent: the file that was given, and reference: opened in float32. calibration: frames for INT8; the trial looks at
    others.
    """

    parent: Path
    reference: NetworkDetector
    path: Path
    network: onnx.ModelProto
    detector: NetworkDetector
    calibration: Sequence[Nv12]
    trial: TrialFrames

    @property
    def settings(self) -> DetectorSettings:
        """How the file is opened."""
        return DetectorSettings(self.path, kind=self.detector.kind.name, person_class=self.detector.person_class)


@dataclass(frozen=True)
class BuiltDetector:
    """A detector that was built and tried. path: where it lies until it is chosen."""

    kind: EngineKind
    path: Path
    manifest: DetectorManifest
    trial: DetectorTrial


def list_detector_kinds(precision: DetectorPrecision, backend: TargetBackend | Literal["auto"]) -> list[EngineKind]:
    """The engines to build on this machine; prints which backends are left out, and why.

    Raises:
        ExportError: none can be built here.
    """
    kinds, reasons = [], []
    for name, row in BACKENDS.items():
        if backend not in ("auto", name):
            continue
        if reason := row.why_unavailable():
            reasons.append(f"{name}: {reason}")
            continue
        wanted = [one for one in _TRIED[name] if precision in ("best", one)]
        kinds += [EngineKind(_as_precision(one), name) for one in wanted]
    if not kinds:
        said = "; ".join(reasons) or f"{backend} runs no {precision} detectors"
        raise ExportError(f"no {precision} detector can be built here: {said}")
    for reason in reasons:
        print(f"not tried: {reason}")
    return kinds


def build_best(
    source: DetectorSource, kinds: Sequence[EngineKind], *, folder: Path, allow_slower: bool
) -> BuiltDetector:
    """Build every kind into `folder`, try each beside its parent, and choose the fastest that is good enough.

    Raises:
        ExportError: none is; the message says why, for each.
    """
    rival = open_detector(source.settings)
    good, faults = [], []
    for kind in kinds:
        title = f"{kind.precision} {kind.backend}"
        try:
            built = _build(source, kind, folder=folder, rival=rival)
        except (EngineError, ExportError) as error:
            print(f"{title}: left out: {error}")
            faults.append(f"the {title} detector could not be built: {error}")
            continue
        print(f"{title}:\n{describe_trial(built.trial)}")
        if fault := fault_of(built.trial, allow_slower=allow_slower):
            faults.append(f"the {title} detector {fault}")
        else:
            good.append(built)
    if not good:
        raise ExportError(f"{'; '.join(faults)}; no detector was written, use {source.parent}")
    return min(good, key=lambda built: built.trial.look_ms)


def _build(source: DetectorSource, kind: EngineKind, *, folder: Path, rival: Detector) -> BuiltDetector:
    path = folder / f"{kind.precision}_{kind.backend}{BACKENDS[kind.backend].suffix}"
    plan = next(plan for plan in DETECTOR_PLANS if plan.backend == kind.backend)
    build = _write(source, kind, path=path, plan=plan)
    manifest = DetectorManifest(
        file=path.name,
        sha256=read_detector_file(path).sha256,
        kind=source.detector.kind.name,
        person_class=source.detector.person_class,
        measured=MeasuredLook(look_ms=0.0, backend="not opened yet", cpu=""),
        created="",
        build=build,
        parent_sha256=read_detector_file(source.parent).sha256,
        calibration=_calibration(source, plan) if kind.precision == "int8" else None,
    )
    write_detector_manifest(path, manifest)  # the detector opens as its manifest says
    detector = open_detector(replace(source.settings, model=path))
    assert isinstance(detector, NetworkDetector)
    trial = compare(source.reference, detector, on=source.trial, rival=rival)
    opened = describe_opened(read_detector_file(path), detector)
    changes = {"measured": opened.measured, "created": opened.created, "trial": trial}
    return BuiltDetector(kind, path, manifest.model_copy(update=changes), trial)


def _write(source: DetectorSource, kind: EngineKind, *, path: Path, plan: PrecisionPlan) -> Build:
    """Write the file of an engine. Returns how it was built."""
    network = source.network
    kept_higher: tuple[str, ...] = ()
    if kind.precision == "int8":
        network = quantize_detector(source.network, source.detector, frames=source.calibration, plan=plan)
        kept_higher = plan.kept_in_float
    elif kind.precision == "fp16":
        network = halve_detector(source.network)
    content = network.SerializeToString(deterministic=True)
    if kind.backend != "tensorrt":
        path.write_bytes(content)
        return Build(backend=kind.backend, precision=kind.precision, kept_higher=kept_higher)
    onnx_path = path.with_suffix(".onnx")
    onnx_path.write_bytes(content)
    cache = source.parent.with_name(TIMING_CACHE)
    built = build_plan(
        onnx_path, precision=kind.precision, batch=None, workspace_mib=_WORKSPACE_MIB, timing_cache=cache
    )
    path.write_bytes(built.plan)
    return read_target().build(kind.precision, kept_higher=kept_higher, optimisation_level=OPTIMISATION_LEVEL)


def _calibration(source: DetectorSource, plan: PrecisionPlan) -> DetectorCalibration:
    return DetectorCalibration(
        video=source.trial.video.name,
        frames=len(source.calibration),
        method=plan.method,
        kept_in_float=plan.kept_in_float,
    )


def _as_precision(name: str) -> Precision:
    return next(precision for precision in ("fp16", "bf16", "int8") if precision == name)
