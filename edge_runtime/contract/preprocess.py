"""Preprocessing, defined once: crop, resize, RGB, uint8. Mean and std are inside the network's graph."""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.manifest import ColourOrder, ResizeRule
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.whole_image import is_whole

Box = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixels of the frame; right and bottom are exclusive."""

_INTERPOLATION: dict[ResizeRule, int] = {
    "bilinear-half-pixel": cv2.INTER_LINEAR,
    "bicubic-half-pixel": cv2.INTER_CUBIC,
}


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Decode an image file. Returns (H, W, 3) uint8, RGB, or None if it cannot be read, is damaged or truncated."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    # The format is taken from the content, not from the file's name: ImageNet has a PNG that is named .JPEG.
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data and is_whole(data) else None
    return None if image is None else np.asarray(image[:, :, ::-1], np.uint8)


def resize(image: NDArray[np.uint8], *, height_px: int, width_px: int, rule: ResizeRule) -> NDArray[np.uint8]:
    """Resize one image by the manifest's rule, with half-pixel centres and without antialiasing.

    image: (H, W, 3) uint8. Returns (height_px, width_px, 3) uint8.
    Bicubic: Keys' kernel over 4 x 4 pixels with a = -0.75, as in ONNX `Resize` and PyTorch.
    Differs: PIL and torchvision, which public MGN and Pyramid code uses, have a = -0.5 and antialias when downscaling.
    """
    if image.shape[:2] == (height_px, width_px):
        return image
    resized = cv2.resize(image, (width_px, height_px), interpolation=_INTERPOLATION[rule])
    return np.asarray(resized, dtype=np.uint8)


def in_colour_order(crops: NDArray[np.uint8], order: ColourOrder) -> NDArray[np.uint8]:
    """RGB crops (..., 3) uint8 in the network's order; for RGBA a fourth channel is added, 255 everywhere."""
    if order == "RGB":
        return crops
    return np.concatenate([crops, np.full((*crops.shape[:-1], 1), 255, np.uint8)], axis=-1)


def pixel_box(box: Box, *, frame_height_px: int, frame_width_px: int) -> tuple[int, int, int, int]:
    """Round a box outwards to whole pixels, clipped to the frame; at least one pixel in each direction remains."""
    left = min(max(math.floor(box[0]), 0), frame_width_px - 1)
    top = min(max(math.floor(box[1]), 0), frame_height_px - 1)
    right = min(max(math.ceil(box[2]), left + 1), frame_width_px)
    bottom = min(max(math.ceil(box[3]), top + 1), frame_height_px)
    return left, top, right, bottom


def crop_people(
    frame: Nv12 | NDArray[np.uint8], boxes: Sequence[Box], *, height_px: int, width_px: int, rule: ResizeRule
) -> NDArray[np.uint8]:
    """Crop boxes from a frame and resize each to the network's input by the manifest's rule.

    frame: (H, W, 3) uint8, RGB; or NV12, of which only the boxes are converted.
    Returns (N, height_px, width_px, 3) uint8, RGB, in the order of the boxes.
    """
    height, width = (frame.height_px, frame.width_px) if isinstance(frame, Nv12) else frame.shape[:2]
    crops = np.empty((len(boxes), height_px, width_px, 3), np.uint8)
    for crop, box in zip(crops, boxes, strict=True):
        left, top, right, bottom = inside = pixel_box(box, frame_height_px=height, frame_width_px=width)
        part = frame.part_rgb(inside) if isinstance(frame, Nv12) else frame[top:bottom, left:right]
        cv2.resize(part, (width_px, height_px), dst=crop, interpolation=_INTERPOLATION[rule])
    return crops
