"""The detectors there are, and the one way to open one."""

from pathlib import Path

from edge_runtime.people.detector import Detector
from edge_runtime.people.hog import HogDetector


def open_detector(model: Path | None, *, threads: int = 1) -> Detector:
    """Make the HOG detector, or with a model file the YOLOX detector on so many CPU threads.

    HOG takes as many as OpenCV is set to take.

    Raises:
        EngineError: the file is not a YOLOX detector that ONNX Runtime can run.
    """
    if model is None:
        return HogDetector()
    from edge_runtime.people.yolox import YoloxDetector  # a device with HOG needs no ONNX Runtime

    return YoloxDetector(model, threads=threads)
