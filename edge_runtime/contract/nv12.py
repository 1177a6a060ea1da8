"""NV12, the form in which decoders deliver pictures, and the one rule by which it becomes RGB on every machine.

A picture in NV12 has one byte of luma per pixel and one pair of chroma (U, V) per 2 x 2 pixels. Only what is looked at
is converted: a small copy for the detector, and the crops of people. The rule is that of ITU-R BT.601 and BT.709; which
of both, and whether black is 16 or 0, is what the stream says. Each chroma pair counts for its whole 2 x 2 pixels.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

ColourMatrix = Literal["bt601", "bt709"]
_LUMA_SHARES: dict[ColourMatrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""How much red and blue add to luma. Source: ITU-R BT.601-7, section 2.5.1; BT.709-6, item 3.2."""


@dataclass(frozen=True)
class Nv12:
    """One picture, not converted. Read-only.

    luma: (H, W) uint8; rows may be further apart than W bytes. chroma: (ceil(H / 2), ceil(W / 2), 2) uint8, U and V.
    matrix: of the stream. is_full_range: black is 0 and white 255, instead of 16 and 235.
    """

    luma: NDArray[np.uint8]
    chroma: NDArray[np.uint8]
    matrix: ColourMatrix = "bt601"
    is_full_range: bool = False

    @property
    def height_px(self) -> int:
        """Rows of the picture."""
        return len(self.luma)

    @property
    def width_px(self) -> int:
        """Columns of the picture."""
        return int(self.luma.shape[1])

    def rgb(self) -> NDArray[np.uint8]:
        """Convert the whole picture. Returns (H, W, 3) uint8, RGB."""
        return self.part_rgb((0, 0, self.width_px, self.height_px))

    def part_rgb(self, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
        """Convert a part. box: (left, top, right, bottom) in whole pixels inside the picture.

        Returns (bottom - top, right - left, 3) uint8, RGB: the same pixels as of the whole picture.
        """
        left, top, right, bottom = box
        luma = self.luma[top:bottom, left:right]
        chroma = self.chroma[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
        doubled = cv2.resize(chroma, (2 * chroma.shape[1], 2 * chroma.shape[0]), interpolation=cv2.INTER_NEAREST)
        inside = doubled[top % 2 : top % 2 + bottom - top, left % 2 : left % 2 + right - left]
        return _as_rgb(luma, inside, matrix=self.matrix, is_full_range=self.is_full_range)

    def turned(self, *, quarters: int, is_mirrored: bool) -> "Nv12":
        """A copy that is mirrored left to right, if so, and then turned clockwise by quarters of a full turn.

        Of an odd height or width the chroma moves by up to half a pair.
        """
        planes = []
        for plane in (self.luma, self.chroma):
            copy = np.ascontiguousarray(np.rot90(plane[:, ::-1] if is_mirrored else plane, -quarters))
            copy.flags.writeable = False
            planes.append(copy)
        return replace(self, luma=planes[0], chroma=planes[1])

    def small_rgb(self, *, height_px: int, width_px: int) -> NDArray[np.uint8]:
        """The whole picture at another size, for a detector. Returns (height_px, width_px, 3) uint8, RGB.

        Luma and chroma are resized before they are converted, bilinearly with half-pixel centres, so the cost is that
        of the small picture. Converting first gives the same within a few grey levels, but at edges of strong colour.
        """
        size = width_px, height_px
        luma = cv2.resize(self.luma, size, interpolation=cv2.INTER_LINEAR)
        chroma = cv2.resize(self.chroma, size, interpolation=cv2.INTER_LINEAR)
        return _as_rgb(luma, chroma, matrix=self.matrix, is_full_range=self.is_full_range)


@cache
def colour_factors(matrix: ColourMatrix, *, is_full_range: bool) -> NDArray[np.float64]:
    """The conversion as a matrix: (3, 4), rows R, G, B, columns Y, U, V and a constant, of bytes.

    Source: ITU-R BT.601-7 and BT.709-6, quantized as in their sections 2.5 and 3.4; full range as in JFIF.
    """
    red, blue = _LUMA_SHARES[matrix]
    green = 1 - red - blue
    light, colour, black = (1.0, 1.0, 0.0) if is_full_range else (255 / 219, 255 / 224, 16.0)
    to_red, to_blue = 2 * (1 - red) * colour, 2 * (1 - blue) * colour
    factors = np.array(
        [
            [light, 0.0, to_red],
            [light, -to_blue * blue / green, -to_red * red / green],
            [light, to_blue, 0.0],
        ]
    )
    return np.hstack([factors, -factors @ np.array([[black], [128.0], [128.0]])])


def _as_rgb(
    luma: NDArray[np.uint8], chroma: NDArray[np.uint8], *, matrix: ColourMatrix, is_full_range: bool
) -> NDArray[np.uint8]:
    """luma: (H, W), chroma: (H, W, 2). Clips; within one grey level, since OpenCV's factors of bytes have 10 bits."""
    planes = cv2.merge([luma, *cv2.split(chroma)])
    return np.asarray(cv2.transform(planes, colour_factors(matrix, is_full_range=is_full_range)), np.uint8)
