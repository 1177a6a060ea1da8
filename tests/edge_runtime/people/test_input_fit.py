"""Frames into a network's input, and boxes back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.input_fit import InputRule, Placement, fill_input, fit_into

GREY = 114


def filled(
    rule: InputRule, *, frame: NDArray[np.uint8], height_px: int = 32, width_px: int = 32
) -> NDArray[np.float32]:
    planes = np.full((3, height_px, width_px), np.nan, np.float32)
    fit = fit_into(height_px, width_px, frame_px=frame.shape[:2], placement=rule.placement)
    fill_input(frame, fit, rule=rule, planes=planes)
    return planes


@given(
    st.integers(1, 2000), st.integers(1, 2000), st.integers(32, 700), st.integers(32, 700),
    st.sampled_from(["top-left", "centred", "stretched"]),
)  # fmt: skip
def test_boxes_come_back_to_where_they_were(
    frame_height: int, frame_width: int, height_px: int, width_px: int, placement: Placement
) -> None:
    """A box taken into the input and back is the same box, for all shapes of frame and input."""
    fit = fit_into(height_px, width_px, frame_px=(frame_height, frame_width), placement=placement)
    box = np.array([[0.1 * frame_width, 0.2 * frame_height, 0.7 * frame_width, 0.9 * frame_height]], np.float32)
    inside = box * np.array(fit.zoom * 2, np.float32) + np.array(fit.offset * 2, np.float32)
    np.testing.assert_allclose(fit.to_frame(inside), box, rtol=1e-3, atol=1e-2)
    assert fit.offset[0] + fit.size_px[1] <= width_px
    assert fit.offset[1] + fit.size_px[0] <= height_px


def test_bytes_stay_bytes_and_colours_are_turned_where_asked() -> None:
    """YOLOX wants BGR in [0, 255], the frame in the top left, grey below."""
    frame = np.tile(np.array([10, 20, 30], np.uint8), (16, 32, 1))
    planes = filled(InputRule("top-left", "BGR", range_max=255.0), frame=frame)
    assert planes[:, :16].reshape(3, -1).tolist() == [[v] * 512 for v in (30, 20, 10)]
    assert (planes[:, 16:] == GREY).all()


def test_a_centred_frame_has_grey_on_both_sides() -> None:
    """Grey of 114 / 255 where the network takes values from 0 to 1."""
    planes = filled(InputRule("centred"), frame=np.full((16, 32, 3), 255, np.uint8))
    np.testing.assert_allclose(planes[:, :8], GREY / 255, rtol=1e-6)
    np.testing.assert_allclose(planes[:, 8:24], 1.0, rtol=1e-6)
    np.testing.assert_allclose(planes[:, 24:], GREY / 255, rtol=1e-6)


def test_mean_and_deviation_are_those_of_shares_of_white() -> None:
    """(pixel / 255 - mean) / std, per colour."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    frame = np.tile(np.array([10, 120, 250], np.uint8), (32, 32, 1))
    planes = filled(InputRule("stretched", mean=mean, std=std), frame=frame)
    expected = (np.array([10, 120, 250]) / 255 - mean) / std
    np.testing.assert_allclose(planes[:, 0, 0], expected, rtol=1e-5)


def test_nv12_gives_what_its_conversion_gives() -> None:
    """A decoder's picture needs no conversion of its own before."""
    luma = np.random.default_rng(0).integers(16, 236, (32, 32), dtype=np.uint8)
    frame = Nv12(luma, np.full((16, 16, 2), 128, np.uint8))
    rule = InputRule("stretched", range_max=255.0)
    planes = np.empty((3, 32, 32), np.float32)
    fill_input(frame, fit_into(32, 32, frame_px=(32, 32), placement="stretched"), rule=rule, planes=planes)
    assert np.array_equal(planes, filled(rule, frame=frame.rgb()))


@pytest.mark.parametrize("placement", ["top-left", "centred"])
def test_a_line_of_pixels_is_still_a_picture(placement: Placement) -> None:
    """At least one pixel each way is left of a frame that is far from square."""
    assert min(fit_into(32, 32, frame_px=(1, 5000), placement=placement).size_px) == 1
