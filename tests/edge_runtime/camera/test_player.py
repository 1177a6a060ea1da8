"""Pictures and times as GStreamer gives them."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.camera.address import DECODE
from edge_runtime.camera.catalog import parse_address
from edge_runtime.camera.pipeline import pipeline_text
from edge_runtime.camera.player import (
    Gst,
    Player,
    VideoSample,
    _ask_for_camera_times,
    _hardware_converter,
    _warn_of_arrival_times,
    read_orientation,
)
from edge_runtime.contract.nv12 import Nv12
from tests.edge_runtime.camera.conftest import MakeClip

Turn = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def first_sample(path: Path) -> VideoSample:
    """The first picture of a file."""
    player = Player(parse_address(str(path)), paced=False)
    try:
        sample = player.next_sample(10.0)
    finally:
        player.close()
    assert sample is not None
    return sample


def flow(caps: str, *, picture: str = "pattern=smpte", after: str = "") -> Nv12:
    """A test picture in raw video of the given form, through the end of our pipelines."""
    Gst.init(None)
    ending = pipeline_text(parse_address("a.avi"), hardware=None, paced=False).partition(f"{DECODE} ! ")[2]
    text = f"videotestsrc num-buffers=1 {picture} ! video/x-raw,{caps} ! {after} {ending}"
    pipeline = Gst.parse_launch(text)
    pipeline.set_state(Gst.State.PLAYING)
    frames = pipeline.get_by_name("frames")
    handle = frames.try_pull_sample(10 * Gst.SECOND)
    orientation = read_orientation(frames.get_static_pad("sink"))
    pipeline.set_state(Gst.State.NULL)
    return VideoSample(handle, None, 0, None, orientation).pixels()


@pytest.mark.parametrize("form", ["NV12", "I420", "Y42B", "YUY2", "RGB"])
@pytest.mark.parametrize("size", [(120, 160), (121, 159), (97, 161)])
def test_every_raw_format_becomes_the_same_picture(form: str, size: tuple[int, int]) -> None:
    """What the decoder gives as NV12 or I420 is taken as it is, with padded rows and odd sizes; the rest is converted.

    Upright bars stay upright and have their colours, to within what the conversion of other formats rounds.
    """
    height, width = size
    found = flow(
        f"format={form},height={height},width={width},colorimetry=bt601" + ",chroma-site=mpeg2" * (form != "RGB")
    )
    expected = flow(f"format=NV12,height={height},width={width},colorimetry=bt601").rgb()
    rgb = found.rgb()
    assert rgb.shape == (height, width, 3)
    assert (found.matrix, found.is_full_range) == ("bt601", False)
    bars = rgb[: height // 2].astype(int)
    assert np.abs(bars - bars[:1]).max() <= 8
    inside = [int(width * (bar + 0.5) / 7) for bar in range(7)]
    assert np.abs(bars[0, inside] - expected[0, inside]).max() <= 4
    assert np.abs(np.diff(bars[0], axis=0)).max() > 100


@pytest.mark.parametrize(
    ("colour", "expected"),
    [("0xffff0000", (255, 0, 0)), ("0xff00ff00", (0, 255, 0)), ("0xff0000ff", (0, 0, 255))],
)
@pytest.mark.parametrize(
    ("colorimetry", "matrix", "is_full_range"),
    [("bt601", "bt601", False), ("bt709", "bt709", False), ("1:4:0:0", "bt601", True), ("1:3:0:0", "bt709", True)],
)
def test_colours_follow_what_the_stream_says(
    colour: str, expected: tuple[int, int, int], colorimetry: str, matrix: str, is_full_range: bool
) -> None:
    """Red is red in either matrix and range."""
    picture = f"pattern=solid-color foreground-color={colour}"
    into = f"videoconvert ! video/x-raw,format=I420,colorimetry={colorimetry} ! "
    found = flow("format=RGB,height=120,width=160", picture=picture, after=into)
    assert (found.matrix, found.is_full_range) == (matrix, is_full_range)
    np.testing.assert_allclose(found.rgb().reshape(-1, 3).mean(axis=0), expected, atol=4)


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        ("rotate-0", lambda picture: picture),
        ("rotate-90", lambda picture: np.rot90(picture, -1)),
        ("rotate-180", lambda picture: np.rot90(picture, 2)),
        ("rotate-270", lambda picture: np.rot90(picture, 1)),
        ("flip-rotate-0", lambda picture: picture[:, ::-1]),
        ("flip-rotate-90", lambda picture: np.rot90(picture[:, ::-1], -1)),
        ("flip-rotate-180", lambda picture: picture[::-1]),
        ("flip-rotate-270", lambda picture: np.rot90(picture[:, ::-1], 1)),
    ],
)
def test_rotated_and_mirrored_video_is_taken_upright(orientation: str, turned: Turn) -> None:
    """A phone that was held upright writes sideways pictures and says so."""
    form = "format=I420,height=120,width=160"
    found = flow(form, after=f"taginject tags=image-orientation={orientation} ! ")
    upright = flow(form)
    np.testing.assert_array_equal(found.luma, turned(upright.luma))
    np.testing.assert_array_equal(found.rgb(), turned(upright.rgb()))


def test_a_phones_file_is_taken_upright(make_clip: MakeClip) -> None:
    """What the file's header says of its pictures reaches them."""
    path = make_clip("phone.mp4", encoder="x264enc ! mp4mux")
    sideways, content = first_sample(path).pixels(), bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # ISO 14496-12, 8.3.2; (x, y) is shown at (-y, x)
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 120 << 16, 0, 1 << 30)
    path.write_bytes(content)
    np.testing.assert_array_equal(first_sample(path).pixels().luma, np.rot90(sideways.luma, -1))


def test_a_sample_outlives_its_player(make_clip: MakeClip) -> None:
    """Pixels can be read after the pipeline is gone, and twice the same."""
    sample = first_sample(make_clip())
    np.testing.assert_array_equal(sample.pixels().rgb(), sample.pixels().rgb())
    assert sample.position_ns == 0
    assert sample.ntp_ns is None


class OldRtspSource:
    """The properties of rtspsrc in GStreamer 1.20."""

    def find_property(self, name: str) -> bool:
        """See GObject."""
        return name in ("ntp-sync", "location")


def test_missing_camera_clocks_are_told_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """GStreamer 1.20 of JetPack 6 has no reference time stamps: `rtcp-ntp` will never come, and the log says why."""
    monkeypatch.setattr(Gst, "version", lambda: (1, 20, 3, 0))
    _warn_of_arrival_times.cache_clear()
    for _ in range(2):
        _ask_for_camera_times(OldRtspSource())
    [record] = caplog.records
    assert "GStreamer 1.20 does not pass on the clocks of RTSP cameras" in record.getMessage()


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        (set(), None),
        ({"nvv4l2decoder", "nvvidconv", "nvarguscamerasrc"}, "nvvidconv"),
        ({"nvv4l2decoder", "nvvideoconvert"}, "nvvideoconvert"),
    ],
)
def test_the_converter_is_that_of_the_decoder(
    elements: set[str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Jetson has nvvidconv; a PC with DeepStream has the same decoder and another converter."""
    monkeypatch.setattr(Gst.ElementFactory, "find", lambda name: name if name in elements else None)
    assert _hardware_converter() == expected
