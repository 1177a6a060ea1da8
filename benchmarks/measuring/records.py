"""Where records lie, one folder a machine, and how they are read and written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measuring.machine import machine_slug
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import replace_file

RECORDS = Path(__file__).resolve().parents[1] / "records"
"""One folder a machine."""


def record_folder() -> Path:
    """The folder of what is measured on this machine, whether it exists or not: benchmarks/records/MACHINE."""
    return RECORDS / machine_slug()


def read_record(path: Path) -> dict[str, Any]:
    """A record of any benchmark.

    Raises:
        ConfigError: it is missing, or no JSON object.
    """
    try:
        record = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"expected a record at {path}, found none: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no record: {error}") from error
    if not isinstance(record, dict):
        raise ConfigError(f"{path} is no record: expected an object, found {type(record).__name__}")
    return record


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record atomically, and its folder where there is none.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(record, indent=2, default=lambda value: value.model_dump()) + "\n")
