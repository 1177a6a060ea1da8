"""Addresses and the pipelines that play them."""

import pytest

from edge_runtime.camera.pipeline import Address, parse_address, pipeline_text
from edge_runtime.contract.errors import StreamError


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("clips/a b.mp4", Address("file", "clips/a b.mp4", "clips/a b.mp4")),
        ("file:///data/a%20b.mp4", Address("file", "/data/a b.mp4", "/data/a b.mp4")),
        ("rtsp://10.0.0.7/stream1", Address("rtsp", "rtsp://10.0.0.7/stream1", "rtsp://10.0.0.7/stream1")),
        ("rtsps://[::1]:322/a", Address("rtsp", "rtsps://[::1]:322/a", "rtsps://[::1]:322/a")),
        ("v4l2:///dev/video0", Address("v4l2", "/dev/video0", "v4l2:///dev/video0")),
        ("csi://1", Address("csi", "1", "csi://1")),
    ],
)
def test_each_form_of_address_is_understood(uri: str, expected: Address) -> None:
    """A source is a path, a file URI, an rtsp address, a v4l2 device or a csi sensor."""
    assert parse_address(uri) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "http://u:secret@host/x",
        "ftp://secret",
        "rtsp://",
        "rtsp://u:secret@:554/x",
        "rtsp://u:secret@host:port/x",
        "file://host/x",
        "v4l2://video0",
        "v4l2:///etc/passwd",
        "v4l2:///dev/video0 ! fakesink",
        "csi://a",
        "csi://",
    ],
)
def test_other_addresses_are_refused_without_repeating_them(uri: str) -> None:
    """What is no address of a source is refused in a sentence that cannot leak a password."""
    with pytest.raises(StreamError, match=r"expected .* found") as caught:
        parse_address(uri)
    assert "secret" not in str(caught.value)


def test_credentials_are_kept_apart() -> None:
    """User and password are decoded, and appear neither in the pipeline nor in what is shown; nor does the query."""
    address = parse_address("rtsp://bob:s3%40cret@cam:554/live?channel=1&key=abc")
    assert (address.user, address.password) == ("bob", "s3@cret")
    assert address.name == "rtsp://cam:554/live"
    text = pipeline_text(address, hardware=False, paced=True)
    assert 'location="rtsp://cam:554/live?channel=1&key=abc"' in text
    assert not any(secret in text + repr(address) for secret in ("bob", "s3@cret", "s3%40cret"))
    assert "key" not in repr(address)


@pytest.mark.parametrize(
    ("uri", "elements"),
    [
        ("a.mp4", ["filesrc", "decodebin", "videoconvert", "appsink"]),
        ("rtsp://cam/x", ["rtspsrc", "decodebin", "videoconvert", "appsink"]),
        ("v4l2:///dev/video0", ["v4l2src", "decodebin", "videoconvert", "appsink"]),
    ],
)
def test_software_pipelines_use_common_elements_only(uri: str, elements: list[str]) -> None:
    """Without NVIDIA's elements a pipeline decodes by what decodebin finds and gives RGB to the appsink."""
    text = pipeline_text(parse_address(uri), hardware=False, paced=True)
    assert element_names(text) == elements
    assert text.index("video/x-raw,format=RGB ") < text.index("appsink")


@pytest.mark.parametrize(
    ("uri", "first"), [("a.mp4", "filesrc"), ("rtsp://cam/x", "rtspsrc"), ("v4l2:///dev/video0", "v4l2src")]
)
def test_jetson_pipelines_convert_in_hardware(uri: str, first: str) -> None:
    """On a Jetson decodebin takes nvv4l2decoder, so nvvidconv brings its pictures out of NVMM memory."""
    text = pipeline_text(parse_address(uri), hardware=True, paced=True)
    assert element_names(text) == [first, "decodebin", "nvvidconv", "videoconvert", "appsink"]


def test_csi_cameras_exist_on_a_jetson_only() -> None:
    """A csi camera is read by nvarguscamerasrc; where there is none, the error says so."""
    address = parse_address("csi://1")
    text = pipeline_text(address, hardware=True, paced=True)
    assert text.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12 ! nvvidconv ! ")
    with pytest.raises(StreamError, match="csi://1 needs nvarguscamerasrc"):
        pipeline_text(address, hardware=False, paced=True)


def test_only_a_paced_file_follows_the_clock() -> None:
    """A file plays at its own speed unless every frame is asked for; a camera's frames are shown as they come."""
    file, camera = parse_address("a.mp4"), parse_address("rtsp://cam/x")
    assert "sync=true" in pipeline_text(file, hardware=False, paced=True)
    assert "sync=false" in pipeline_text(file, hardware=False, paced=False)
    assert "sync=false" in pipeline_text(camera, hardware=False, paced=True)


def element_names(text: str) -> list[str]:
    """The elements of a pipeline in order, without the caps between them."""
    names = [part.split()[0] for part in text.split(" ! ")]
    return [name for name in names if not name.startswith(("video/", "application/"))]
