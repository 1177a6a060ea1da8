"""Parts of a camera's picture where nobody is looked at, such as a neighbour's garden or a poster with people."""

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from edge_runtime.people.detector import Detection

Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]


def _check_mask(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(points) < 3 or cv2.contourArea(np.array(points, np.float32)) == 0:
        raise ValueError(f"expected at least 3 points [x, y] that enclose an area, found {len(points)} that do not")
    return points


Mask = Annotated[tuple[Point, ...], AfterValidator(_check_mask)]
"""A polygon: points (x, y) in shares of the picture's width and height, from its upper left corner."""


def outside_masks(
    detections: Sequence[Detection], masks: Sequence[Mask], *, height_px: int, width_px: int
) -> tuple[Detection, ...]:
    """The people whose foot point, the middle of the box's lower side, is in no mask; on its edge counts as in it.

    height_px, width_px: of the frame in whose pixels the boxes are.
    """
    polygons = [np.array(mask, np.float32) * np.array([width_px, height_px], np.float32) for mask in masks]

    def is_masked(detection: Detection) -> bool:
        left, _, right, bottom = detection.box
        return any(cv2.pointPolygonTest(polygon, ((left + right) / 2, bottom), False) >= 0 for polygon in polygons)

    return tuple(detection for detection in detections if not is_masked(detection))
