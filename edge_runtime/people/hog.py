"""OpenCV's HOG detector, which needs no model file."""

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection, best_detections, size_px

_TO_FULL_RANGE = np.clip(np.round((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)
"""Video luma, where black is 16 and white 235, to grey."""


class HogDetector:
    """OpenCV's people detector: histograms of oriented gradients and a linear SVM.

    The SVM looks at windows of 64 x 128 pixels in which an upright person is 96 pixels tall, so the frame is resized
    until the smallest person of interest has that height. Scores are distances from the SVM's plane, where 0 is in the
    middle between person and background. One thread makes and uses it; OpenCV computes on threads of its own.

    smallest_person_px: in the frame. None: 77 pixels, and more in a frame that would be larger than 960 x 720 pixels
    after resizing, so that a look never takes much longer than at a frame of 768 x 576.

    Source: Dalal and Triggs, CVPR 2005.
    """

    sure_score = 0.4
    _WINDOW_PX = (128, 64)
    _PERSON_PX = 96
    _USUAL_PERSON_PX = 77
    _LARGEST_AREA = 960 * 720
    _PYRAMID_STEP = 1.2
    _WIDTH_SHARE, _HEIGHT_SHARE = 0.6, 0.77  # share of the window that the person fills; the rest is margin

    def __init__(
        self, *, smallest_person_px: float | None = None, score_threshold: float = 0.3, overlap: float = 0.4
    ) -> None:
        self._smallest_person_px = smallest_person_px
        self._score_threshold = score_threshold
        self._overlap = overlap
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(cv2.HOGDescriptor.getDefaultPeopleDetector())

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`. Of NV12 only the luma is read."""
        height_px, width_px = size_px(frame)
        zoom = self._zoom(height_px, width_px)
        zoomed = _resize_grey(frame, zoom=zoom)
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
        boxes = self._tighten(np.asarray(windows, np.float32).reshape(-1, 4) / np.float32(zoom))
        sureness = np.ravel(scores).astype(np.float32)
        found = best_detections(boxes, sureness, overlap=self._overlap, frame_shape=(height_px, width_px))
        return [detection for detection in found if not any(_holds_better(detection, other) for other in found)]

    def _zoom(self, height_px: int, width_px: int) -> float:
        if self._smallest_person_px is not None:
            return self._PERSON_PX / self._smallest_person_px
        return float(min(self._PERSON_PX / self._USUAL_PERSON_PX, np.sqrt(self._LARGEST_AREA / (height_px * width_px))))

    def _tighten(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Remove the margin of windows (left, top, width, height). Returns (N, 4) as (left, top, right, bottom)."""
        centres, sizes = windows[:, :2] + windows[:, 2:] / 2, windows[:, 2:]
        halves = sizes * np.array([self._WIDTH_SHARE, self._HEIGHT_SHARE], np.float32) / 2
        return np.concatenate([centres - halves, centres + halves], axis=1)


def _resize_grey(frame: Nv12 | NDArray[np.uint8], *, zoom: float) -> NDArray[np.uint8]:
    """The frame at another size in grey, black 0 and white 255. Returns at least one pixel."""
    grey = frame.luma if isinstance(frame, Nv12) else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    size = max(1, round(grey.shape[1] * zoom)), max(1, round(grey.shape[0] * zoom))
    zoomed = cv2.resize(grey, size, interpolation=cv2.INTER_LINEAR)
    if isinstance(frame, Nv12) and not frame.is_full_range:
        zoomed = cv2.LUT(zoomed, _TO_FULL_RANGE)
    return np.asarray(zoomed, np.uint8)


def _holds_better(large: Detection, small: Detection) -> bool:
    """Whether a box holds a better one of less than half its area: large HOG windows often hold a small person."""
    left, top, right, bottom = large.box
    centre_x, centre_y = (small.box[0] + small.box[2]) / 2, (small.box[1] + small.box[3]) / 2
    holds = left < centre_x < right and top < centre_y < bottom
    return holds and small.score > large.score and 2 * _area(small.box) < _area(large.box)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
