"""Pictures and times as GStreamer gives them."""

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.camera.catalog import parse_address
from edge_runtime.camera.player import Player, VideoSample
from tests.edge_runtime.camera.conftest import MakeClip


def first_sample(path: Path) -> VideoSample:
    """The first picture of a file."""
    player = Player(parse_address(str(path)), paced=False)
    try:
        sample = player.next_sample(10.0)
    finally:
        player.close()
    assert sample is not None
    return sample


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("0xffff0000", (255, 0, 0)), ("0xff00ff00", (0, 255, 0)), ("0xff0000ff", (0, 0, 255))],
)
def test_pixels_are_rgb(make_clip: MakeClip, colour: str, expected: tuple[int, int, int]) -> None:
    """The first channel is red and the last one blue, to within what JPEG loses."""
    pixels = first_sample(make_clip(picture=f"pattern=solid-color foreground-color={colour}")).pixels()
    assert (pixels.shape, pixels.dtype) == ((120, 160, 3), np.uint8)
    np.testing.assert_allclose(pixels.reshape(-1, 3).mean(axis=0), expected, atol=6)


@pytest.mark.parametrize("width", [159, 160, 161, 162])
def test_rows_of_any_width_stay_straight(make_clip: MakeClip, width: int) -> None:
    """GStreamer pads rows to four bytes; the padding must not shear the picture: upright bars stay upright."""
    pixels = first_sample(make_clip(size=f"width={width},height=121")).pixels()
    assert pixels.shape == (121, width, 3)
    assert pixels.flags.c_contiguous
    bars = pixels[:72].astype(int)  # the upper part of the picture is seven bars
    assert np.abs(bars - bars[:1]).max() <= 8
    assert np.abs(np.diff(bars[0], axis=0)).max() > 100


def test_a_sample_outlives_its_player(make_clip: MakeClip) -> None:
    """Pixels can be read after the pipeline is gone, and twice the same."""
    sample = first_sample(make_clip())
    np.testing.assert_array_equal(sample.pixels(), sample.pixels())
    assert sample.position_ns == 0
    assert sample.ntp_ns is None
