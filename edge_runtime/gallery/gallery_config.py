"""The gallery's configuration: one YAML file."""

import ipaddress
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.settings import FilePath
from edge_runtime.contract.settings_file import Part, read_settings_file
from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.gallery.decisions import JoiningSettings
from edge_runtime.gallery.home_assistant import HomeAssistantSettings
from edge_runtime.gallery.intake import IntakeSettings
from edge_runtime.gallery.webhook import WebhookSettings
from edge_runtime.link.broker_settings import BrokerSettings


@dataclass(frozen=True)
class PageSettings:
    """Where the page and the API are served, and who may ask from other machines.

    token_file: holds what a user must say. certificate_file, key_file: turn TLS on. client_ca_file: only who has a
    certificate of this authority is answered; no token is needed then. One of the two is needed beyond this machine.
    Others can read what is sent over a network without TLS.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8470
    token_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None
    client_ca_file: FilePath | None = None

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ConfigError: others could read it without being asked who they are, or a file is of no use.
        """
        if self.token_file is None and self.client_ca_file is None and not self.is_loopback():
            raise ConfigError(
                f"{self.host} can be reached from other machines, so token_file is needed: a file with a secret of 16 "
                "characters or more; or client_ca_file, for certificates"
            )
        for name in ("key_file", "client_ca_file"):
            if getattr(self, name) and not self.certificate_file:
                raise ConfigError(f"the page's {name} is of no use without certificate_file; add it")

    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def tls_options(self) -> dict[str, object]:
        """What uvicorn needs for TLS; empty without a certificate.

        Raises:
            ConfigError: a file cannot be used.
        """
        if self.certificate_file is None:
            return {}
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate_file, self.key_file)
            if self.client_ca_file:
                context.load_verify_locations(self.client_ca_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(map(str, filter(None, (self.certificate_file, self.key_file, self.client_ca_file))))
            raise ConfigError(f"the page cannot use its certificates {files}: {error}") from error
        required = {"ssl_ca_certs": str(self.client_ca_file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return {
            "ssl_certfile": str(self.certificate_file),
            "ssl_keyfile": str(self.key_file) if self.key_file else None,
            **(required if self.client_ca_file else {}),
        }

    def read_token(self) -> str | None:
        """The token; None if none is asked for.

        Raises:
            ConfigError: the file cannot be read, or holds no good token.
        """
        if self.token_file is None:
            return None
        try:
            token = self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {self.token_file}: {error}; it holds the token of the page") from error
        if len(token) < 16 or not (token.isascii() and token.isprintable()):
            raise ConfigError(
                f"{self.token_file}: expected a token of 16 or more plain characters, found {len(token)}; "
                "try: openssl rand -hex 16"
            )
        return token


@dataclass(frozen=True)
class Purposes:
    """What the gallery may be asked, each a decision of its own.

    flow: how many people each camera saw in each hour. search: who looks like a given vector or track; under the AI Act
    of the European Union this can be a high-risk use.
    """

    flow: bool = True
    search: bool = False


class GalleryConfig(StrictModel):
    """Everything the gallery needs to know. Paths are relative to the configuration file's folder.

    folder: for people, receipts and, without `postgres`, the descriptors. postgres: address of a PostgreSQL with
    pgvector; passwords belong into ~/.pgpass. keep_h: hours after which a descriptor is erased.
    """

    folder: FilePath
    postgres: Annotated[str, Field(pattern="^postgresql://")] | None = None
    keep_h: Annotated[float, Field(gt=0, le=24 * 366)]
    broker: Part[BrokerSettings]
    intake: Part[IntakeSettings] = IntakeSettings()
    association: Part[JoiningSettings] = JoiningSettings()
    purposes: Part[Purposes] = Purposes()
    page: Part[PageSettings] = PageSettings()
    webhook: Part[WebhookSettings] | None = None
    home_assistant: Part[HomeAssistantSettings] | None = None

    @model_validator(mode="after")
    def _check_purposes(self) -> "GalleryConfig":
        if self.home_assistant and not self.purposes.flow:
            raise ValueError("home_assistant shows counts of people, so it needs purposes: {flow: true}")
        return self


def read_gallery_config(path: Path) -> GalleryConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: unreadable, not YAML, or any setting is unknown, missing or wrong; all faults are listed.
    """
    return read_settings_file(path, GalleryConfig, help_command="reid-gallery --help")


def gallery_config_schema() -> str:
    """JSON Schema of the configuration file, for editors."""
    return json.dumps(GalleryConfig.model_json_schema(), indent=2)
