"""A camera's or file's address, and what each kind of address (a scheme) must say about itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

DECODE = "decodebin expose-all-streams=false caps=video/x-raw(ANY)"
"""Decodes whatever comes, by the decoder that GStreamer ranks highest here."""


@dataclass(frozen=True)
class Trust:
    """Which certificate a camera may show; without either, one of an authority that this machine knows.

    ca_file: the authority that signed it, in PEM. fingerprint: SHA-256 of the certificate itself, in small hex digits.
    """

    ca_file: Path | None = None
    fingerprint: str | None = None


ANY_KNOWN_AUTHORITY = Trust()


@dataclass(frozen=True)
class Address:
    """Where pixels come from. Credentials are kept apart, so that `location` and `name` may be logged.

    location: what GStreamer opens, as the scheme needs it: a path, an rtsp address, a device file, a sensor number.
    name: what messages show. For rtsp without the query, which holds a password on some cameras.
    has_secret: it holds a password, so the whole of it may not be shown.
    transport: how a camera in the network sends.
    """

    scheme: "CameraScheme"
    location: str
    name: str
    user: str | None = None
    password: str | None = None
    has_secret: bool = False
    transport: Literal["tcp", "udp"] = "tcp"

    def __repr__(self) -> str:
        """The name, without credentials."""
        return f"Address({self.name})"


class CameraScheme(Protocol):
    """Everything that the camera side knows about one kind of address. It has no state: any thread may use it.

    prefixes: what stands before `://`. example: the form that error messages show.
    is_live: a camera, whose frames come at their own time, and which may come and go; otherwise a file, which is played
    at its own speed, and of which a fault is final.
    arrival_uncertainty_ns: how long before its arrival a frame may have been captured; 0 for a file.
    needs_jetson: it works only with NVIDIA's GStreamer elements. remedy: what to do where an element is missing.
    """

    prefixes: tuple[str, ...]
    example: str
    is_live: bool
    arrival_uncertainty_ns: int
    needs_jetson: bool = False
    remedy: str = "install gstreamer1.0-plugins-base, -good, -bad and gstreamer1.0-libav"

    def parse(self, uri: str) -> Address | None:
        """Read an address that begins with one of the prefixes; None where the rest is not as it should be."""
        ...

    def source_text(self, address: Address) -> str:
        """The first elements of the pipeline, as `gst_parse_launch` reads them; they end in raw video.

        Text from the address goes through `quote_value`. An element named `camera` is given the user and password
        (properties `user-id` and `user-pw`), which are never in the text.
        """
        ...

    def check_present(self, address: Address) -> None:
        """Check, before anything is opened, that the file or device exists; a camera in the network is not asked.

        Raises:
            StreamError: it does not exist.
        """
        return

    def after_fault(self, address: Address, fault: str) -> Address:
        """How to try the address after a fault; another transport, for example."""
        return address


def quote_value(value: str) -> str:
    """Quote the value of a property, so that nothing in it changes the pipeline."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
