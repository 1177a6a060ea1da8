"""Tries everything that a configuration names, and says what is wrong with it and what to do.

Everything is really used: the cameras play for some seconds, the broker is connected, the disk is written, the networks
run. The daemon may run meanwhile; some cameras allow only one viewer.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from edge_runtime.boxes.given_people import GivenPeople
from edge_runtime.camera.source import CameraSource
from edge_runtime.config import Config, read_config
from edge_runtime.contract.errors import ReidError
from edge_runtime.contract.script import ScriptParser
from edge_runtime.engine.catalog import EngineSettings, open_engine
from edge_runtime.link.broker import Connection
from edge_runtime.link.clock import read_is_synchronised
from edge_runtime.link.topics import fits_filter
from edge_runtime.people.catalog import open_detector
from edge_runtime.streams.camera_settings import CameraSettings
from edge_runtime.streams.pace import LEAST_LOOKS_PER_S
from edge_runtime.upkeep.risks import find_risks

_FIRST_FRAME_S = 25.0
_WATCH_S = 4.0
_LISTEN_S = 5.0
_SLOW_FSYNC_MS = 100.0
_NOT_TRIED = (
    "the right to publish each topic (the broker's rules), temperature and power mode, wear of the disk, "
    "whether the picture is upright"
)


@dataclass(frozen=True)
class Finding:
    """What was tried, whether it works, and what was found; for a fault also what to do."""

    what: str
    ok: bool
    detail: str


def main(argv: list[str]) -> int:
    """Print a line for each finding. Returns 0 if all is well and 1 if anything is not."""
    parser = ScriptParser(
        prog="reid-edge doctor",
        purpose=(__doc__ or "").partition("\n\n")[0],
        shortest="--config site.yaml",
        next_step="reid-edge --config site.yaml runs the daemon",
        examples="example: reid-edge doctor --config site.yaml --json",
    )
    parser.add_argument("--config", type=Path, required=True, help="the daemon's configuration")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")
    arguments = parser.parse_args(argv)
    findings = []
    for finding in examine(arguments.config):
        findings.append(finding)
        if not arguments.json:
            print(f"{'ok    ' if finding.ok else 'FAULT '} {finding.what}: {finding.detail}", flush=True)
    if arguments.json:
        print(json.dumps({"findings": [asdict(finding) for finding in findings], "not_tried": _NOT_TRIED}, indent=2))
    else:
        print(f"not tried: {_NOT_TRIED}")
    return 0 if all(finding.ok for finding in findings) else 1


def examine(path: Path) -> Iterator[Finding]:
    """Try one thing after another. path: of the configuration; where that is wrong, nothing else is tried."""
    try:
        config = read_config(path)
    except ReidError as error:
        yield Finding("configuration", False, str(error))
        return
    yield Finding("configuration", True, f"{config.site}/{config.node}, cameras: {len(config.cameras)}")
    risks = find_risks(config)
    yield Finding("security", not risks, "; ".join(risks) or "no risk known here")
    yield _try("engine", lambda: _try_engine(config.engine, threads=config.cpu_threads))
    if config.engine.also:
        second = EngineSettings(config.engine.also)
        yield _try("second engine", lambda: _try_engine(second, threads=config.cpu_threads))
    yield _try("detector", lambda: _try_detector(config))
    for camera in config.cameras:
        yield _try(f"camera {camera.id}", lambda camera=camera: _try_camera(camera))  # type: ignore[misc]
    yield _try("broker", lambda: _try_broker(config))
    if any(camera.boxes for camera in config.cameras):
        yield _try("boxes", lambda: _try_boxes(config))
    yield _judge_clock()
    yield _try("disk", lambda: _try_disk(config.spool.path.parent))


def _try(what: str, attempt: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, attempt())
    except (ReidError, OSError) as error:
        return Finding(what, False, str(error))


def _try_engine(settings: EngineSettings, *, threads: int) -> str:
    with open_engine(settings.model, backend=settings.backend, threads=threads) as engine:
        spec = engine.manifest.input
        crops = np.zeros((8, spec.height_px, spec.width_px, spec.channels), np.uint8)
        took_ms = _time_ms(lambda: engine.describe(crops)) / len(crops)
        return f"{engine.manifest.model_id} on {engine.backend}, {took_ms:.1f} ms per person"


def _try_detector(config: Config) -> str:
    if all(camera.boxes for camera in config.cameras):
        return "none is opened: all cameras have boxes from outside"
    detector = open_detector(config.detector, threads=config.cpu_threads)
    took_ms = _time_ms(lambda: detector.detect(np.zeros((432, 768, 3), np.uint8)))
    name = config.detector.model.name if config.detector.model else "HOG; a network finds many more people"
    return f"{took_ms:.0f} ms per look at 768x432, {name}"


def _try_camera(camera: CameraSettings) -> str:
    with CameraSource(camera.read_address(), camera_id=camera.id, trust=camera.trust) as source:
        deadline_s = time.monotonic() + _FIRST_FRAME_S
        while (frame := source.read(0.2)) is None:
            status = source.status()
            if status.state == "ended" or time.monotonic() > deadline_s or "refuses" in status.reason:
                raise ReidError(status.reason)
        began_s, first = time.monotonic(), frame.index
        while time.monotonic() < began_s + _WATCH_S and (newer := source.read(1.0)) is not None:
            frame = newer
        rate = (frame.index - first) / (time.monotonic() - began_s)
        if frame.time_source != "file" and rate < min(LEAST_LOOKS_PER_S, camera.max_fps) / 2:
            raise ReidError(
                f"it gives {rate:.1f} frames/s: people can be followed from {LEAST_LOOKS_PER_S:g} on; raise its rate"
            )
        size = f"{frame.pixels.width_px}x{frame.pixels.height_px}"
        return f"{size}, {rate:.1f} frames/s, times by {frame.time_source} to {frame.uncertainty_ns / 1e9:.1f} s"


def _try_broker(config: Config) -> str:
    began_s = time.monotonic()
    connection = Connection(config.broker, client_id=f"{config.node}-doctor", session_s=0)
    took_ms = 1000 * (time.monotonic() - began_s)
    connection.close()
    return (
        f"{config.broker} accepts the connection after {took_ms:.0f} ms{', encrypted' if config.broker.ca_file else ''}"
    )


def _try_boxes(config: Config) -> str:
    """Listen for some seconds to what the cameras with boxes from outside would get."""
    broker = config.boxes_broker or config.broker
    wanted = [(one.boxes, GivenPeople(one.boxes, camera_id=one.id)) for one in config.cameras if one.boxes]
    connection = Connection(broker, client_id=f"{config.node}-boxes-doctor", session_s=0)
    try:
        connection.subscribe(sorted({boxes.topic for boxes, _ in wanted}), qos=0)
        deadline_s = time.monotonic() + _LISTEN_S
        while (left_s := deadline_s - time.monotonic()) > 0:
            for received in connection.step(left_s)[1]:
                for boxes, people in wanted:
                    if fits_filter(received.topic, boxes.topic) and not received.is_retained:
                        people.read(received.payload)
    finally:
        connection.drop()
    if faults := [people.fault for _, people in wanted if people.fault]:
        raise ReidError("; ".join(faults))
    heard = [f"{people.camera_id} {people.counts.messages}" for _, people in wanted]
    return f"messages from {broker} in {_LISTEN_S:g} s: {', '.join(heard)}; none may mean that nobody is there"


def _judge_clock() -> Finding:
    is_right = read_is_synchronised()
    if is_right is None:
        return Finding("clock", True, "this machine cannot tell whether it is right")
    return Finding(
        "clock",
        is_right,
        "synchronised" if is_right else "no time service sets it; start an NTP client, such as chrony",
    )


def _try_disk(folder: Path) -> str:
    with tempfile.TemporaryFile(dir=folder) as file:

        def write() -> None:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())

        took_ms = _time_ms(write)
    disk = os.statvfs(folder)
    free_mib = disk.f_bavail * disk.f_frsize / 2**20
    if took_ms > _SLOW_FSYNC_MS:
        raise ReidError(f"{folder} takes {took_ms:.0f} ms to store 4 KiB for good: use another disk for the spool")
    return f"{folder} stores 4 KiB for good in {took_ms:.1f} ms, {free_mib:.0f} MiB free"


def _time_ms(work: Callable[[], object]) -> float:
    """Median of five times, after one that does not count."""
    times_ms = []
    for _ in range(6):
        began_s = time.monotonic()
        work()
        times_ms.append(1000 * (time.monotonic() - began_s))
    return statistics.median(times_ms[1:])
