"""The kinds of detectors and trackers there are, one table row each, and the one way to open them.

To add a kind: write its class in a file of its own and add its row here. Nothing else knows the kinds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.settings import FilePath
from edge_runtime.people.detector import Detector
from edge_runtime.people.hog import HogDetector
from edge_runtime.people.tracker import OverlapTracker, Tracker
from edge_runtime.people.yolox import YOLOX_FORM, open_yolox

if TYPE_CHECKING:  # a device with HOG needs no ONNX Runtime
    from edge_runtime.people.onnx_network import OnnxNetwork


@dataclass(frozen=True)
class DetectorSettings:
    """What finds people: a YOLOX network as an ONNX file, or without a file OpenCV's HOG detector."""

    model: FilePath | None = None


@dataclass(frozen=True)
class DetectorKind:
    """Everything about one kind of detector.

    name: what messages call it. model: what its file looks like, in words; None for a kind that needs no file.
    open: makes the detector, given the open file or None without one; returns None where it is of another kind.
    """

    name: str
    model: str | None
    open: Callable[["OnnxNetwork | None"], Detector | None]


def open_detector(settings: DetectorSettings, *, threads: int = 1) -> Detector:
    """Open the detector of the first kind that takes the file. threads: CPU threads for a network.

    HOG runs on as many threads as OpenCV is set to use.

    Raises:
        EngineError: the file cannot be read, or is of no known kind; the message lists the known ones.
    """
    network = _open_network(settings.model, threads=threads) if settings.model else None
    for kind in DETECTORS:
        detector = kind.open(network)
        if detector is not None:
            return detector
    assert network is not None, "one kind needs no file"
    known = "; or ".join(f"{kind.name}, {kind.model}" for kind in DETECTORS if kind.model)
    raise EngineError(
        f"{network.path} is no person detector known here: expected {known}; found {network.form}; "
        "give such a file in ONNX format"
    )


def open_tracker(kind: str = "overlap", *, sure_score: float) -> Tracker:
    """Make a tracker for one camera. sure_score: see `Detector.sure_score`.

    Raises:
        EngineError: unknown kind; the message lists the known ones.
    """
    if kind not in TRACKERS:
        raise EngineError(f"expected a tracker of kind {', '.join(TRACKERS)}, found {kind!r}; choose one of these")
    return TRACKERS[kind](sure_score)


def _open_network(path: Path, *, threads: int) -> "OnnxNetwork":
    from edge_runtime.people.onnx_network import OnnxNetwork

    return OnnxNetwork(path, threads=threads)


DETECTORS: tuple[DetectorKind, ...] = (
    DetectorKind("HOG", model=None, open=lambda network: HogDetector() if network is None else None),
    DetectorKind("YOLOX", model=f"with {YOLOX_FORM}", open=open_yolox),
)
TRACKERS: dict[str, Callable[[float], Tracker]] = {
    "overlap": lambda sure_score: OverlapTracker(sure_score=sure_score),
}
