"""The pipelines that play an address."""

import re

import pytest

from edge_runtime.camera.catalog import parse_address
from edge_runtime.camera.pipeline import pipeline_text
from edge_runtime.contract.errors import StreamError


@pytest.mark.parametrize(
    ("uri", "elements"),
    [
        ("a.mp4", ["filesrc", "decodebin", "videoconvert", "appsink"]),
        ("rtsp://cam/x", ["rtspsrc", "funnel", "decodebin", "videoconvert", "appsink"]),
        ("v4l2:///dev/video0", ["v4l2src", "decodebin", "videoconvert", "appsink"]),
    ],
)
def test_software_pipelines_use_common_elements_only(uri: str, elements: list[str]) -> None:
    """Without NVIDIA's elements a pipeline decodes by what decodebin finds and keeps the decoder's NV12 or I420."""
    text = pipeline_text(parse_address(uri), hardware=None, paced=True)
    assert element_names(text) == elements
    assert text.index("video/x-raw,format={NV12,I420} ") < text.index("appsink")


@pytest.mark.parametrize(
    ("uri", "first"),
    [("a.mp4", ["filesrc"]), ("rtsp://cam/x", ["rtspsrc", "funnel"]), ("v4l2:///dev/video0", ["v4l2src"])],
)
def test_jetson_pipelines_convert_in_hardware(uri: str, first: list[str]) -> None:
    """On a Jetson decodebin takes nvv4l2decoder, so nvvidconv brings its pictures out of NVMM memory."""
    text = pipeline_text(parse_address(uri), hardware="nvvidconv", paced=True)
    assert element_names(text) == [*first, "decodebin", "nvvidconv", "appsink"]


def test_deepstream_on_a_pc_converts_with_its_own_element() -> None:
    """It brings nvv4l2decoder, which decodebin takes, but not a Jetson's nvvidconv; and no csi camera."""
    text = pipeline_text(parse_address("a.mp4"), hardware="nvvideoconvert", paced=True)
    assert element_names(text) == ["filesrc", "decodebin", "nvvideoconvert", "appsink"]
    with pytest.raises(StreamError, match="needs nvarguscamerasrc"):
        pipeline_text(parse_address("csi://1"), hardware="nvvideoconvert", paced=True)


def test_csi_cameras_exist_on_a_jetson_only() -> None:
    """A csi camera is read by nvarguscamerasrc; where there is none, the error says so."""
    address = parse_address("csi://1")
    text = pipeline_text(address, hardware="nvvidconv", paced=True)
    assert text.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12 ! nvvidconv ! ")
    with pytest.raises(StreamError, match=r"csi://1 needs nvarguscamerasrc.*; install nvidia-l4t-gstreamer"):
        pipeline_text(address, hardware=None, paced=True)


def test_only_a_paced_file_follows_the_clock() -> None:
    """A file plays at its own speed unless every frame is asked for; a camera's frames are shown as they come."""
    file, camera = parse_address("a.mp4"), parse_address("rtsp://cam/x")
    assert "sync=true" in pipeline_text(file, hardware=None, paced=True)
    assert "sync=false" in pipeline_text(file, hardware=None, paced=False)
    assert "sync=false" in pipeline_text(camera, hardware=None, paced=True)


def element_names(text: str) -> list[str]:
    """The elements of a pipeline in order, without the caps between them."""
    names = [part.split()[0] for part in re.split(" [!:] ", text)]
    return [name for name in names if not name.startswith(("video/", "application/"))]
