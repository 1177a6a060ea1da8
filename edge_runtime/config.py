"""The daemon's configuration: one YAML file, read whole; every fault is reported with its place."""

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from edge_runtime.camera.pipeline import parse_address
from edge_runtime.contract.descriptor import Codec
from edge_runtime.contract.errors import ConfigError, StreamError
from edge_runtime.engine.engine import Backend
from edge_runtime.link.topics import check_name

Fraction = Annotated[float, Field(ge=0, le=1)]


def _name(value: str) -> str:
    try:
        return check_name(value, what="name")
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _source(value: str) -> str:
    try:
        parse_address(value)
    except StreamError as error:
        raise ValueError(str(error)) from error
    return value


Name = Annotated[str, AfterValidator(_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Camera(_Strict):
    """One camera: `source` is file:///path, a path, rtsp://host/path, v4l2:///dev/video0 or csi://0."""

    id: Name
    source: Annotated[str, AfterValidator(_source)]
    max_fps: PositiveFloat = 10.0
    """Frames looked at per second, at most; newer frames replace those not looked at in time."""


class Engine(_Strict):
    """The network that describes people: an ONNX file or a TensorRT plan with its manifest beside it."""

    model: Path
    backend: Backend = "auto"


class Detector(_Strict):
    """What finds people: a YOLOX ONNX file, or without one OpenCV's HOG detector, which needs no download."""

    model: Path | None = None


class Descriptors(_Strict):
    """How often a tracked person is described, and how the numbers travel."""

    every_s: Annotated[float, Field(ge=0)] = 0.5
    """Seconds between two descriptors of one track; 0 describes it in every frame looked at."""
    codec: Codec = "f16"


class Broker(_Strict):
    """The MQTT broker. `ca_file` turns TLS on; user and password lie in a file each."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    user_file: Path | None = None
    password_file: Path | None = None


class Spool(_Strict):
    """The outgoing queue on disk and its limits. Messages older than `max_age_h` are erased."""

    path: Path
    max_mib: Annotated[float, Field(gt=0)] = 512.0
    max_age_h: Annotated[float, Field(gt=0)] = 72.0
    min_free_mib: Annotated[float, Field(ge=0)] = 64.0


class Health(_Strict):
    """Where /healthz, /readyz, /metrics and a status page are served; port 0 turns them off."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464


class Config(_Strict):
    """Everything the daemon needs to know. Paths are relative to the configuration file's folder."""

    site: Name
    node: Name
    cameras: Annotated[tuple[Camera, ...], Field(min_length=1)]
    engine: Engine
    detector: Detector = Detector()
    descriptors: Descriptors = Descriptors()
    broker: Broker
    spool: Spool
    health: Health = Health()
    cpu_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """CPU threads for the detector, and as many for an engine that runs on the CPU."""

    @model_validator(mode="after")
    def _camera_ids_differ(self) -> "Config":
        ids = [camera.id for camera in self.cameras]
        twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
        if twice:
            raise ValueError(f"each camera needs an id of its own, found twice: {', '.join(twice)}")
        return self


def read_config(path: Path) -> Config:
    """Read and check a configuration file.

    Raises:
        ConfigError: unreadable, not YAML, or any setting is unknown, missing or wrong; all faults are listed.
    """
    try:
        settings = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}; name a YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    try:
        config = Config.model_validate(settings)
    except ValidationError as error:
        faults = "; ".join(f"{_place(e['loc'])}: {_reason(e)}" for e in error.errors(include_url=False))
        raise ConfigError(f"{path} has {error.error_count()} faults: {faults}") from error
    return _absolute(config, folder=path.resolve().parent)


def json_schema() -> str:
    """JSON Schema of the configuration file, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2)


def _place(location: tuple[str | int, ...]) -> str:
    return ".".join(map(str, location)) or "file"


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key, remove it or correct its spelling"
    return str(error["msg"])


def _absolute(config: Config, *, folder: Path) -> Config:
    """The same settings with every path counted from `folder`."""

    def moved(model: BaseModel) -> BaseModel:
        changes: dict[str, Any] = {}
        for name in type(model).model_fields:
            value = getattr(model, name)
            if isinstance(value, Path):
                changes[name] = folder / value.expanduser()
            elif isinstance(value, BaseModel):
                changes[name] = moved(value)
        return model.model_copy(update=changes)

    moved_config = moved(config)
    assert isinstance(moved_config, Config)
    return moved_config
