"""The broker, certificates and passwords of `benchmarks.measuring`, for tests."""

from pathlib import Path

import pytest

from benchmarks.measuring.certificates import PASSWORD, USER, Secrets, make_secrets
from benchmarks.measuring.mosquitto import Mosquitto, free_port
from edge_runtime.contract.errors import ConfigError

__all__ = ["PASSWORD", "USER", "Broker", "Secrets", "free_port", "make_secrets"]


class Broker(Mosquitto):
    """A `Mosquitto`; a test is skipped where it is not installed."""

    def __init__(self, folder: Path, *, lines: list[str], host: str = "127.0.0.1") -> None:
        try:
            super().__init__(folder, lines=lines, host=host)
        except ConfigError as error:
            pytest.skip(str(error))
