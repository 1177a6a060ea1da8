"""Frames to person boxes: the interface of every detector, and the choice of the best of overlapping boxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box

_SMALLEST_BOX_PX = 8.0  # what is left of a box at the frame's edge must be at least this wide and tall


@dataclass(frozen=True)
class Detection:
    """One person in one frame. score: higher is more certain; each detector has a scale of its own.

    given_id: what somebody outside who follows people calls this one; None: nobody does, or it is not known.
    """

    box: Box
    score: float
    given_id: str | None = None


class Detector(Protocol):
    """Anything that finds people. One thread uses it: in the daemon a worker, for all cameras in turn."""

    sure_score: float
    """A detection with at least this score may start a track; one with a lower score may only continue a track."""

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """Find people. frame: NV12, or (H, W, 3) uint8, RGB. Boxes lie inside the frame, best score first."""
        ...


@runtime_checkable
class BatchDetector(Detector, Protocol):
    """A detector that can look at several frames in one go.

    frames_at_once: at most so many; 1 where more take no less time per frame, as on a CPU.
    """

    frames_at_once: int

    def detect_batch(self, frames: Sequence[Nv12 | NDArray[np.uint8]]) -> list[list[Detection]]:
        """As `detect`, for each frame; they may differ in size."""
        ...


def frames_at_once(detector: Detector) -> int:
    """How many frames a detector is best given in one go."""
    return detector.frames_at_once if isinstance(detector, BatchDetector) else 1


def detect_all(detector: Detector, frames: Sequence[Nv12 | NDArray[np.uint8]]) -> list[list[Detection]]:
    """Find people in frames, in one go where the detector gains by it. frames: at most `frames_at_once`."""
    if isinstance(detector, BatchDetector) and len(frames) > 1:
        return detector.detect_batch(frames)
    return [detector.detect(frame) for frame in frames]


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
