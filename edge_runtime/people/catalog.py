"""The detectors and trackers there are, and the one way to open them.

To add a kind of detection network: a row in yolo_kinds.py or stretched_kinds.py; a library that runs networks: a row in
network_backends.py; a tracker: a class and a row here. Nothing else knows them.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.contract.settings import FilePath, checked_by
from edge_runtime.people.detector import Detector
from edge_runtime.people.detector_file import DetectorFile, read_detector_file
from edge_runtime.people.detector_manifest import (
    DetectorManifest,
    check_against_settings,
    describe_detector,
    read_detector_manifest,
    write_detector_manifest,
)
from edge_runtime.people.given_tracker import GivenTracker
from edge_runtime.people.hog import HogDetector
from edge_runtime.people.likelihood_tracker import LikelihoodTracker
from edge_runtime.people.network_backends import NetworkBackend, open_network
from edge_runtime.people.network_detector import NetworkDetector, choose_kind, choose_person_class
from edge_runtime.people.network_kind import LEAST_SCORE
from edge_runtime.people.network_kinds import kind_named
from edge_runtime.people.tracker import Tracker

logger = logging.getLogger(__name__)

_LOOKS = 7


def _check_kind(name: str) -> str:
    return name if name == "auto" else kind_named(name).name


@dataclass(frozen=True)
class DetectorSettings:
    """What finds people: a detection network (ONNX file or TensorRT engine), or without a file OpenCV's HOG detector.

    kind: a name of the table in network_kinds.py; `auto` takes the kind that the file's form shows.
    person_class: needed where the network's list of classes is not a well-known one.
    min_score: people with a lower probability are dropped.
    smallest_person_px: people less tall than this in the frame are dropped; HOG resizes the frame by it.

    Raises:
        ConfigError: something about a network is set, but no file is given.
    """

    model: FilePath | None = None
    kind: Annotated[str, checked_by(_check_kind)] = "auto"
    person_class: Annotated[int, Field(ge=0)] | None = None
    backend: NetworkBackend = "auto"
    min_score: Annotated[float, Field(ge=LEAST_SCORE, le=0.99)] = 0.1
    smallest_person_px: Annotated[float, Field(ge=8, le=2000)] | None = None

    def __post_init__(self) -> None:
        changed = [field.name for field in fields(self) if getattr(self, field.name) != field.default]
        of_network = [name for name in changed if name != "smallest_person_px"]
        if self.model is None and of_network:
            raise ConfigError(
                f"{', '.join(of_network)} belong to a network: expected them beside `model`, found no model; "
                "name its file or remove them"
            )


def open_detector(settings: DetectorSettings, *, threads: int = 1) -> Detector:
    """Open the detector. threads: CPU threads for a network; HOG runs on as many as OpenCV is set to use.

    Raises:
        EngineError: the file cannot be read, or is of no known kind; the message lists the known ones.
        ManifestError: the file is not the one that its manifest describes.
    """
    if settings.model is None:
        return HogDetector(smallest_person_px=settings.smallest_person_px)
    file = read_detector_file(settings.model)
    manifest = read_detector_manifest(file)
    if manifest:
        check_against_settings(
            manifest, file, kind=settings.kind, person_class=settings.person_class, backend=settings.backend
        )
    build = manifest.build if manifest else None
    network = open_network(file, backend=settings.backend, build=build, threads=threads)
    kind = choose_kind(network, name=manifest.kind if manifest else settings.kind, path=file.path)
    asked = manifest.person_class if manifest else settings.person_class
    person_class = choose_person_class(kind, network.form, asked=asked, path=file.path)
    return NetworkDetector(
        network,
        kind,
        person_class=person_class,
        min_score=settings.min_score,
        smallest_person_px=settings.smallest_person_px or 0.0,
    )


def runs_on_gpu(detector: Detector) -> bool:
    """Whether an opened detector computes on the one GPU of this machine."""
    return isinstance(detector, NetworkDetector) and detector.network.backend.startswith("tensorrt ")


def log_detector(
    settings: DetectorSettings, detector: Detector, *, remedy: str = "set `detector: {model: FILE.onnx}`"
) -> None:
    """Log what finds people, and what would be better. A program may open several detectors of the same settings.

    remedy: how the user of this program names a network.
    """
    if isinstance(detector, NetworkDetector):
        kind, person_class = detector.kind.name, detector.person_class
        file, backend = settings.model and settings.model.name, detector.network.backend
        logger.info("detector %s (%s, people are class %d) runs on %s", file, kind, person_class, backend)
        return
    logger.warning(
        "no detector model is given, so OpenCV's HOG finds people: it misses many more of them than a small "
        "network like YOLOX-nano and needs several times its CPU time; %s, "
        "edge_runtime/README.md says where to get one",
        remedy,
    )


def record_detector(settings: DetectorSettings, detector: Detector) -> None:
    """Write the manifest of the detector that these settings opened, unless there is one or it needs no file."""
    if settings.model is None or not isinstance(detector, NetworkDetector):
        return
    file = read_detector_file(settings.model)
    if read_detector_manifest(file):
        return
    write_detector_manifest(file.path, describe_opened(file, detector))


def describe_opened(file: DetectorFile, detector: NetworkDetector) -> DetectorManifest:
    """The manifest of a file that was opened as this detector; it looks at a grey frame a few times."""
    frame = np.full((720, 1280, 3), 114, np.uint8)
    return describe_detector(
        file,
        kind=detector.kind.name,
        person_class=detector.person_class,
        backend=detector.network.backend,
        seconds=[_time_look(detector, frame) for _ in range(_LOOKS)],
    )


def open_tracker(kind: str = "likelihood", *, sure_score: float, forget_s: float = 10.0) -> Tracker:
    """Make a tracker for one camera. sure_score: see `Detector.sure_score`. forget_s: see `GivenTracker`.

    Raises:
        EngineError: unknown kind; the message lists the known ones.
    """
    if kind not in TRACKERS:
        raise EngineError(f"expected a tracker of kind {', '.join(TRACKERS)}, found {kind!r}; choose one of these")
    return TRACKERS[kind](sure_score, forget_s)


def _time_look(detector: Detector, frame: NDArray[np.uint8]) -> float:
    start_s = time.perf_counter()
    detector.detect(frame)
    return time.perf_counter() - start_s


TRACKERS: dict[str, Callable[[float, float], Tracker]] = {
    "likelihood": lambda sure_score, _: LikelihoodTracker(sure_score=sure_score),
    "given": lambda _, forget_s: GivenTracker(forget_s=forget_s),
}
