"""Frames to person boxes: the interface of every detector, and the choice of the best of overlapping boxes."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box

_SMALLEST_BOX_PX = 8.0  # what is left of a box at the frame's edge must be at least this wide and tall


@dataclass(frozen=True)
class Detection:
    """One person in one frame. score: higher is more certain; each detector has a scale of its own."""

    box: Box
    score: float


class Detector(Protocol):
    """Anything that finds people. One thread uses it: in the daemon a worker, for all cameras in turn."""

    sure_score: float
    """A detection with at least this score may start a track; one with a lower score may only continue a track."""

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """Find people. frame: NV12, or (H, W, 3) uint8, RGB. Boxes lie inside the frame, best score first."""
        ...


def size_px(frame: Nv12 | NDArray[np.uint8]) -> tuple[int, int]:
    """Height and width of a frame."""
    return (frame.height_px, frame.width_px) if isinstance(frame, Nv12) else (frame.shape[0], frame.shape[1])


def best_detections(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], *, overlap: float, frame_shape: tuple[int, ...]
) -> list[Detection]:
    """Of boxes that overlap by more than `overlap` (IoU) keep the best. Returns them clipped, best score first.

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
