"""One run of the daemon on clips, with a broker of its own: what it used and what each camera got."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.measuring.mosquitto import Mosquitto, free_port
from edge_runtime.contract.errors import StreamError

_START_S = 60.0


@dataclass(frozen=True)
class SiteCamera:
    """A clip that is played as a camera."""

    id: str
    clip: Path
    max_fps: float


@dataclass(frozen=True)
class DaemonFigures:
    """What one run used between two moments. cores: CPU seconds per second. p95_ms: from capture to acknowledgement.

    looks_per_s: of each camera.
    """

    cores: float
    looks_per_s: dict[str, float]
    p95_ms: float | None
    peak_mib: float
    load_average: float


@dataclass(frozen=True)
class _Moment:
    time_s: float
    cpu_s: float
    frames: dict[str, float]


@dataclass(frozen=True)
class MeasuredDaemon:
    """A daemon that has looked at a frame. health: its port."""

    process: "subprocess.Popen[bytes]"
    health: int


def run_daemon(
    project: Path, cameras: list[SiteCamera], *, model: Path, detector: Path | None, warm_up_s: float, seconds: float
) -> DaemonFigures:
    """Run a project's daemon on clips. project: a checkout of any commit. detector: None for HOG.

    Raises:
        StreamError: it does not start.
    """
    with start_daemon(project, cameras, model=model, detector=detector) as daemon:
        time.sleep(warm_up_s)
        first = _moment(daemon.process, daemon.health)
        time.sleep(seconds)
        return _figures(daemon.process, daemon.health, first=first)


@contextmanager
def start_daemon(
    project: Path, cameras: list[SiteCamera], *, model: Path, detector: Path | None
) -> Iterator[MeasuredDaemon]:
    """A daemon on clips, with a broker of its own, that looks; both are ended with the block.

    Raises:
        StreamError: it does not start.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        broker = Mosquitto(Path(name), lines=["allow_anonymous true"], is_verbose=False)
        stack.callback(broker.stop)
        broker.start()
        health = free_port()
        settings = {
            "site": "bench",
            "node": "cameras",
            "cameras": [{"id": one.id, "source": str(one.clip), "max_fps": one.max_fps} for one in cameras],
            "engine": {"model": str(model)},
            **({"detector": {"model": str(detector.resolve())}} if detector else {}),
            "broker": {"host": "127.0.0.1", "port": broker.port},
            "spool": {"path": "spool.sqlite"},
            "health": {"port": health},
        }
        (Path(name) / "site.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, str(project / "edge_runtime/daemon.py"), "--config", "site.yaml"]
        with (Path(name) / "log").open("wb") as log:
            environment = os.environ | {"PYTHONPATH": str(project)}
            process = subprocess.Popen(command, cwd=name, env=environment, stdout=log, stderr=log)
        try:
            _wait_until_it_looks(process, health, log=Path(name) / "log")
            yield MeasuredDaemon(process, health)
        finally:
            process.kill()
            process.wait()


def _wait_until_it_looks(daemon: "subprocess.Popen[bytes]", health: int, *, log: Path) -> None:
    deadline_s = time.monotonic() + _START_S
    while daemon.poll() is None and time.monotonic() < deadline_s:
        if any(_metrics(health).get("reid_frames_total", {}).values()):
            return
        time.sleep(0.1)
    raise StreamError(f"the daemon has not looked at any frame: {log.read_text().strip().splitlines()[-1:]}")


def _moment(daemon: "subprocess.Popen[bytes]", health: int) -> _Moment:
    fields = Path(f"/proc/{daemon.pid}/stat").read_text().rpartition(")")[2].split()
    cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return _Moment(time.monotonic(), cpu_s, _metrics(health)["reid_frames_total"])


def _figures(daemon: "subprocess.Popen[bytes]", health: int, *, first: _Moment) -> DaemonFigures:
    last = _moment(daemon, health)
    span_s = last.time_s - first.time_s
    status = Path(f"/proc/{daemon.pid}/status").read_text()
    [peak_kib] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return DaemonFigures(
        cores=(last.cpu_s - first.cpu_s) / span_s,
        looks_per_s={id_: (last.frames[id_] - first.frames[id_]) / span_s for id_ in last.frames},
        p95_ms=_read_p95_ms(health),
        peak_mib=int(peak_kib) / 1024,
        load_average=os.getloadavg()[0],
    )


def _read_p95_ms(health: int) -> float | None:
    """Of the status, or, of daemons before there was one, of the metrics."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health}/status", timeout=10) as answer:
            return json.loads(answer.read())["broker"]["latency_p95_ms"]  # type: ignore[no-any-return]
    except OSError:
        latency_s = _metrics(health).get("reid_latency_seconds", {}).get("0.95")
        return None if latency_s is None else 1000 * latency_s


def _metrics(port: int) -> dict[str, dict[str, float]]:
    """Figures of the daemon by name, then by their label's value; none while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[next(iter(sample.labels.values()), "")] = sample.value
    return found
