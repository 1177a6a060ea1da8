"""Health over HTTP, asked as a probe, a Prometheus and a person would."""

import json
import re
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from math import inf

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.contract.errors import ConfigError
from edge_runtime.health.server import Check, Distribution, Figure, HealthServer


class Node:
    """What the server asks about; tests change it."""

    def __init__(self) -> None:
        self.liveness = [Check("main loop", True, "moved 0.1 s ago")]
        self.readiness = [Check("engine", True), Check("camera door", True, "live")]
        self.figures = [
            Figure("reid_frames_total", "counter", "Frames seen.", 12, {"camera": "door"}),
            Figure("reid_frames_total", "counter", "Frames seen.", 7, {"camera": "hall"}),
            Figure("reid_spool_bytes", "gauge", "Bytes in the spool.", 4096),
        ]
        self.distributions = [Distribution("reid_wait_seconds", "Waits.", (0.5, 2.0), counts=(3, 0, 2), total=9.5)]


@pytest.fixture
def node() -> Node:
    """A node that is well."""
    return Node()


@pytest.fixture
def server(node: Node) -> Iterator[HealthServer]:
    """Its health, on a free port."""
    server = HealthServer(
        liveness=lambda: node.liveness,
        readiness=lambda: node.readiness,
        figures=lambda: node.figures,
        distributions=lambda: node.distributions,
        status=lambda: {"node": "<script>"},
    )
    yield server
    server.close()


def get(server: HealthServer, path: str) -> tuple[int, str]:
    """Status and body of an answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_node_that_is_well_says_so(server: HealthServer) -> None:
    """200, and one line per check."""
    assert get(server, "/healthz") == (200, "ok main loop moved 0.1 s ago\n")
    assert get(server, "/readyz?verbose") == (200, "ok engine\nok camera door live\n")


def test_a_check_that_fails_makes_503_and_is_named(server: HealthServer, node: Node) -> None:
    """Each path has its own checks: a camera that is away is no reason to restart the process."""
    node.readiness.append(Check("broker", False, "cannot be reached"))
    status, body = get(server, "/readyz")
    assert status == 503
    assert "FAILED broker cannot be reached" in body
    assert get(server, "/healthz")[0] == 200


def test_prometheus_can_read_the_metrics(server: HealthServer) -> None:
    """Names, kinds, labels and values arrive, and nothing of the process at large."""
    _, body = get(server, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(body)}
    assert set(families) == {"reid_frames", "reid_spool_bytes", "reid_wait_seconds"}
    samples = {sample.labels["camera"]: sample.value for sample in families["reid_frames"].samples}
    assert (families["reid_frames"].type, samples) == ("counter", {"door": 12, "hall": 7})
    assert families["reid_spool_bytes"].samples[0].value == 4096


def test_two_servers_know_nothing_of_each_other(server: HealthServer) -> None:
    """Metrics are not registered anywhere global."""
    other = HealthServer(liveness=list, readiness=list, figures=list)
    try:
        assert get(other, "/metrics") == (200, "")
        assert "reid_frames" in get(server, "/metrics")[1]
    finally:
        other.close()


def test_histograms_are_as_prometheus_wants_them(server: HealthServer) -> None:
    """Each class holds all that are not above its bound, the last one everything."""
    families = {family.name: family for family in text_string_to_metric_families(get(server, "/metrics")[1])}
    samples = families["reid_wait_seconds"].samples
    classes = {one.labels["le"]: one.value for one in samples if one.name.endswith("_bucket")}
    assert {float(bound): count for bound, count in classes.items()} == {0.5: 3, 2.0: 3, inf: 5}
    assert {one.name: one.value for one in samples if not one.labels} == {
        "reid_wait_seconds_count": 5,
        "reid_wait_seconds_sum": 9.5,
    }


def test_the_status_is_json(server: HealthServer) -> None:
    """For the page, for `reid-edge status`, and for whoever likes."""
    status, body = get(server, "/status")
    assert (status, json.loads(body)) == (200, {"node": "<script>"})


def test_the_page_loads_nothing_from_elsewhere(server: HealthServer) -> None:
    """It works without the internet, and what a node says cannot become markup: it only ever comes as JSON."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=5) as answer:
        page, rules = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert rules.startswith("default-src 'none'")
    assert not re.findall(r"(?:src|href)=\"(?!/|#|data:)", page)
    assert "innerHTML" not in page


def test_an_unknown_path_is_404(server: HealthServer) -> None:
    """With the paths that exist."""
    status, body = get(server, "/etc/passwd")
    assert status == 404
    assert "/healthz" in body


def test_a_check_that_raises_is_500_and_the_server_lives(server: HealthServer, node: Node) -> None:
    """A bug in one figure must not make the node look dead for ever."""
    node.figures = [None]  # type: ignore[list-item]
    assert get(server, "/metrics") == (500, "failed, see the log\n")
    assert get(server, "/healthz")[0] == 200


def test_it_listens_on_loopback_only(server: HealthServer) -> None:
    """Unless told otherwise, nobody on the network sees it."""
    assert server._server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("port", [None, 70000])
def test_a_port_that_cannot_be_had_is_said(port: int | None) -> None:
    """Taken, or no port at all."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another address"):
            HealthServer(liveness=list, readiness=list, figures=list, port=port or taken.getsockname()[1])


def test_a_client_that_hangs_up_is_no_event(
    server: HealthServer, node: Node, capfd: pytest.CaptureFixture[str]
) -> None:
    """No traceback in the log, and the next one is answered."""
    node.figures = [Figure(f"reid_{n}_total", "counter", "x" * 1000, n) for n in range(5000)]
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            client.recv(1)
    assert get(server, "/healthz")[0] == 200
    server.close()
    assert capfd.readouterr().err == ""


def test_the_name_service_is_not_asked(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one, as on a camera's own network, the start would wait for it."""

    def ask(*_: object) -> str:
        raise AssertionError("asked")

    for name in ("getfqdn", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, ask)
    everything: list[Figure] = []
    server = HealthServer(liveness=list, readiness=list, figures=lambda: everything, host="0.0.0.0")
    server.close()


def test_a_probe_that_asks_for_the_head_alone_gets_it(server: HealthServer) -> None:
    """Some load balancers do; the answer has no body."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/healthz", method="HEAD")
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert (answer.status, answer.read(), int(answer.headers["Content-Length"]) > 0) == (200, b"", True)


def test_a_crowd_of_clients_waits_in_line(server: HealthServer) -> None:
    """A hundred that connect at once are taken at once, though nobody has been answered yet."""
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=0.9))
