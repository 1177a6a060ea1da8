"""The settings of one camera, as the configuration has them."""

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveFloat, ValidationInfo

from edge_runtime.boxes.catalog import BoxSettings
from edge_runtime.camera.address import ANY_KNOWN_AUTHORITY, Trust
from edge_runtime.camera.catalog import is_plain_path, known_forms, parse_address
from edge_runtime.contract.errors import ConfigError, StreamError
from edge_runtime.contract.settings import FilePath, absolute_path, checked_by
from edge_runtime.contract.settings_file import Part
from edge_runtime.link.topics import check_name
from edge_runtime.streams.polygons import Polygon
from edge_runtime.streams.zones import Zones

TopicName = Annotated[str, checked_by(partial(check_name, what="name"))]
"""A name that may stand in an MQTT topic."""


def _check_source(source: str, info: ValidationInfo) -> str:
    try:
        has_secret = parse_address(source).has_secret
    except StreamError as error:
        raise ValueError(str(error)) from error
    if has_secret:
        raise ValueError("it holds a password: put the whole address into a file of its own and name that source_file")
    return str(absolute_path(Path(source), info)) if is_plain_path(source) else source


def _check_fingerprint(fingerprint: str) -> str:
    digits = fingerprint.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", digits):
        raise ValueError(
            "expected the SHA-256 of the camera's certificate, 64 hex digits; without it the log names the one found"
        )
    return digits


@dataclass(frozen=True)
class CameraSettings:
    """One camera.

    source_file: a file that holds nothing but the source; for an address with a password.
    ca_file, fingerprint: for rtsps, see `Trust`.
    max_fps: how many frames per second are looked at, at most; a newer frame replaces one that was not.
    masks: polygons in shares of the picture; people whose foot point is in one are not looked at.
    zones: named polygons; messages name those in which a person's foot point is. only_zones: who is in none is not
    looked at. boxes: people are not looked for here, their boxes come from outside.
    """

    id: TopicName
    source: Annotated[Annotated[str, AfterValidator(_check_source)] | None, Field(description=known_forms())] = None
    source_file: FilePath | None = None
    ca_file: FilePath | None = None
    fingerprint: Annotated[str, AfterValidator(_check_fingerprint)] | None = None
    max_fps: PositiveFloat = 10.0
    masks: tuple[Polygon, ...] = ()
    zones: Zones = field(default_factory=dict)
    only_zones: bool = False
    boxes: Part[BoxSettings] | None = None

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ConfigError: both or none of `source` and `source_file`, or both `ca_file` and `fingerprint`, are given; or
                `only_zones` without a zone.
        """
        if (self.source is None) == (self.source_file is None):
            raise ConfigError("expected either source or source_file")
        if self.ca_file and self.fingerprint:
            raise ConfigError("expected either ca_file or fingerprint; a fingerprint alone is the stricter one")
        if self.only_zones and not self.zones:
            raise ConfigError("only_zones without `zones` would leave out everybody; add a zone or remove it")

    @property
    def trust(self) -> Trust:
        """Which certificate the camera may show."""
        return Trust(self.ca_file, self.fingerprint)

    def read_address(self) -> str:
        """The source, or the content of `source_file`.

        Raises:
            ConfigError: `source_file` cannot be read, or holds no address; or the address has no certificate to check.
        """
        address = self._read_source()
        if self.trust != ANY_KNOWN_AUTHORITY and not address.startswith("rtsps://"):
            raise ConfigError(f"camera {self.id}: ca_file and fingerprint are of no use without an rtsps:// address")
        return address

    def _read_source(self) -> str:
        if self.source_file is None:
            assert self.source is not None
            return self.source
        try:
            address = self.source_file.read_text(encoding="utf-8-sig").strip()
            parse_address(address)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read {self.source_file}: expected the address of camera {self.id} in it; name a readable file"
            ) from error
        except StreamError as error:
            raise ConfigError(f"{self.source_file}: {error}") from error
        return address
