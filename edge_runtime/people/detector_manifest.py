"""The manifest beside a detector's file: what the file was taken for when it was checked, and its digest."""

import logging
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from edge_runtime.contract.errors import ManifestError
from edge_runtime.contract.manifest import Build
from edge_runtime.contract.provenance import read_cpu_name, read_utc
from edge_runtime.contract.script import replace_file
from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.people.detector_file import DetectorFile

logger = logging.getLogger(__name__)

_NOT_STATED = "not stated"


class MeasuredLook(StrictModel):
    """The median time of one look at a grey picture of 1280 x 720 pixels, when the manifest was written."""

    look_ms: float
    backend: str
    cpu: str


class DetectorCalibration(StrictModel):
    """Where the INT8 ranges come from. kept_in_float: groups of layers that are not quantised."""

    video: str
    frames: int
    method: str
    kept_in_float: tuple[str, ...]


class DetectorTrial(StrictModel):
    """What a built detector found beside its float32 parent, on frames of a video.

    people: the parent's sure ones. finds: share of them that it finds, too; adds: share of its own that the parent
    finds (IoU of 0.5 and more). overlap: mean IoU of those pairs. score_change: mean absolute difference of their
    scores. look_ms, parent_look_ms: CPU time of one look, of the parent as it would run without building.
    """

    video: str
    frames: int
    people: int
    finds: float
    adds: float
    overlap: float
    score_change: float
    look_ms: float
    parent_look_ms: float


class DetectorManifest(StrictModel):
    """What a detector's file is. licence: of its weights; the user writes it into the file.

    build, parent_sha256, calibration, trial: of a file that export/build_engine.py made; its backend runs it.
    """

    file: str
    sha256: str
    kind: str
    person_class: int
    licence: str = _NOT_STATED
    measured: MeasuredLook
    created: str
    build: Build | None = None
    parent_sha256: str | None = None
    calibration: DetectorCalibration | None = None
    trial: DetectorTrial | None = None


def detector_manifest_path(path: Path) -> Path:
    """Where the manifest of a detector's file is."""
    return path.with_name(f"{path.name}.json")


def read_detector_manifest(file: DetectorFile) -> DetectorManifest | None:
    """The manifest beside the file; None where there is none yet.

    Raises:
        ManifestError: it is damaged, or it is the manifest of another file.
    """
    path = detector_manifest_path(file.path)
    if not path.is_file():
        return None
    remedy = f"if {file.path.name} is the detector you want, delete {path.name} and run reid-edge --check"
    try:
        manifest = DetectorManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ManifestError(f"{path} is not the manifest of a detector ({_first_fault(error)}); {remedy}") from error
    if manifest.sha256 != file.sha256:
        raise ManifestError(
            f"{file.path} is not the file that was checked: expected sha256 {manifest.sha256[:16]}... "
            f"({path.name}, {manifest.created}), found {file.sha256[:16]}...; put the old file back, or {remedy}"
        )
    return manifest


def check_against_settings(
    manifest: DetectorManifest, file: DetectorFile, *, kind: str, person_class: int | None, backend: str
) -> None:
    """Check that the configuration asks for what the manifest holds. kind, backend: or `auto`; person_class: or None.

    Raises:
        ManifestError: it asks for another kind, class or backend.
    """
    built_for = manifest.build.backend if manifest.build else backend
    if backend not in ("auto", built_for):
        raise ManifestError(
            f"the configuration has backend {backend} for {file.path}, which was built for {built_for}; leave "
            "`backend` out, or build for it with export/build_engine.py --detector"
        )
    asked, written = {"kind": kind, "person_class": person_class}, manifest.model_dump()
    for name, value in asked.items():
        if value not in ("auto", None, written[name]):
            path = detector_manifest_path(file.path)
            raise ManifestError(
                f"the configuration has {name} {value} for {file.path}, which was checked as {written[name]}; "
                f"correct it, or delete {path.name} and run reid-edge --check"
            )


def write_detector_manifest(path: Path, manifest: DetectorManifest) -> None:
    """Write the manifest beside the detector's file `path`. Where that is not allowed, a warning says so."""
    beside = detector_manifest_path(path)
    try:
        replace_file(beside, manifest.model_dump_json(indent=2) + "\n")
    except OSError as error:
        logger.warning(
            "cannot write %s (%s), so a changed detector would not be noticed; run reid-edge --check once as a user "
            "who may write there",
            beside,
            error.strerror,
        )
        return
    logger.info("wrote %s: a changed file is refused from now on; its licence is %s", beside, manifest.licence)


def describe_detector(
    file: DetectorFile, *, kind: str, person_class: int, backend: str, seconds: list[float]
) -> DetectorManifest:
    """The manifest of a file that was opened and timed. seconds: of each look."""
    look_ms = round(1000 * float(np.median(seconds)), 2)
    return DetectorManifest(
        file=file.path.name,
        sha256=file.sha256,
        kind=kind,
        person_class=person_class,
        measured=MeasuredLook(look_ms=look_ms, backend=backend, cpu=read_cpu_name()),
        created=read_utc(),
    )


def _first_fault(error: OSError | ValidationError) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'file'}: {first['msg']}"
