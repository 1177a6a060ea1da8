"""Areas that an operator draws into a camera's picture: masks and zones."""

from typing import Annotated

import cv2
import numpy as np
from pydantic import AfterValidator, Field

from edge_runtime.contract.preprocess import Box

Share = Annotated[float, Field(ge=0, le=1)]
Point = tuple[Share, Share]


def _check_polygon(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(points) < 3 or cv2.contourArea(np.array(points, np.float32)) == 0:
        raise ValueError(f"expected at least 3 points [x, y] that enclose an area, found {len(points)} that do not")
    return points


Polygon = Annotated[tuple[Point, ...], AfterValidator(_check_polygon)]
"""Points (x, y) in shares of the picture's width and height, from its upper left corner."""


def stands_in(box: Box, polygon: Polygon) -> bool:
    """Whether a person's foot point, the middle of the box's lower side, is in a polygon; on its edge counts as in it.

    box: (left, top, right, bottom) in shares of the picture.
    """
    left, _, right, bottom = box
    return cv2.pointPolygonTest(np.array(polygon, np.float32), ((left + right) / 2, bottom), False) >= 0
