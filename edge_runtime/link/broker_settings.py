"""How to reach the MQTT broker, as the configurations of all programs have it; `broker` uses it.

To add an option: a field with its default and limits here, its use in `broker._make_client` (before connecting) or
`broker.Connection._connect`, and a row in the table of settings in `edge_runtime/README.md`.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.settings import FilePath


@dataclass(frozen=True)
class BrokerSettings:
    """How to reach the MQTT broker.

    host: a name or an address; an IPv6 address with or without brackets.
    ca_file: turns TLS on. user_file, password_file: each holds one line. key_file: may be left out where the
    certificate's file also holds the key. All files are read again for each connection.
    """

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    ca_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None
    user_file: FilePath | None = None
    password_file: FilePath | None = None
    keepalive_s: Annotated[int, Field(ge=1, le=65535)] = 20
    connect_timeout_s: Annotated[float, Field(gt=0)] = 5.0

    def __post_init__(self) -> None:
        """Check what belongs together. A certificate without a CA would otherwise mean a link without encryption.

        Raises:
            ConfigError: a file is of no use without another one.
        """
        for name, needed in (
            ("certificate_file", "ca_file"),
            ("key_file", "certificate_file"),
            ("password_file", "user_file"),
        ):
            if getattr(self, name) and not getattr(self, needed):
                raise ConfigError(f"the broker's {name} is of no use without {needed}; add it")
        object.__setattr__(self, "host", self.host.removeprefix("[").removesuffix("]"))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
