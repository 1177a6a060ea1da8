"""Frames to person boxes: the interface, and OpenCV's HOG detector, which needs no download."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.preprocess import Box

_SMALLEST_BOX_PX = 8.0  # what is left of a box at the frame's edge must be at least this wide and tall


@dataclass(frozen=True)
class Detection:
    """One person in one frame. `score` grows with certainty; its scale is the detector's own."""

    box: Box
    score: float


class Detector(Protocol):
    """Anything that finds people. Not safe to share between threads."""

    sure_score: float
    """From this score on a detection may start a track; weaker ones may only continue one."""

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Find people. frame: (H, W, 3) uint8, RGB. Boxes lie inside the frame, best score first."""
        ...


class HogDetector:
    """OpenCV's people detector: histograms of oriented gradients and a linear SVM.

    The SVM looks at windows of 64 x 128 pixels in which an upright person is 96 pixels tall, so the frame is resized
    until the smallest person of interest has that height. Scores are distances from the SVM's plane: 0 is undecided,
    above 1 is sure.

    Source: Dalal and Triggs, CVPR 2005.
    """

    sure_score = 0.4
    _WINDOW_PX = (128, 64)
    _PERSON_PX = 96
    _PYRAMID_STEP = 1.2
    _WIDTH_SHARE, _HEIGHT_SHARE = 0.6, 0.77  # of the window that the person fills; the rest is trained-in margin

    def __init__(self, *, smallest_person_px: int = 77, score_threshold: float = 0.3, overlap: float = 0.4) -> None:
        self._zoom = self._PERSON_PX / smallest_person_px
        self._score_threshold = score_threshold
        self._overlap = overlap
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        zoomed = cv2.resize(grey, None, fx=self._zoom, fy=self._zoom, interpolation=cv2.INTER_LINEAR)
        if zoomed.shape[0] < self._WINDOW_PX[0] or zoomed.shape[1] < self._WINDOW_PX[1]:
            return []
        windows, scores = self._hog.detectMultiScale(
            zoomed,
            hitThreshold=self._score_threshold,
            winStride=(8, 8),
            padding=(8, 8),
            scale=self._PYRAMID_STEP,
            groupThreshold=0,
        )
        boxes = self._tighten(np.asarray(windows, np.float32).reshape(-1, 4) / np.float32(self._zoom))
        sureness = np.ravel(scores).astype(np.float32)
        found = best_detections(boxes, sureness, overlap=self._overlap, frame_shape=frame.shape)
        return [detection for detection in found if not any(_holds_better(detection, other) for other in found)]

    def _tighten(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the margin off (left, top, width, height). Returns (N, 4) as (left, top, right, bottom)."""
        centres, sizes = windows[:, :2] + windows[:, 2:] / 2, windows[:, 2:]
        halves = sizes * np.array([self._WIDTH_SHARE, self._HEIGHT_SHARE], np.float32) / 2
        return np.concatenate([centres - halves, centres + halves], axis=1)


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


def best_detections(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], *, overlap: float, frame_shape: tuple[int, ...]
) -> list[Detection]:
    """Keep the best of boxes that overlap by more than `overlap` (IoU), cut to the frame, best score first.

    boxes: (N, 4) float, (left, top, right, bottom) in pixels; scores: (N,). frame_shape: (H, W, ...).
    """
    if len(boxes) == 0:
        return []
    left_top_size = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(left_top_size.tolist(), scores.tolist(), score_threshold=0.0, nms_threshold=overlap)
    height_px, width_px = frame_shape[:2]
    detections = []
    for index in np.ravel(kept).tolist():
        left, top, right, bottom = np.clip(boxes[index], 0, [width_px, height_px, width_px, height_px]).tolist()
        if right - left >= _SMALLEST_BOX_PX and bottom - top >= _SMALLEST_BOX_PX:
            detections.append(Detection((left, top, right, bottom), float(scores[index])))
    return detections


def _holds_better(large: Detection, small: Detection) -> bool:
    """Whether a box merely surrounds a surer one of less than half its size, as large HOG windows often do."""
    left, top, right, bottom = large.box
    centre_x, centre_y = (small.box[0] + small.box[2]) / 2, (small.box[1] + small.box[3]) / 2
    holds = left < centre_x < right and top < centre_y < bottom
    return holds and small.score > large.score and 2 * _area(small.box) < _area(large.box)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
