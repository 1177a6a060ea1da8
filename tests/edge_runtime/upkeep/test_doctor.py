"""The doctor on a site that is well and on one where everything is wrong; with a real broker and a real camera."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_runtime.link.broker import Connection
from edge_runtime.upkeep import doctor
from tests.support.box_messages import encoded, plain
from tests.support.mqtt_broker import Broker, free_port
from tests.support.rtsp_camera import RtspCamera
from tests.support.tiny_network import write_tiny_network


def write_site(folder: Path, *, source: str, port: int, **changes: Any) -> Path:
    """A configuration with one camera and a tiny network."""
    write_tiny_network(folder)
    settings = {
        "site": "lab",
        "node": "gate",
        "cameras": [{"id": "door", "source": source}],
        "engine": {"model": "tiny.onnx"},
        "broker": {"host": "127.0.0.1", "port": port},
        "spool": {"path": "spool.sqlite"},
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(settings | changes))
    return path


def test_a_site_that_is_well(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each part is used, and what it gave is told; nothing is left behind."""
    monkeypatch.setattr(doctor, "_WATCH_S", 1.0)
    monkeypatch.setattr(doctor, "read_is_synchronised", lambda: True)
    camera = RtspCamera()
    camera.start()
    try:
        path = write_site(tmp_path, source=camera.uri, port=broker.port)
        before = sorted(tmp_path.iterdir())
        assert doctor.main(["--config", str(path), "--json"]) == 0
    finally:
        camera.kill()
    found = {finding["what"]: finding["detail"] for finding in json.loads(capsys.readouterr().out)["findings"]}
    assert list(found) == ["configuration", "security", "engine", "detector", "camera door", "broker", "clock", "disk"]
    assert found["camera door"].startswith("320x240, ")
    assert "lets us in" in found["broker"]
    assert sorted(tmp_path.iterdir()) == before


def test_everything_that_is_wrong_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault does not hide the next one, and each is a sentence that says what to do."""
    monkeypatch.setattr(doctor, "_FIRST_FRAME_S", 1.0)
    monkeypatch.setattr(doctor, "read_is_synchronised", lambda: False)
    path = write_site(
        tmp_path,
        source="v4l2:///dev/video99",
        port=free_port(),
        engine={"model": "none.onnx"},
        health={"host": "0.0.0.0"},
        spool={"path": "nowhere/spool.sqlite"},
    )
    assert doctor.main(["--config", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    faults = [line.split(":")[0].split(maxsplit=1)[1] for line in lines if line.startswith("FAULT")]
    assert faults == ["security", "engine", "camera door", "broker", "clock", "disk"]
    assert any("plug it in" in line for line in lines)
    assert lines[-1].startswith("not tried: ")


@pytest.mark.parametrize(
    ("payload", "ok", "told"),
    [(encoded(plain()), True, "door "), (b"{", False, "a message of form plain on boxes cannot be used: ")],
)
def test_boxes_from_outside_are_listened_for(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch, payload: bytes, ok: bool, told: str
) -> None:
    """What the camera would get is read and counted; without our detector none is opened."""
    monkeypatch.setattr(doctor, "_LISTEN_S", 2.0)
    monkeypatch.setattr(doctor, "_FIRST_FRAME_S", 0.1)
    camera = {"id": "door", "source": "v4l2:///dev/video99", "boxes": {"form": "plain", "topic": "boxes"}}
    path = write_site(tmp_path, source="", port=broker.port, cameras=[camera])
    is_over = threading.Event()

    def send() -> None:
        connection = Connection(broker.settings, client_id="outside", session_s=0)
        while not is_over.wait(0.1):
            connection.publish("boxes", payload, qos=0)
        connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    found = {finding.what: finding for finding in doctor.examine(path)}
    is_over.set()
    thread.join()
    assert (found["boxes"].ok, found["detector"].ok) == (ok, True)
    assert told in found["boxes"].detail
    assert "door 0;" not in found["boxes"].detail
    assert found["detector"].detail.startswith("none is opened")


def test_a_configuration_that_cannot_be_read_is_the_only_finding(tmp_path: Path) -> None:
    """Nothing else can be tried without it."""
    (tmp_path / "site.yaml").write_text("site: shop")
    [finding] = doctor.examine(tmp_path / "site.yaml")
    assert not finding.ok
    assert "cameras" in finding.detail
