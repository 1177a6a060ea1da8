"""How good a moment is for describing a person: one number from 0 to 1, and what it is made of.

quality = alone x sure x inside x large x sharp, each of them from 0 to 1:

- alone: 1 - overlap / 0.4, at least 0. overlap: by the person, seen or hidden, who disturbs most: the share of this box
  that the other box covers, or half of the share of the other one that lies in this box, whichever is larger.
- sure: score of the detector / twice the score from which on it is sure.
- inside: 1 - truncation, the share of the box's four sides that lie on or beyond the frame's edge.
- large: sqrt(height of the box / 128 pixels).
- sharp: sqrt(sharpness / 0.2). sharpness: variance of the Laplacian over the variance of the luma, of the box at 64 x
  32 pixels. So it depends neither on the camera's resolution nor on the light; blur over 1/64 of the height lowers it.
"""

from dataclasses import dataclass
from math import sqrt

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.preprocess import Box

_OVERLAP_OF_NOBODY_ALONE = 0.4
_OF_THE_OTHER = 0.5
_LARGE_PX = 128.0
_SHARP = 0.2  # nine of ten boxes of street clips have more; a blur over 1/32 of the height gives a third of it
_SIZE_PX = (32, 64)  # width, height
_LEAST_VARIANCE = 25.0  # of a box that is all grey: its noise is not sharpness


@dataclass(frozen=True)
class ShotQuality:
    """See the file. sureness: the part `sure`, at most 1 counts. sharpness: infinite where it is not measured yet."""

    overlap: float
    sureness: float
    truncation: float
    size_px: float
    sharpness: float

    @property
    def value(self) -> float:
        """The one number."""
        alone = max(0.0, 1.0 - self.overlap / _OVERLAP_OF_NOBODY_ALONE)
        sure = min(max(self.sureness, 0.0), 1.0)
        large = sqrt(min(1.0, self.size_px / _LARGE_PX))
        sharp = sqrt(min(1.0, self.sharpness / _SHARP))
        return alone * sure * (1.0 - self.truncation) * large * sharp


def measure_overlaps(boxes: NDArray[np.float64], hidden: NDArray[np.float64]) -> NDArray[np.float64]:
    """The overlap of each box with the others and with `hidden` ones. boxes: (N, 4), hidden: (M, 4). Returns (N,)."""
    every = np.concatenate([boxes, hidden])
    sides = np.minimum(boxes[:, None, 2:], every[None, :, 2:]) - np.maximum(boxes[:, None, :2], every[None, :, :2])
    shared = np.clip(sides, 0.0, None).prod(axis=-1)  # (N, N + M)
    np.fill_diagonal(shared, 0.0)
    areas = np.maximum((every[:, 2:] - every[:, :2]).prod(axis=-1), 1e-9)
    disturbs = np.maximum(shared / areas[: len(boxes), None], _OF_THE_OTHER * shared / areas)
    return np.asarray(disturbs.max(axis=1, initial=0.0), np.float64)


def measure_truncation(box: Box, *, height_px: int, width_px: int) -> float:
    """The share of the box's sides that lie on or beyond the edge of a frame of that size."""
    left, top, right, bottom = box
    return sum((left <= 0, top <= 0, right >= width_px, bottom >= height_px)) / 4


def measure_sharpness(luma: NDArray[np.uint8]) -> float:
    """See the file. luma: (H, W), of the box."""
    small = cv2.resize(luma, _SIZE_PX, interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(small, cv2.CV_32F)
    return float(edges.var() / max(float(small.var()), _LEAST_VARIANCE))
