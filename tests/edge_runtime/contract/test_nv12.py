"""NV12 to RGB: against the standards' equations, pixel by pixel."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import ColourMatrix, Nv12, colour_factors

_RANDOM = np.random.default_rng(0)


def picture(height_px: int, width_px: int, *, matrix: ColourMatrix = "bt601", is_full_range: bool = False) -> Nv12:
    """Noise in planes whose rows are further apart than they are long, as decoders leave them."""
    luma = _RANDOM.integers(0, 256, (height_px, width_px + 5), dtype=np.uint8)[:, :width_px]
    chroma = _RANDOM.integers(0, 256, ((height_px + 1) // 2, (width_px + 1) // 2 + 3, 2), dtype=np.uint8)
    return Nv12(luma, chroma[:, : (width_px + 1) // 2], matrix, is_full_range)


def converted(frame: Nv12) -> NDArray[np.float64]:
    """Each pixel by the equations of the standard, not rounded: (H, W, 3)."""
    red, blue = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[frame.matrix]
    pixels = np.empty((frame.height_px, frame.width_px, 3))
    for row in range(frame.height_px):
        for column in range(frame.width_px):
            light, (cb, cr) = float(frame.luma[row, column]), frame.chroma[row // 2, column // 2].astype(float)
            if frame.is_full_range:
                light, cb, cr = light / 255, (cb - 128) / 255, (cr - 128) / 255
            else:
                light, cb, cr = (light - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
            r, b = light + 2 * (1 - red) * cr, light + 2 * (1 - blue) * cb
            pixels[row, column] = r, (light - red * r - blue * b) / (1 - red - blue), b
    return np.clip(255 * pixels, 0, 255)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("is_full_range", [False, True])
def test_pixels_follow_the_standard(matrix: ColourMatrix, is_full_range: bool) -> None:
    """Both matrices and both ranges, odd sizes, padded rows: within one grey level."""
    frame = picture(13, 9, matrix=matrix, is_full_range=is_full_range)
    assert np.abs(frame.rgb() - converted(frame)).max() <= 1  # OpenCV rounds factors to 10 bits


def test_video_range_of_bt601_is_what_opencv_gives() -> None:
    """Within its fixed point's grey level, where luma is in range; below black OpenCV clips luma first."""
    frame = picture(12, 16)
    luma = np.clip(frame.luma, 16, 235)
    expected = cv2.cvtColorTwoPlane(luma, np.ascontiguousarray(frame.chroma), cv2.COLOR_YUV2RGB_NV12)
    found = Nv12(luma, frame.chroma).rgb()
    assert np.abs(found.astype(int) - expected).max() <= 1


@given(st.data())
def test_a_part_is_the_same_part_of_the_whole(data: st.DataObject) -> None:
    """Whether it starts on an odd pixel or not: crops need no conversion of the whole picture."""
    frame = picture(data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12)))
    left = data.draw(st.integers(0, frame.width_px - 1))
    top = data.draw(st.integers(0, frame.height_px - 1))
    right = data.draw(st.integers(left + 1, frame.width_px))
    bottom = data.draw(st.integers(top + 1, frame.height_px))
    part = frame.part_rgb((left, top, right, bottom))
    assert np.array_equal(part, frame.rgb()[top:bottom, left:right])


def test_a_small_copy_looks_like_the_picture_made_small() -> None:
    """On a smooth picture resizing before conversion is resizing after it, within two grey levels."""
    rows, columns = np.mgrid[0:64, 0:96]
    luma = (60 + rows + columns).astype(np.uint8)
    chroma = np.stack([100 + rows[::2, ::2] // 2, 150 - columns[::2, ::2] // 3], axis=-1).astype(np.uint8)
    frame = Nv12(luma, chroma)
    expected = cv2.resize(frame.rgb(), (48, 32), interpolation=cv2.INTER_LINEAR)
    found = frame.small_rgb(height_px=32, width_px=48)
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_grey_stays_grey() -> None:
    """Chroma of 128 adds no colour in any matrix; black and white of video range are 0 and 255."""
    for matrix in ("bt601", "bt709"):
        factors = colour_factors(matrix, is_full_range=False)
        for luma, grey in ((16, 0), (235, 255)):
            np.testing.assert_allclose(factors @ [luma, 128, 128, 1], [grey] * 3, atol=1e-9)
