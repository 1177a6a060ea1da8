"""Which cameras a changed configuration exchanges, and what is refused."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_runtime.config import read_config
from edge_runtime.service import Service
from edge_runtime.streams.stream import CameraStream
from edge_runtime.upkeep import reload as reload_module
from edge_runtime.upkeep.reload import ConfiguredCamera, Reloader
from tests.support.scripted import ScriptedSource, scripted_stream


class NotedService(Service):
    """Notes what it is given."""

    def __init__(self) -> None:
        self.leaving: list[str] = []
        self.coming: list[str] = []

    def exchange(self, *, leaving: Collection[str], coming: Sequence[CameraStream]) -> None:
        """See `Service.exchange`."""
        self.leaving, self.coming = list(leaving), [stream.camera_id for stream in coming]


class Node:
    """A configuration of two cameras, whose addresses lie in files, and what takes over its changes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.service, self.told = folder, NotedService(), list[list[str]]()
        for id_ in ("door", "till"):
            self.write_address(id_, f"rtsp://me:secret@{id_}.example/1")
        self.settings: dict[str, Any] = {
            "site": "shop",
            "node": "gate",
            "cameras": [{"id": id_, "source_file": f"{id_}.url"} for id_ in ("door", "till")],
            "engine": {"model": "a.onnx"},
            "broker": {"host": "localhost"},
            "spool": {"path": "spool.sqlite"},
        }
        self.path = folder / "site.yaml"
        self.write()
        config = read_config(self.path)
        self.reloader = Reloader(
            self.path,
            config,
            cameras=[ConfiguredCamera.read(camera) for camera in config.cameras],
            service=self.service,
            make_stream=lambda camera: scripted_stream(ScriptedSource(camera.settings.id)),
            tell_cameras=lambda cameras: self.told.append([camera.settings.id for camera in cameras]),
        )

    def write_address(self, camera: str, address: str) -> None:
        """Change a camera's file, which its owner alone can read."""
        path = self.folder / f"{camera}.url"
        path.write_text(address)
        path.chmod(0o600)

    def write(self, **changes: object) -> None:
        """Change the configuration."""
        self.path.write_text(yaml.safe_dump(self.settings | changes))


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Node:
    """A node whose log the test reads."""
    monkeypatch.setattr(reload_module, "set_up_log", lambda _: None)
    caplog.set_level(logging.INFO)
    return Node(tmp_path)


def test_a_new_password_exchanges_its_camera_alone(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Though nothing in the configuration itself has changed; no log has the password."""
    node.write_address("till", "rtsp://me:newsecret@till.example/1")
    node.reloader.reload()
    assert (node.service.leaving, node.service.coming, node.told) == (["till"], ["till"], [])
    assert caplog.messages == ["configuration read again: camera till changed"]
    node.reloader.reload()
    assert (node.service.leaving, node.service.coming) == ([], [])
    assert "secret" not in repr(node.reloader.__dict__)


@pytest.mark.parametrize(
    ("changes", "address", "reason"),
    [
        ({"colour": "red"}, "rtsp://b/1", "colour: unknown key"),
        ({}, "gopher://b/1", "found gopher:..."),
        (
            {"strict": True, "health": {"host": "0.0.0.0"}},
            "rtsp://b/1",
            "the configuration is strict and has risks (1)",
        ),
    ],
)
def test_a_fault_refuses_all_of_it(
    node: Node, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], address: str, reason: str
) -> None:
    """In one sentence, until a configuration without a fault comes."""
    node.service.leaving = ["untouched"]
    node.write(cameras=node.settings["cameras"][:1], **changes)
    node.write_address("door", address)
    node.reloader.reload()
    assert node.service.leaving == ["untouched"]
    assert node.reloader.fault is not None
    assert reason in node.reloader.fault
    assert caplog.messages == [f"the configuration is not taken over, all goes on as before: {node.reloader.fault}"]
    node.write(cameras=node.settings["cameras"][:1])
    node.write_address("door", "rtsp://me:secret@door.example/1")
    node.reloader.reload()
    assert node.reloader.fault is None
    assert (node.service.leaving, node.service.coming, node.told) == (["till"], [], [["door"]])


def test_what_needs_a_restart_is_named_until_it_has_come(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing of it is taken over; taking it back is silent."""
    node.write(engine={"model": "b.onnx"}, broker={"host": "127.0.0.1"})
    for _ in range(2):
        node.reloader.reload()
    node.write()
    node.reloader.reload()
    same = "configuration read again: cameras and log are as before"
    waiting = "a change of engine, broker needs a restart; until then the daemon runs as before"
    assert caplog.messages == [same, waiting, same, waiting, same]
