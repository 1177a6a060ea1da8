"""The daemon's configuration: one YAML file, read whole; every fault is reported with its place."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from edge_runtime.camera.catalog import is_plain_path, parse_address
from edge_runtime.contract.descriptor import Codec
from edge_runtime.contract.errors import ConfigError, StreamError
from edge_runtime.engine.catalog import Backend
from edge_runtime.link.broker import BrokerSettings
from edge_runtime.link.topics import check_name
from edge_runtime.people.catalog import DetectorSettings


def _name(value: str) -> str:
    try:
        return check_name(value, what="name")
    except ConfigError as error:
        raise ValueError(str(error)) from error


def _absolute(path: Path, info: ValidationInfo) -> Path:
    """The path counted from the configuration file's folder, which is the context of the validation."""
    folder: Any = info.context
    try:
        return Path(folder, path.expanduser())
    except RuntimeError as error:
        raise ValueError(f"{path} is in the home of a user who has none; write the whole path") from error


def _source(value: str, info: ValidationInfo) -> str:
    try:
        address = parse_address(value)
    except StreamError as error:
        raise ValueError(str(error)) from error
    if address.password is not None:
        raise ValueError("it holds a password: put the whole address into a file of its own and name that source_file")
    return str(_absolute(Path(value), info)) if is_plain_path(value) else value


Name = Annotated[str, AfterValidator(_name)]
FilePath = Annotated[Path, AfterValidator(_absolute)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Camera(_Strict):
    """One camera: `source` is a path, file:///path, rtsp://host/path, v4l2:///dev/video0 or csi://0.

    An address with a password, rtsp://user:password@host/path, lies alone in the file `source_file` instead.
    """

    id: Name
    source: Annotated[str, AfterValidator(_source)] | None = None
    source_file: FilePath | None = None
    max_fps: PositiveFloat = 10.0
    """Frames looked at per second, at most; newer frames replace those not looked at in time."""

    @model_validator(mode="after")
    def _has_one_source(self) -> "Camera":
        if (self.source is None) == (self.source_file is None):
            raise ValueError("expected either source or source_file")
        return self

    def address(self) -> str:
        """The source, from wherever it is given.

        Raises:
            ConfigError: `source_file` cannot be read, or holds no address.
        """
        if self.source_file is None:
            assert self.source is not None
            return self.source
        try:
            address = self.source_file.read_text().strip()
            parse_address(address)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read {self.source_file}: expected the address of camera {self.id} in it; name a readable file"
            ) from error
        except StreamError as error:
            raise ConfigError(f"{self.source_file}: {error}") from error
        return address


def _distinct(cameras: tuple[Camera, ...]) -> tuple[Camera, ...]:
    # Not `min_length`: pydantic counts valid cameras only, and would report a faulty one as missing, too.
    if not cameras:
        raise ValueError("expected at least one camera, found none")
    ids = [camera.id for camera in cameras]
    twice = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if twice:
        raise ValueError(f"each camera needs an id of its own, found twice: {', '.join(twice)}")
    return cameras


class Engine(_Strict):
    """The network that describes people: an ONNX file or a TensorRT plan with its manifest beside it."""

    model: FilePath
    backend: Backend = "auto"


class Descriptors(_Strict):
    """How often a tracked person is described, and how the numbers travel."""

    every_s: Annotated[float, Field(ge=0)] = 0.5
    """Seconds between two descriptors of one track; 0 describes it in every frame looked at."""
    codec: Codec = "f16"


class Broker(_Strict):
    """The MQTT broker. `ca_file` turns TLS on; user and password lie in a file each."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    ca_file: FilePath | None = None
    certificate_file: FilePath | None = None
    key_file: FilePath | None = None
    user_file: FilePath | None = None
    password_file: FilePath | None = None

    @model_validator(mode="after")
    def _files_belong_together(self) -> "Broker":
        try:
            self.settings()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def settings(self) -> BrokerSettings:
        """The same as the link takes it."""
        return BrokerSettings(**dict(self))


class Spool(_Strict):
    """The outgoing queue on disk and its limits. Messages older than `max_age_h` are erased."""

    path: FilePath
    max_mib: Annotated[float, Field(gt=0)] = 512.0
    max_age_h: Annotated[float, Field(gt=0, le=87_600)] = 72.0
    min_free_mib: Annotated[float, Field(ge=0)] = 64.0


class Health(_Strict):
    """Where /healthz, /readyz, /metrics and a status page are served; port 0 turns them off."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464


class Config(_Strict):
    """Everything the daemon needs to know. Paths are relative to the configuration file's folder."""

    site: Name
    node: Name
    cameras: Annotated[tuple[Camera, ...], AfterValidator(_distinct)]
    engine: Engine
    detector: DetectorSettings = DetectorSettings()
    descriptors: Descriptors = Descriptors()
    broker: Broker
    spool: Spool
    health: Health = Health()
    cpu_threads: Annotated[int, Field(ge=1, le=64)] = 1
    """CPU threads for the detector, and as many for an engine that runs on the CPU."""


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


def json_schema() -> str:
    """JSON Schema of the configuration file, for editors."""
    return json.dumps(Config.model_json_schema(), indent=2)


class _UniqueKeys(yaml.SafeLoader):
    """YAML in which a key may stand only once in a mapping, as the standard says; PyYAML silently takes the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """See `yaml.composer.Composer`."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.composer.ComposerError(None, None, "this key stands there twice", key.start_mark)
            seen.add(key.value)
        return node


def _yaml_fault(error: Exception) -> str:
    """What is wrong and where. The text of the file is not repeated: a camera's address may hold a password."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, yaml.reader.ReaderError):
        return f"position {error.position}: {error.reason}"
    return "a number or date that is none"


def _place(location: tuple[str | int, ...]) -> str:
    # A key that is no word is a misplaced value, perhaps an address with a password.
    return ".".join(str(part) if re.fullmatch(r"\w+", str(part)) else "..." for part in location) or "file"


def _reason(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key, remove it or correct its spelling"
    return str(error["msg"]).removeprefix("Value error, ")
