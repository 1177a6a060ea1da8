"""A gallery in a process of its own, and nodes that are only messages: made-up people before made-up cameras."""

import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.contract.descriptor import encode, normalise
from edge_runtime.link.broker import Connection
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.messages import Birth, ModelCard, Vector
from edge_runtime.link.wire_format import encode_message
from tests.conftest import ROOT
from tests.support.gallery_rows import track_id
from tests.support.mqtt_broker import free_port
from tests.support.sample_messages import MANIFEST, SPACE, track_message

BOOT = "5" * 16


def person_vector(person: int, *, seed: int) -> Vector:
    """A vector of eight numbers, near that of the person; eight people are far from each other."""
    centre = np.eye(8)[person % 8]
    offset = np.random.default_rng([person, seed]).standard_normal(8)
    return Vector.of(encode(normalise((centre + 0.05 * offset)[None])[0].astype(np.float32), codec="f16"))


def birth(*, boot: str = BOOT) -> bytes:
    """What a node says of itself."""
    return Birth(boot=boot, node_card={}, models=(ModelCard.of(MANIFEST),)).model_dump_json().encode()


@dataclass(frozen=True)
class Walk:
    """A person passes a camera: a track that starts and ends. Times are UTC nanoseconds."""

    seq: int
    person: int
    camera: str
    start_ns: int
    end_ns: int

    @property
    def track(self) -> str:
        """The id of the track."""
        return track_id(self.seq)

    def payloads(self) -> tuple[bytes, bytes]:
        """The messages of its start and end, with the numbers 2 seq and 2 seq + 1."""
        common: dict[str, Any] = {"track": self.track, "boot": BOOT, "publish_ns": self.end_ns}
        start = track_message(**common, seq=2 * self.seq, event="start", capture_ns=self.start_ns, descriptor=None)
        vector = person_vector(self.person, seed=self.seq)
        end = track_message(**common, seq=2 * self.seq + 1, event="end", capture_ns=self.end_ns, descriptor=vector)
        return encode_message(start), encode_message(end)


def walks(count: int, *, people: int, cameras: Sequence[str] = ("door", "till"), now_ns: int = 0) -> list[Walk]:
    """People who walk past the cameras, one every second until now."""
    now_ns = now_ns or time.time_ns()
    second = 1_000_000_000
    return [
        Walk(
            seq,
            seq % people,
            cameras[seq // people % len(cameras)],
            now_ns - (count - seq) * second,
            now_ns - (count - seq) * second + second // 2,
        )
        for seq in range(count)
    ]


def send(broker: BrokerSettings, many: Iterable[Walk], *, client_id: str = "camera-node", node: str = "gate") -> None:
    """Publish a node's birth and the walks; returns when the broker has acknowledged all of it."""
    connection = Connection(broker, client_id=client_id, session_s=0)
    with closing(connection):
        waiting = {connection.publish(f"reid/v1/shop/{node}/birth", birth(), qos=1, is_retained=True)}
        for walk in many:
            for payload in walk.payloads():
                waiting.add(connection.publish(f"reid/v1/shop/{node}/{walk.camera}/track", payload, qos=1))
            while len(waiting) > connection.receive_maximum - 2:
                waiting -= {one.packet_id for one in connection.step(1.0)[0]}
        while waiting:
            waiting -= {one.packet_id for one in connection.step(1.0)[0]}


class GalleryProcess:
    """`gallery_server.py` with a configuration file in a folder. settings: added to the smallest configuration."""

    def __init__(self, folder: Path, broker: BrokerSettings, **settings: object) -> None:
        self.folder, self.port = folder / "gallery", free_port()
        self.config = folder / "gallery.yaml"
        self.log = folder / "gallery.log"
        link = {"host": broker.host, "port": broker.port, "connect_timeout_s": 2.0}
        page = {"port": self.port}
        fields = {"folder": "gallery", "keep_h": 72, "broker": link, "page": page} | settings
        self.config.write_text(json.dumps(fields))  # JSON is YAML too
        self.context: ssl.SSLContext | None = None
        """How to ask over TLS."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            command = [sys.executable, "edge_runtime/gallery/gallery_server.py", "--config", str(self.config)]
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.wait_until(lambda: self.ask("GET", "/healthz")[0] == 200)

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """Kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM. Returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def has_ended(self) -> bool:
        """Whether it is not running."""
        return self._process is None or self._process.poll() is not None

    def ask(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of an answer; (0, None) if there is none."""
        if self.context:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.context)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = None if body is None else json.dumps(body)
            kind = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, data, {**kind, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """JSON of an answer that must be good."""
        status, found = self.ask("GET", path)
        assert status == 200, (status, found)
        return found

    def wait_until(self, condition: Any, *, timeout_s: float = 60.0) -> None:
        """Wait until a callable gives something true."""
        deadline, pause_s = time.monotonic() + timeout_s, 0.02
        while not condition():
            assert not self.has_ended(), self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(pause_s)
            pause_s = min(1.3 * pause_s, 0.2)


__all__ = ["SPACE", "GalleryProcess", "Walk", "birth", "person_vector", "send", "walks"]
