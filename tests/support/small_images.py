"""Image files of one colour: no picture of a person is needed."""

from pathlib import Path

import cv2
import numpy as np


def write_image(path: Path, colour: tuple[int, int, int] = (90, 120, 150), *, size: tuple[int, int] = (16, 8)) -> Path:
    """Write an image of (height, width) in one RGB colour, and its folders. Returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((*size, 3), colour[::-1], np.uint8))
    return path
