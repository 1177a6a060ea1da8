"""What tests of the camera side may use: clips made on the spot, and a real RTSP camera."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime.camera.frame import SourceStatus
from edge_runtime.camera.player import Gst
from edge_runtime.camera.source import CameraSource
from tests.support.rtsp_camera import RtspCamera

MakeClip = Callable[..., Path]
MakeCamera = Callable[..., RtspCamera]


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    """Make a video file of a test picture and return its path."""

    def make(
        name: str = "clip.avi",
        *,
        frames: int = 20,
        fps: int = 10,
        size: str = "width=160,height=120",
        picture: str = "pattern=smpte",
        encoder: str = "pngenc ! avimux",
    ) -> Path:
        path = tmp_path / name
        run_pipeline(
            f"videotestsrc num-buffers={frames} {picture} ! video/x-raw,format=RGB,{size},framerate={fps}/1 ! "
            f'videoconvert ! {encoder} ! filesink location="{path}"'
        )
        return path

    return make


def wait_for(
    source: CameraSource, is_reached: Callable[[SourceStatus], bool], *, timeout_s: float = 15.0
) -> SourceStatus:
    """Wait until the source's status is as wanted."""
    deadline_s = time.monotonic() + timeout_s
    while not is_reached(status := source.status()):
        assert time.monotonic() < deadline_s, f"still {status} after {timeout_s} s"
        time.sleep(0.01)
    return status


def wait_until_live(source: CameraSource, *, timeout_s: float) -> None:
    """Wait for the first frame, which stays to be read; a disabled source raises its StreamError."""
    deadline_s = time.monotonic() + timeout_s
    while (status := source.status()).frames == 0:
        if status.state == "disabled":
            source.read()
        assert time.monotonic() < deadline_s, f"no frame within {timeout_s:g} s: {status}"
        time.sleep(0.01)


def run_pipeline(text: str) -> None:
    """Run a GStreamer pipeline to its end, 30 s at most."""
    Gst.init(None)
    pipeline = Gst.parse_launch(text)
    pipeline.set_state(Gst.State.PLAYING)
    kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, kinds)
    pipeline.set_state(Gst.State.NULL)
    assert message is not None
    assert message.type == Gst.MessageType.EOS


@pytest.fixture
def make_camera() -> Iterator[MakeCamera]:
    """Make RTSP cameras with options of one's own and start them; they end with the test."""
    cameras: list[RtspCamera] = []

    def make(*options: str) -> RtspCamera:
        cameras.append(RtspCamera(*options))
        cameras[-1].start()
        return cameras[-1]

    yield make
    for camera in cameras:
        camera.kill()
