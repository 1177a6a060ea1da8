"""A camera's or file's address, and the GStreamer pipeline that plays it. Pure text: nothing is opened here."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from edge_runtime.contract.errors import StreamError

Scheme = Literal["file", "rtsp", "v4l2", "csi"]

JITTER_MS = 200  # how long rtspsrc waits for late packets


@dataclass(frozen=True)
class Address:
    """Where pixels come from, with the credentials kept apart, so that `location` and `name` may be logged.

    `location` is a path, an rtsp address, a device file or a sensor number, as its scheme asks; `name` is what a
    person is told, without the query of an rtsp address, which on some cameras holds a password.
    """

    scheme: Scheme
    location: str
    name: str
    user: str | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Address({self.name})"


def parse_address(uri: str) -> Address:
    """Take a URI apart: `file:///path`, a plain path, `rtsp://` or `rtsps://`, `v4l2:///dev/video0`, `csi://0`.

    A relative path with a colon in it is written with `./` before it.

    Raises:
        StreamError: none of these.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator and not re.match(r"\s*\w+:", uri):
        return _file(uri)
    if scheme in ("rtsp", "rtsps"):
        return _rtsp(uri)
    if scheme == "file" and rest.startswith("/"):
        return _file(unquote(rest))
    if scheme == "v4l2" and re.fullmatch(r"/dev/[\w./-]+", rest):
        return Address("v4l2", rest, uri)
    if scheme == "csi" and re.fullmatch(r"\d{1,2}", rest):
        return Address("csi", rest, uri)
    # What follows the scheme may hold a password, so it is not repeated; nor is `rtsp:/user:password@...` a path.
    raise StreamError(
        f"expected file:///path, a path, rtsp://host/path, v4l2:///dev/video0 or csi://0 as a source, found "
        f"{uri.partition(':')[0]}:...; correct the camera's address"
    )


def pipeline_text(address: Address, *, hardware: bool, paced: bool) -> str:
    """Write the pipeline for `gst_parse_launch`; it ends in an appsink `frames` that gives RGB.

    `hardware` puts NVIDIA's converter behind the decoder; decodebin then takes `nvv4l2decoder`, which ranks above the
    software decoders and leaves its pictures in NVMM memory that only `nvvidconv` can read. `paced` plays a file at
    its own speed; live sources keep their own time. An rtsp source is named `camera`, so that its credentials, which
    are not in the text, can be set.

    Raises:
        StreamError: a csi camera without NVIDIA's elements.
    """
    is_synchronised = paced and address.scheme == "file"
    to_rgb = "videoconvert ! video/x-raw,format=RGB"
    if hardware:
        to_rgb = "nvvidconv ! video/x-raw,format=RGBA ! " + to_rgb
    sink = f"appsink name=frames sync={str(is_synchronised).lower()} max-buffers=2"
    return " ! ".join([_source_text(address, hardware=hardware), to_rgb, sink])


def _source_text(address: Address, *, hardware: bool) -> str:
    decode = "decodebin expose-all-streams=false caps=video/x-raw(ANY)"
    if address.scheme == "file":
        return f"filesrc location={_quote(address.location)} ! {decode}"
    if address.scheme == "v4l2":
        return f"v4l2src device={_quote(address.location)} ! {decode}"
    if address.scheme == "rtsp":
        return (
            f"rtspsrc name=camera location={_quote(address.location)} protocols=tcp latency={JITTER_MS} "
            # Without these caps decodebin may get the sound of a camera with a microphone.
            f"drop-on-latency=true tcp-timeout=5000000 ! application/x-rtp,media=video ! {decode}"
        )
    if not hardware:
        raise StreamError(
            f"{address.name} needs nvarguscamerasrc and nvvidconv of a Jetson, and GStreamer has found neither here; "
            "install nvidia-l4t-gstreamer, or use v4l2:///dev/video0 for a USB camera"
        )
    return f"nvarguscamerasrc sensor-id={address.location} ! video/x-raw(memory:NVMM),format=NV12"


def _file(path: str) -> Address:
    return Address("file", path, path)


def _rtsp(uri: str) -> Address:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise StreamError(
            "expected rtsp://host:port/path as a source, found no valid host or port; correct the address"
        )
    host = f"[{host}]" if ":" in host else host
    name = f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}"
    location = f"{name}?{parts.query}" if parts.query else name
    user, password = parts.username, parts.password
    return Address("rtsp", location, name, user and unquote(user), password and unquote(password))


def _quote(value: str) -> str:
    """Quote a property's value as gst_parse_launch reads it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
