"""How a frame becomes the input of a detection network, and how its boxes come back to the frame."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12

Placement = Literal["top-left", "centred", "stretched"]
GREY = 114  # what YOLO networks are trained to see beside a frame of another shape


@dataclass(frozen=True)
class InputRule:
    """What a network expects of its pixels.

    placement: `top-left` and `centred` keep the frame's shape and fill the rest with grey, `stretched` fills the input.
    colours: order of the planes. range_max: 255 for bytes as floats, 1 for shares of white. mean, std: of RGB in
    [0, 1], taken off and divided by where a network asks for it.
    """

    placement: Placement
    colours: Literal["RGB", "BGR"] = "RGB"
    range_max: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def channels(self) -> tuple[int, int, int]:
        """Which channel of RGB each plane holds."""
        return (0, 1, 2) if self.colours == "RGB" else (2, 1, 0)


@dataclass(frozen=True)
class Fit:
    """Where a frame lies in a network's input: input = frame * zoom + offset, (x, y) each."""

    zoom: tuple[float, float]
    offset: tuple[float, float]
    size_px: tuple[int, int]
    """Of the frame inside the input: (height, width)."""

    def to_frame(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """boxes: (N, 4), (left, top, right, bottom) in pixels of the input. Returns the same in pixels of the frame."""
        zoom, offset = np.array(self.zoom * 2, np.float32), np.array(self.offset * 2, np.float32)
        return (boxes - offset) / zoom


def fit_into(height_px: int, width_px: int, *, frame_px: tuple[int, int], placement: Placement) -> Fit:
    """Place a frame of (height, width) `frame_px` in an input of height_px x width_px."""
    frame_height, frame_width = frame_px
    if placement == "stretched":
        return Fit((width_px / frame_width, height_px / frame_height), (0.0, 0.0), (height_px, width_px))
    zoom = min(height_px / frame_height, width_px / frame_width)
    inside = max(1, int(frame_height * zoom)), max(1, int(frame_width * zoom))
    if placement == "top-left":
        return Fit((zoom, zoom), (0.0, 0.0), inside)
    return Fit((zoom, zoom), (float((width_px - inside[1]) // 2), float((height_px - inside[0]) // 2)), inside)


def plane_factors(rule: InputRule, channel: int) -> tuple[float, float]:
    """What a byte of a channel of RGB is multiplied by, and what is added then."""
    return rule.range_max / 255 / rule.std[channel], -rule.mean[channel] * rule.range_max / rule.std[channel]


def fill_input(frame: Nv12 | NDArray[np.uint8], fit: Fit, *, rule: InputRule, planes: NDArray[np.float32]) -> None:
    """Write a frame as the network expects it.

    frame: NV12, or (H, W, 3) uint8 RGB. planes: (3, height, width) float32, of the input; all of it is written.
    """
    height_px, width_px = fit.size_px
    if isinstance(frame, Nv12):
        small = frame.small_rgb(height_px=height_px, width_px=width_px)
    else:
        small = np.asarray(cv2.resize(frame, (width_px, height_px), interpolation=cv2.INTER_LINEAR), np.uint8)
    left, top = int(fit.offset[0]), int(fit.offset[1])
    bottom, right = top + height_px, left + width_px
    colours = cv2.split(small)  # once, because reading every third byte costs more than the arithmetic
    for plane, channel in zip(planes, rule.channels, strict=True):
        scale, shift = plane_factors(rule, channel)
        for beside in (plane[:top], plane[bottom:], plane[top:bottom, :left], plane[top:bottom, right:]):
            beside[:] = GREY * scale + shift
        inside = plane[top:bottom, left:right]
        if scale == 1.0:
            inside[:] = colours[channel]
        else:
            np.multiply(colours[channel], np.float32(scale), out=inside)
        if shift:
            inside += np.float32(shift)
