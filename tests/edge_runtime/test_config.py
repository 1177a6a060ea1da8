"""The configuration file: strict, complete in its faults, and the same from any folder."""

import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import pytest
import yaml

from edge_runtime import config as config_module
from edge_runtime.config import config_schema, read_config
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.settings import FilePath
from edge_runtime.engine.catalog import EngineSettings
from edge_runtime.health.server import HealthSettings
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.spool_file import SpoolSettings
from edge_runtime.people.catalog import DetectorSettings
from edge_runtime.streams.camera_settings import CameraSettings
from edge_runtime.streams.site_keeper import CollectSettings
from edge_runtime.streams.stream import DescriptorSettings
from tests.conftest import ROOT

SETTINGS: dict[str, Any] = {
    "site": "shop",
    "node": "gate",
    "cameras": [{"id": "door", "source": "rtsp://10.0.0.7/stream"}],
    "engine": {"model": "models/osnet.onnx"},
    "broker": {"host": "localhost"},
    "spool": {"path": "/var/lib/reid-edge/spool.sqlite"},
}


def write(folder: Path, **changes: Any) -> Path:
    """Write a configuration that is valid but for the changes."""
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(SETTINGS | changes))
    return path


def test_relative_paths_count_from_the_configurations_folder(tmp_path: Path) -> None:
    """A service is started in the folder `/`, and must find the same files."""
    cameras = [{"id": str(index), "source": source} for index, source in enumerate(("clip.avi", "/clips/clip.avi"))]
    config = read_config(write(tmp_path, detector={"model": "yolox.onnx"}, cameras=cameras))
    assert [camera.source for camera in config.cameras] == [str(tmp_path / "clip.avi"), "/clips/clip.avi"]
    assert config.engine.model == tmp_path / "models/osnet.onnx"
    assert config.detector.model == tmp_path / "yolox.onnx"
    assert config.spool.path == Path("/var/lib/reid-edge/spool.sqlite")


def test_an_address_with_a_password_lies_in_a_file_of_its_own(tmp_path: Path) -> None:
    """The configuration itself then holds no secret. A missing file is reported when the daemon starts."""
    cameras = [{"id": "door", "source_file": "door.url"}]
    [camera] = read_config(write(tmp_path, cameras=cameras)).cameras
    with pytest.raises(ConfigError, match=r"door\.url: expected the address of camera door"):
        camera.read_address()
    (tmp_path / "door.url").write_text("gopher://user:secret@10.0.0.7/stream\n")
    with pytest.raises(ConfigError, match=r"door\.url: expected .* found gopher:\.\.\.") as caught:
        camera.read_address()
    assert "secret" not in str(caught.value)
    (tmp_path / "door.url").write_text("rtsp://user:secret@10.0.0.7/stream\n")
    assert camera.read_address() == "rtsp://user:secret@10.0.0.7/stream"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"colour": "red"}, "colour: unknown key"),
        ({"cameras": []}, "cameras: "),
        ({"cameras": [{"id": "door", "source": "gopher://x"}]}, "cameras.0.source: "),
        ({"cameras": [{"id": "a/b", "source": "clip.avi"}]}, "cameras.0.id: "),
        ({"cameras": [{"id": "a", "source": "a.avi", "masks": [[[0, 0], [2, 0], [0, 1]]]}]}, "cameras.0.masks.0.1.0: "),
        ({"cameras": [{"id": "a", "source": "a.avi", "masks": [[[0, 0], [1, 1]]]}]}, "at least 3 points"),
        ({"cameras": [{"id": "a", "source": "a.avi", "masks": [[[0, 0], [0.5, 0.5], [1, 1]]]}]}, "enclose an area"),
        ({"cameras": [{"id": "a", "source": "a.avi", "zones": {"x": [[0, 0], [1, 1]]}}]}, "at least 3 points"),
        ({"cameras": [{"id": "a", "source": "a.avi", "zones": {"": [[0, 0], [1, 0], [1, 1]]}}]}, "cameras.0.zones."),
        ({"cameras": [{"id": "a", "source": "a.avi", "only_zones": True}]}, "would leave out everybody"),
        ({"log": {"level": "loud"}}, "log.level: "),
        ({"cameras": [{"id": "door", "source": "a.avi"}] * 2}, "found twice: door"),
        ({"cameras": [{"id": "door", "rtsp://me:secret@x": 1}]}, "cameras.0....: unknown key"),
        ({"cameras": [{"id": "door", "source": "rtsp:/me:secret@10.0.0.7/stream"}]}, "found rtsp:..."),
        ({"broker": {"host": "localhost", "port": 70000}}, "broker.port: "),
        ({"broker": {"host": ""}}, "broker.host: "),
        ({"broker": {"host": "x", "certificate_file": "a.pem"}}, "certificate_file is of no use without ca_file"),
        ({"broker": {"host": "x", "ca_file": "ca.pem", "key_file": "a.key"}}, "without certificate_file"),
        ({"broker": {"host": "x", "password_file": "password"}}, "password_file is of no use without user_file"),
        ({"broker": {"host": "localhost", "password": "secret"}}, "broker.password: unknown key"),
        ({"cameras": [{"id": "door", "source": "rtsp://u:secret@h/x"}]}, "cameras.0.source: "),
        ({"cameras": [{"id": "door", "source": "rtsp://u:12/34secret@h/x"}]}, "write / as %2F"),
        ({"cameras": [{"id": "door", "source": "rtsp://h/x?user=u&password=secret"}]}, "it holds a password"),
        ({"cameras": [{"id": "door", "source": "rtsps://h/x", "fingerprint": "12:34"}]}, "64 hex digits"),
        ({"cameras": [{"id": "door"}]}, "cameras.0: expected either source or source_file"),
        ({"descriptors": {"codec": "f64"}}, "descriptors.codec: "),
        ({"spool": {"path": "x", "max_mib": 0}}, "spool.max_mib: "),
        ({"spool": {"path": "x", "max_age_h": 2e6}}, "spool.max_age_h: "),
        ({"spool": {"path": "~nobody-here/x"}}, "spool.path: "),
        ({"spool": {"path": "x", "max_mib": float("inf")}}, "spool.max_mib: "),
        ({"engine": {"model": "a.onnx", "backend": "abacus"}}, "'auto', 'onnxruntime', 'openvino' or 'tensorrt'"),
        ({"broker": "localhost"}, "broker: expected settings in the form `name: value`"),
        ({"broker": {"host": "x", "keepalive_s": 0}}, "broker.keepalive_s: "),
    ],
)
def test_each_fault_is_reported_with_its_place(tmp_path: Path, changes: dict[str, Any], place: str) -> None:
    """The place is the path of keys in the file."""
    with pytest.raises(ConfigError) as caught:
        read_config(write(tmp_path, **changes))
    assert place in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_setting_is_written_once_in_its_part(tmp_path: Path) -> None:
    """The configuration holds what the part declares, so that a field added there is a setting at once."""
    config = read_config(write(tmp_path, broker={"host": "mqtt", "user_file": "user"}))
    assert config.broker == BrokerSettings("mqtt", user_file=tmp_path / "user")
    assert config.spool == SpoolSettings(Path(SETTINGS["spool"]["path"]))
    assert config.engine == EngineSettings(tmp_path / "models/osnet.onnx")
    assert config.cameras == (CameraSettings("door", source="rtsp://10.0.0.7/stream"),)
    assert config.detector == DetectorSettings()
    assert config.descriptors == DescriptorSettings()
    assert config.health == HealthSettings()


def test_every_path_in_the_settings_counts_from_the_configurations_folder() -> None:
    """A bare `Path` would count from wherever the daemon was started."""
    schema = json.loads(config_schema())
    named = [
        f"{part}.{name}"
        for part, content in schema["$defs"].items()
        for name, field in content["properties"].items()
        if "path" in (option.get("format") for option in (field, *field.get("anyOf", ())))
    ]
    parts = (BrokerSettings, CameraSettings, CollectSettings, DetectorSettings, EngineSettings, SpoolSettings)
    checked = [
        f"{part.__name__}.{name}"
        for part in parts
        for name, kind in get_type_hints(part, include_extras=True).items()
        if FilePath in (kind, *get_args(kind))
    ]
    assert sorted(named) == sorted(checked)


def test_every_setting_is_in_the_manual() -> None:
    """A setting that no operator knows of is of no use."""
    schema = json.loads(config_schema())
    manual = (ROOT / "edge_runtime/README.md").read_text()
    table = "".join(line for line in manual.splitlines(keepends=True) if line.startswith("| "))
    names = {name for part in (schema, *schema["$defs"].values()) for name in part["properties"]}
    assert sorted(name for name in names if f"`{name}`" not in table) == []


def test_a_part_refuses_settings_that_do_not_belong_together() -> None:
    """Also where code makes them, without a file."""
    with pytest.raises(ConfigError, match="of no use without ca_file"):
        BrokerSettings("mqtt", key_file=Path("a.key"), certificate_file=Path("a.pem"))
    with pytest.raises(ConfigError, match="either source or source_file"):
        CameraSettings("door")


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    """Otherwise a file with five faults would need five starts of the daemon."""
    with pytest.raises(ConfigError, match=r"faults \(3\): .*site.*;.*engine.*;.*sittes"):
        read_config(write(tmp_path, site=7, engine={}, sittes="shop"))


def test_files_that_are_no_configuration_are_told_apart(tmp_path: Path) -> None:
    """Missing, not YAML, not a mapping."""
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        read_config(tmp_path / "nothing.yaml")
    path = tmp_path / "site.yaml"
    path.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        read_config(path)
    path.write_text("just text")
    with pytest.raises(ConfigError, match="file: "):
        read_config(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("site: [", "line 1"),
        ("site:\tshop\n\tnode: gate", "line 1, column 6"),
        ("cameras:\n- {id: door, source: [rtsp://me:secret@x", "line 2"),
        ("cameras:\n- source: rtsp://me:secret@x: y", "line 2"),
        ("site: shop\nnode: gate\nsite: secret", "line 3, column 1: this key appears twice"),
        ("site: 2026-13-45", "number, date or other"),
        ("site: \0", "position 6"),
        ("site: !!timestamp secret", "number, date or other value"),
        ("site: !!bool secret", "number, date or other value"),
    ],
)
def test_faults_of_yaml_are_reported_without_the_text(tmp_path: Path, text: str, place: str) -> None:
    """The text may hold a camera's password."""
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="is not YAML: ") as caught:
        read_config(path)
    assert place in str(caught.value)
    assert "secret" not in str(caught.value)


def test_one_faulty_camera_is_one_fault(tmp_path: Path) -> None:
    """A list that holds only a faulty camera is not also reported as empty."""
    with pytest.raises(ConfigError, match=r"faults \(1\)"):
        read_config(write(tmp_path, cameras=[{"id": "door", "source": "clip.avi", "max_fps": 0}]))


def test_a_camera_may_inherit_from_another(tmp_path: Path) -> None:
    """By YAML's anchors and merge keys; overriding a merged key is not a duplicate key."""
    settings = yaml.safe_dump({key: value for key, value in SETTINGS.items() if key != "cameras"})
    path = tmp_path / "site.yaml"
    path.write_text(settings + "cameras: [&a {id: door, source: clip.avi, max_fps: 3}, {<<: *a, id: gate}]")
    assert [(camera.id, camera.max_fps) for camera in read_config(path).cameras] == [("door", 3), ("gate", 3)]


def test_the_schema_accepts_what_the_reader_accepts(tmp_path: Path) -> None:
    """An editor can then check a configuration while it is written."""
    schema = json.loads(config_schema())
    read_config(write(tmp_path))
    jsonschema.validate(SETTINGS, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SETTINGS | {"colour": "red"}, schema)


def test_what_checks_a_certificate_needs_an_encrypted_address(tmp_path: Path) -> None:
    """Otherwise an operator believes that the camera is checked. A fingerprint may have colons and large letters."""
    digits = "AB" * 32
    camera = CameraSettings(id="door", source="rtsp://10.0.0.7/stream", fingerprint=digits.lower())
    with pytest.raises(ConfigError, match="camera door: ca_file and fingerprint are of no use without an rtsps://"):
        camera.read_address()
    secure = {"id": "door", "source": "rtsps://10.0.0.7/stream", "fingerprint": ":".join(["AB"] * 32)}
    [camera] = read_config(write(tmp_path, cameras=[secure])).cameras
    assert camera.fingerprint == digits.lower()
    assert camera.read_address() == "rtsps://10.0.0.7/stream"
    with pytest.raises(ConfigError, match="either ca_file or fingerprint"):
        read_config(write(tmp_path, cameras=[secure | {"ca_file": "camera.pem"}]))


def test_a_byte_order_mark_is_no_part_of_an_address(tmp_path: Path) -> None:
    """Editors on Windows begin files with one, and end lines with two characters."""
    (tmp_path / "door.url").write_bytes(b"\xef\xbb\xbfrtsp://10.0.0.7/stream\r\n")
    assert CameraSettings(id="door", source_file=tmp_path / "door.url").read_address() == "rtsp://10.0.0.7/stream"


def test_deep_nesting_is_a_fault_in_one_sentence(tmp_path: Path) -> None:
    """And no stack overflow."""
    path = tmp_path / "site.yaml"
    path.write_text("a: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_config(path)


def test_an_address_under_a_wrong_key_is_not_repeated(tmp_path: Path) -> None:
    """It may hold a password."""
    with pytest.raises(ConfigError, match=r"cameras\.0\.id: .*it contains '/'") as caught:
        read_config(write(tmp_path, cameras=[{"id": "rtsp://me:secret@10.0.0.7/x", "source": "clip.avi"}]))
    assert "secret" not in str(caught.value)


def test_a_node_is_named_by_its_machine_where_no_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `auto`, which is the default, too."""
    monkeypatch.setattr(config_module, "machine_name", lambda: "node-1421")
    settings = {key: value for key, value in SETTINGS.items() if key != "node"}
    for text in (settings, settings | {"node": "auto"}):
        (tmp_path / "site.yaml").write_text(yaml.safe_dump(text))
        assert read_config(tmp_path / "site.yaml").node == "node-1421"
