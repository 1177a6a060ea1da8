"""The daemon's configuration: one YAML file. Every fault is reported with its place, all at once.

Each part declares its own settings, with their defaults and limits; here they are only put together.
"""

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.engine.catalog import EngineSettings
from edge_runtime.health.server import HealthSettings
from edge_runtime.link.broker import BrokerSettings
from edge_runtime.link.publisher import DeliverySettings
from edge_runtime.link.spool_file import SpoolSettings
from edge_runtime.people.catalog import DetectorSettings
from edge_runtime.stream import CameraSettings, DescriptorSettings, TopicName

Settings = TypeVar("Settings")


def _list_fault(value: object, make: ValidatorFunctionWrapHandler) -> Any:
    """Make a part's settings; what the part itself refuses is listed beside the other faults."""
    try:
        return make(value)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _check_distinct(cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
    # Not `min_length`: pydantic counts valid cameras only, and would also report a faulty one as missing.
    if not cameras:
        raise ValueError("expected at least one camera, found none")
    ids = [camera.id for camera in cameras]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise ValueError(f"each camera needs an id of its own, found twice: {', '.join(twice)}")
    return cameras


Part = Annotated[Settings, WrapValidator(_list_fault)]


class Config(StrictModel):
    """Everything the daemon needs to know. Paths are relative to the configuration file's folder.

    cpu_threads: frames looked at at the same time, each of another camera; with fewer cameras a detector may use
    several threads. An engine that runs on the CPU may use as many. By default one per core.
    """

    site: TopicName
    node: TopicName
    cameras: Annotated[tuple[Part[CameraSettings], ...], AfterValidator(_check_distinct)]
    engine: Part[EngineSettings]
    detector: Part[DetectorSettings] = DetectorSettings()
    descriptors: Part[DescriptorSettings] = DescriptorSettings()
    broker: Part[BrokerSettings]
    delivery: Part[DeliverySettings] = DeliverySettings()
    spool: Part[SpoolSettings]
    health: Part[HealthSettings] = HealthSettings()
    cpu_threads: Annotated[int, Field(ge=1, le=64, default_factory=lambda: min(64, len(os.sched_getaffinity(0))))]


def read_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: unreadable, not YAML, or any setting is unknown, missing or wrong; all faults are listed.
    """
    try:
        settings = yaml.load(path.read_bytes(), _UniqueKeys)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}; name a YAML file") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {_yaml_fault(error)}; correct it") from error
    if settings is None:
        raise ConfigError(f"{path} is empty; reid-edge --help shows a configuration")
    try:
        return Config.model_validate(settings, context=path.resolve().parent)
    except ValidationError as error:
        faults = "; ".join(f"{_place(e['loc'])}: {_reason(e)}" for e in error.errors(include_url=False))
        raise ConfigError(f"{path} has faults ({error.error_count()}): {faults}") from error


def config_schema() -> str:
    """JSON Schema of the configuration file, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2)


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key may appear only once in a mapping, as the standard says; PyYAML takes the last one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """See `yaml.composer.Composer`."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, "this key appears twice", key.start_mark)
            seen.add(key.value)
        return node


def _yaml_fault(error: Exception) -> str:
    """What is wrong and where. The text of the file is not quoted: a camera's address may hold a password."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"position {error.position}: {error.reason}"
    return "a number or date that does not exist"


def _place(location: tuple[str | int, ...]) -> str:
    # A key that is not a plain word may be a value in the wrong place, such as an address with a password.
    return ".".join(str(part) if re.fullmatch(r"\w+", str(part)) else "..." for part in location) or "file"


def _reason(error: Any) -> str:
    if error["type"] == "dataclass_type":
        return "expected settings in the form `name: value`"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return "unknown key, remove it or correct its spelling"
    return str(error["msg"]).removeprefix("Value error, ")
