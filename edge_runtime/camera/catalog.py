"""The kinds of camera addresses there are: one class each, all listed in SCHEMES, and the one way to read an address.

To add a kind: write its class here and list it in SCHEMES. Nothing else knows the kinds.
"""

import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from edge_runtime.camera.address import DECODE, Address, CameraScheme, quote_value
from edge_runtime.camera.rtsp_address import read_rtsp_address
from edge_runtime.contract.errors import StreamError

JITTER_MS = 200  # how long rtspsrc waits for late packets
_DEVICE = r"/dev/[\w./-]+"


class FileScheme(CameraScheme):
    """A video file. A plain path is one, too."""

    prefixes = ("file",)
    example = "file:///path"
    is_live = False
    arrival_uncertainty_ns = 0

    def parse(self, uri: str) -> Address | None:
        """Read `file:///path`."""
        path = unquote(uri.partition("://")[2])
        return self.of_path(path) if path.startswith("/") else None

    def of_path(self, path: str) -> Address:
        """The address of the file at a path."""
        return Address(self, path, path)

    def source_text(self, address: Address) -> str:
        """Read and decode."""
        return f"filesrc location={quote_value(address.location)} ! {DECODE}"

    def check_present(self, address: Address) -> None:
        """See `CameraScheme.check_present`."""
        path = Path(address.location)
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise StreamError(f"expected a video file at {address.name}, found {found}; correct the camera's address")


class RtspScheme(CameraScheme):
    """A camera in the network: over TCP, or over UDP where it refuses TCP."""

    prefixes = ("rtsp", "rtsps")
    example = "rtsp://host/path"
    is_live = True
    arrival_uncertainty_ns = 1_000_000_000  # exposure, encoding and network

    def parse(self, uri: str) -> Address | None:
        """See `read_rtsp_address`."""
        parts = read_rtsp_address(uri)
        return Address(self, parts.location, parts.name, parts.user, parts.password, parts.has_secret)

    def source_text(self, address: Address) -> str:
        """Receive the video and decode. The funnel goes on where a camera begins anew with another SSRC."""
        return (
            f"rtspsrc name=camera location={quote_value(address.location)} protocols={address.transport} "
            f"latency={JITTER_MS} drop-on-latency=true tcp-timeout=5000000 timeout=0 : "
            f"funnel ! application/x-rtp,media=video ! {DECODE}"
        )

    def after_fault(self, address: Address, fault: str) -> Address:
        """The other transport, where the camera has refused this one."""
        if "allow more transport protocols" not in fault:
            return address
        return replace(address, transport="udp" if address.transport == "tcp" else "tcp")


class V4l2Scheme(CameraScheme):
    """A camera of this machine, such as a USB camera, through its device file."""

    prefixes = ("v4l2",)
    example = "v4l2:///dev/video0"
    is_live = True
    arrival_uncertainty_ns = 100_000_000  # exposure and transfer

    def parse(self, uri: str) -> Address | None:
        """Read `v4l2:///dev/video0`."""
        device = uri.partition("://")[2]
        return Address(self, device, uri) if re.fullmatch(_DEVICE, device) else None

    def source_text(self, address: Address) -> str:
        """Capture, and decode where the camera compresses."""
        return f"v4l2src device={quote_value(address.location)} ! {DECODE}"

    def check_present(self, address: Address) -> None:
        """See `CameraScheme.check_present`."""
        if not Path(address.location).is_char_device():
            raise StreamError(
                f"expected a camera at {address.location}, found no such device; plug it in, or correct the camera's "
                "address (v4l2-ctl --list-devices names the cameras)"
            )


class CsiScheme(CameraScheme):
    """A camera on the CSI connector of a Jetson, by the number of its sensor."""

    prefixes = ("csi",)
    example = "csi://0"
    is_live = True
    arrival_uncertainty_ns = 100_000_000  # exposure and transfer
    needs_jetson = True
    remedy = "install nvidia-l4t-gstreamer, or use v4l2:///dev/video0 for a USB camera"

    def parse(self, uri: str) -> Address | None:
        """Read `csi://0`."""
        sensor = uri.partition("://")[2]
        return Address(self, sensor, uri) if re.fullmatch(r"\d{1,2}", sensor) else None

    def source_text(self, address: Address) -> str:
        """Capture; its pictures are not compressed."""
        return f"nvarguscamerasrc sensor-id={address.location} ! video/x-raw(memory:NVMM),format=NV12"


FILE = FileScheme()
SCHEMES: tuple[CameraScheme, ...] = (FILE, RtspScheme(), V4l2Scheme(), CsiScheme())


def is_plain_path(source: str) -> bool:
    """Whether a source is a path; one that has a colon in its first part is written with `./` before it."""
    return "://" not in source and not re.match(r"\s*\w+:", source)


def parse_address(source: str) -> Address:
    """Read a plain path, or an address of one of the SCHEMES.

    Raises:
        StreamError: it is neither; the message lists the known forms.
    """
    if is_plain_path(source):
        return FILE.of_path(source)
    prefix, separator, _ = source.partition("://")
    scheme = next((scheme for scheme in SCHEMES if separator and prefix in scheme.prefixes), None)
    if scheme and (address := scheme.parse(source)):
        return address
    # What follows the colon may hold a password, so it is not repeated; nor is `rtsp:/user:password@...` a path.
    raise StreamError(
        f"expected {known_forms()} as a source, found {source.partition(':')[0]}:...; correct the camera's address"
    )


def known_forms() -> str:
    """All forms of a source, as a sentence lists them."""
    *others, last = (scheme.example for scheme in SCHEMES)
    return f"a path, {', '.join(others)} or {last}"
