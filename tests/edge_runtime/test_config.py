"""The configuration file: strict, complete in its faults, and the same from any folder."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from edge_runtime.config import json_schema, read_config
from edge_runtime.contract.errors import ConfigError

SETTINGS: dict[str, Any] = {
    "site": "shop",
    "node": "gate",
    "cameras": [{"id": "door", "source": "rtsp://10.0.0.7/stream"}],
    "engine": {"model": "models/osnet.onnx"},
    "broker": {"host": "localhost"},
    "spool": {"path": "/var/lib/reid-edge/spool.sqlite"},
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(SETTINGS | changes))
    return path


def test_relative_paths_count_from_the_configurations_folder(tmp_path: Path) -> None:
    """A service starts in `/`."""
    config = read_config(write(tmp_path, detector={"model": "yolox.onnx"}))
    assert config.engine.model == tmp_path / "models/osnet.onnx"
    assert config.detector.model == tmp_path / "yolox.onnx"
    assert config.spool.path == Path("/var/lib/reid-edge/spool.sqlite")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"colour": "red"}, "colour: unknown key"),
        ({"cameras": []}, "cameras: "),
        ({"cameras": [{"id": "door", "source": "gopher://x"}]}, "cameras.0.source: "),
        ({"cameras": [{"id": "a/b", "source": "clip.avi"}]}, "cameras.0.id: "),
        ({"cameras": [{"id": "door", "source": "a.avi"}] * 2}, "found twice: door"),
        ({"broker": {"host": "localhost", "port": 70000}}, "broker.port: "),
        ({"broker": {"host": "localhost", "password": "secret"}}, "broker.password: unknown key"),
        ({"descriptors": {"codec": "f64"}}, "descriptors.codec: "),
        ({"spool": {"path": "x", "max_mib": 0}}, "spool.max_mib: "),
    ],
)
def test_each_fault_is_said_with_its_place(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    """The key path is that of the file."""
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, **changes))
    assert place in str(caught.value)
    assert "secret" not in str(caught.value)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    """Nobody wants to start a daemon five times."""
    with pytest.raises(ConfigError, match=r"3 faults: .*site.*;.*engine.*;.*sittes"):
        read_config(write(tmp_path, site=7, engine={}, sittes="shop"))


def test_files_that_are_no_configuration_are_told_apart(tmp_path: Path) -> None:
    """Missing, not YAML, not a mapping."""
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(tmp_path / "nothing.yaml")
    path = tmp_path / "site.yaml"
    path.write_text("site: [")
    with pytest.raises(ConfigError, match=r"is not YAML: .*line 1"):
        read_config(path)
    path.write_text("just text")
    with pytest.raises(ConfigError, match="file: "):
        read_config(path)


def test_the_schema_accepts_what_the_reader_accepts(tmp_path: Path) -> None:
    """So that an editor can help."""
    schema = json.loads(json_schema())
    read_config(write(tmp_path))
    jsonschema.validate(SETTINGS, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SETTINGS | {"colour": "red"}, schema)
