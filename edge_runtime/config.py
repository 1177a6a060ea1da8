"""The daemon's configuration: one YAML file. Every fault is reported with its place, all at once.

Each part declares its own settings, with their defaults and limits; here they are only put together.
"""

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from edge_runtime.contract.bundle import RolloutSettings
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.log_lines import LogSettings
from edge_runtime.contract.settings_file import Part, read_settings_file
from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.engine.catalog import EngineSettings
from edge_runtime.health.server import HealthSettings
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.machine_name import machine_name
from edge_runtime.link.publisher import DeliverySettings
from edge_runtime.link.spool_file import SpoolSettings
from edge_runtime.people.catalog import DetectorSettings
from edge_runtime.streams.camera_settings import CameraSettings, TopicName
from edge_runtime.streams.site_keeper import CollectSettings
from edge_runtime.streams.stream import DescriptorSettings


def _check_distinct(cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
    # Not `min_length`: pydantic counts valid cameras only, and would also report a faulty one as missing.
    if not cameras:
        raise ValueError("expected at least one camera, found none")
    ids = [camera.id for camera in cameras]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise ValueError(f"each camera needs an id of its own, found twice: {', '.join(twice)}")
    return cameras


def _name_node(name: str) -> str:
    try:
        return machine_name() if name == "auto" else name
    except ConfigError as error:
        raise ValueError(str(error)) from error


class Config(StrictModel):
    """Everything the daemon needs to know. Paths are relative to the configuration file's folder.

    node: `auto` names it by the machine's own identity, so that machines of one disk image differ.
    boxes_broker: where boxes from outside come; by default at `broker`.
    collect: keep crops of people on this device, a site set; without it none leaves the memory.
    strict: refuse to start where the configuration has a risk (see `risks`); otherwise a risk is only a warning.
    cpu_threads: frames looked at at the same time, each of another camera; with fewer cameras a detector may use
    several threads. An engine that runs on the CPU may use as many. By default one per core.
    """

    site: TopicName
    node: Annotated[TopicName, AfterValidator(_name_node), Field(validate_default=True)] = "auto"
    cameras: Annotated[tuple[Part[CameraSettings], ...], AfterValidator(_check_distinct)]
    engine: Part[EngineSettings]
    detector: Part[DetectorSettings] = DetectorSettings()
    descriptors: Part[DescriptorSettings] = DescriptorSettings()
    broker: Part[BrokerSettings]
    boxes_broker: Part[BrokerSettings] | None = None
    delivery: Part[DeliverySettings] = DeliverySettings()
    spool: Part[SpoolSettings]
    health: Part[HealthSettings] = HealthSettings()
    log: Part[LogSettings] = LogSettings()
    collect: Part[CollectSettings] | None = None
    rollout: Part[RolloutSettings] = RolloutSettings()
    strict: bool = False
    cpu_threads: Annotated[int, Field(ge=1, le=64, default_factory=lambda: min(64, len(os.sched_getaffinity(0))))]


def read_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: unreadable, not YAML, or any setting is unknown, missing or wrong; all faults are listed.
    """
    return read_settings_file(path, Config, help_command="reid-edge --help")


def config_schema() -> str:
    """JSON Schema of the configuration file, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2)
