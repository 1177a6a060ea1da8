"""A status from the parts of a daemon to the lines that an operator reads."""

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from edge_runtime.contract.errors import StreamError
from edge_runtime.health import history as history_module
from edge_runtime.health import status_command
from edge_runtime.health.checks import HealthChecks
from edge_runtime.health.history import CameraHistories
from edge_runtime.health.report import Reporter
from edge_runtime.health.server import HealthServer
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.service import Service
from tests.edge_runtime.test_service import ANN, MeanEngine
from tests.support.sample_messages import MANIFEST, open_spool
from tests.support.scripted import ScriptedDetector, ScriptedSource, scripted_stream


class Node:
    """A service of one camera that is never run, its histories, and the server of its status."""

    def __init__(self, folder: Path) -> None:
        self.spool = open_spool(folder)
        settings = LinkSettings(BrokerSettings("127.0.0.1", 1), site="lab", node="cam")
        self.publisher = Publisher(settings, self.spool, node_card={}, manifests=[MANIFEST])
        self.source = ScriptedSource(people=[ANN])
        self.stream = scripted_stream(self.source)
        parts = {"detectors": [ScriptedDetector()], "engine": MeanEngine(), "publisher": self.publisher}
        self.service = Service([self.stream], started_s=0.0, **parts)  # type: ignore[arg-type]
        self.histories = CameraHistories(self.service)
        self.checks = HealthChecks(self.service, self.publisher)
        self.reporter = Reporter(self.checks, service=self.service, publisher=self.publisher, histories=self.histories)
        self.server = HealthServer(
            liveness=self.checks.liveness,
            readiness=self.checks.readiness,
            figures=self.checks.figures,
            distributions=self.checks.distributions,
            status=lambda: asdict(self.reporter.report()),
        )

    def close(self) -> None:
        """Leave nothing open."""
        self.server.close()
        self.spool.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """A node that is ready, though its broker is away."""
    node = Node(tmp_path)
    yield node
    node.close()


def test_the_command_prints_what_the_page_shows(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """From the same JSON; its exit code says whether the node is ready."""
    address = f"127.0.0.1:{node.server.port}"
    assert status_command.main([address]) == 0
    told = capsys.readouterr().out
    assert told.startswith("lab/cam: ready, version ")
    assert "door" in told
    assert f"space {MANIFEST.space_id}" in told
    node.source.told = "stalled"
    assert status_command.main([address]) == 1
    told = capsys.readouterr().out
    assert "NOT READY" in told
    assert "stalled" in told
    assert "unplugged" in told
    assert status_command.main([address, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    with urllib.request.urlopen(f"http://{address}/status", timeout=5) as answer:
        assert set(json.loads(answer.read())) == set(report)


def test_the_page_asks_for_nothing_that_the_status_lacks(node: Node) -> None:
    """A field that is renamed would show as `undefined` to somebody at night."""
    page = (Path(history_module.__file__).parent / "status_page.html").read_text()
    report = asdict(node.reporter.report())
    for field in report:
        assert field in page, field
    for part in ("broker", "clock", "spool", "machine"):
        for field in report[part]:
            assert f"{part}.{field}" in page, field
    for field in report["cameras"][0]:
        assert f"camera.{field}" in page, field


def test_nobody_at_the_address_is_one_sentence() -> None:
    """With what to look at."""
    with pytest.raises(StreamError, match=r"expected a running daemon at http://127\.0\.0\.1:1, found"):
        status_command.read_status("127.0.0.1:1")


def test_a_state_lasts_until_it_changes(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since when, by a clock that nobody sets."""
    now_s = [100.0]
    monkeypatch.setattr(history_module.time, "monotonic", lambda: now_s[0])
    assert node.histories.of(node.stream).since_s == 100.0
    now_s[0] = 150.0
    assert node.histories.of(node.stream).since_s == 100.0
    node.source.told = "reconnecting"
    changed = node.histories.of(node.stream)
    assert (changed.state, changed.since_s) == ("reconnecting", 150.0)


def test_people_lately_are_the_most_of_each_step(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes of them, however long a node runs; cameras that are gone are forgotten."""
    now_s, people = [1000.0], [0]
    monkeypatch.setattr(history_module.time, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(history_module, "people_now", lambda _: people[0])
    histories = CameraHistories(node.service)
    for second in range(25):
        now_s[0], people[0] = 1000.0 + second, {3: 4, 12: 2, 24: 1}.get(second, 0)
        histories.note()
    assert list(histories.of(node.stream).people_lately) == [4, 2, 1]
    for second in range(25, 2000):
        now_s[0] = 1000.0 + second
        histories.note()
    assert len(histories.of(node.stream).people_lately) == 60
    node.service.streams = ()
    histories.note()
    assert not histories._by_stream


@pytest.mark.parametrize(("seconds", "text"), [(None, "none yet"), (0.4, "0 s"), (119, "119 s"), (7300, "2 h")])
def test_times_are_told_in_one_unit(seconds: float | None, text: str) -> None:
    """The largest of which there are two."""
    assert status_command.span(seconds) == text
