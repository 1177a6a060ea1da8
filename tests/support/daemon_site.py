"""A folder in which daemons and listeners run as an operator runs them."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT
from tests.support.mqtt_broker import Broker, free_port
from tests.support.sample_messages import wait_for
from tests.support.tiny_network import write_tiny_network


class Site:
    """A folder with a configuration and a tiny network, and the daemons and listeners that run in it."""

    def __init__(self, folder: Path, stack: ExitStack, *, port: int, source: str) -> None:
        self.folder = folder
        self._stack = stack
        self.health_port = free_port()
        self.summary = "daemon.json"
        write_tiny_network(folder)
        self.settings: dict[str, Any] = {
            "site": "lab",
            "node": "gate",
            "cameras": [{"id": "door", "source": source, "max_fps": 3}],  # finding people is what costs most here
            "engine": {"model": "tiny.onnx"},
            "descriptors": {"every_s": 0.1},
            "broker": {"host": "127.0.0.1", "port": port},
            "spool": {"path": "spool.sqlite"},
            "health": {"port": self.health_port},
        }

    def daemon(self, *, before: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
        """Start a daemon, after `before` in its process; it is killed at the end of the test if it still runs."""
        (self.folder / "site.yaml").write_text(yaml.safe_dump(self.settings))
        return self._script("daemon.py", "--config", "site.yaml", "--summary", self.summary, before=before)

    def listener(self, broker: Broker) -> "subprocess.Popen[str]":
        """Start a listener that writes heard.json when the node has stopped; returns once it listens."""
        before = broker.log.read_text().count("SUBSCRIBE")
        process = self._script(
            "listen.py", f"127.0.0.1:{broker.port}", "--until-stopped", "--summary", "heard.json", "--session", "test"
        )
        wait_for(lambda: broker.log.read_text().count("SUBSCRIBE") > before)
        return process

    def heard(self) -> dict[str, Any]:
        """The listener's summary."""
        return dict(json.loads((self.folder / "heard.json").read_text()))

    def figure(self, name: str) -> float:
        """One figure of the daemon's /metrics, 0 while the daemon does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def _script(self, name: str, *arguments: str, before: Callable[[], None] | None = None) -> "subprocess.Popen[str]":
        command = [sys.executable, str(ROOT / "edge_runtime" / name), *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = self._stack.enter_context(
            subprocess.Popen(command, cwd=self.folder, text=True, preexec_fn=before, **pipes)
        )
        self._stack.callback(process.kill)
        return process


MakeSite = Callable[..., Site]


def stop(daemon: "subprocess.Popen[str]", *, code: int = 0) -> str:
    """Ask a daemon to stop as systemd does. Returns its log."""
    daemon.send_signal(signal.SIGTERM)
    log, _ = daemon.communicate(timeout=5)
    assert daemon.returncode == code, log
    return log


def ends(daemon: "subprocess.Popen[str]", *, code: int) -> str:
    """Wait until a daemon ends with a fault. Returns its last error; a traceback fails the test."""
    log, _ = daemon.communicate(timeout=30)
    assert daemon.returncode == code, log
    assert "Traceback" not in log
    sentences = [line for line in log.splitlines() if " ERROR " in line]
    assert sentences, log
    return sentences[-1]
