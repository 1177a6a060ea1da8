"""Shows the whole path on one machine: cameras, the daemon, a temporary broker, a listener and the gallery.

A clip becomes two cameras, its left and its right half. Ends with a summary and a picture of who walked where.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from edge_runtime.camera.catalog import is_plain_path, known_forms, parse_address
from edge_runtime.contract.errors import ConfigError, PublishError, StreamError
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.contract.script import ScriptParser, run, sample_clip
from edge_runtime.demo.clip_cameras import empty_street, split_clip
from edge_runtime.demo.gallery_process import DemoGallery
from edge_runtime.demo.walks_picture import WalkedTrack, draw_walks
from edge_runtime.streams.pace import LEAST_LOOKS_PER_S

_EXAMPLES = """\
example:
  make demo                                                    the sample clip, with everything installed before
  python edge_runtime/demo/run_demo.py --source clip.avi
  python edge_runtime/demo/run_demo.py --source rtsp://user:password@10.0.0.7/stream1 --precision int8

exit code: 0 when descriptors arrived and none is missing, else 1
"""
_RUNTIME = Path(__file__).resolve().parents[1]
_MODELS = {"fp32": "osnet_x0_25.onnx", "int8": "osnet_x0_25_int8.onnx"}
_STOP_S = 10.0
_SLOW_NOTE = (
    f"this machine is too slow or too busy: below {LEAST_LOOKS_PER_S:g} looks per second people cannot be followed; "
    "a detector network needs less time, see edge_runtime/README.md#detectors"
)
_BUSY = "no camera is at fault; is this machine busy or slow? give it more time with --seconds (make demo DURATION=120)"
# Measured by benchmarks/latency.py; see benchmarks/records/.
_INT8_NOTE = "on a CPU ONNX Runtime runs this small network slower in INT8 than in float32; INT8 is for TensorRT"


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parse(argv)
    _check_picture(arguments.picture)
    model = _RUNTIME / "models" / _MODELS[arguments.precision]
    manifest = read_manifest(model)
    camera = parse_address(arguments.source).name
    print(f"{camera} -> {manifest.model_id} ({arguments.precision}) -> broker -> gallery, for {arguments.seconds:g} s")
    if arguments.precision == "int8":
        print(f"note: {_INT8_NOTE}")
    with tempfile.TemporaryDirectory(prefix="reid-edge-demo-") as name:
        folder = Path(name)
        port = _free_port()
        sources = _sources(arguments.source, folder)
        _write_config(folder, sources, model=model, port=port)
        broker = _start_broker(folder, port)
        gallery = DemoGallery(folder)
        try:
            gallery.start(broker_port=port)
            daemon, heard = _run_daemon_and_listener(folder, port, seconds=arguments.seconds)
            joined = gallery.finish(tracks=daemon["tracks"])
        finally:
            gallery.stop()
            broker.terminate()
            broker.wait()
        _print_summary(daemon, heard, manifest=manifest)
        found = _count_people(joined, cameras=len(sources))
        _show_people(found, picture=arguments.picture)
        _draw(joined, {camera: Path(source) for camera, source in sources.items()}, picture=arguments.picture)
    if arguments.record is not None:
        _write_record(arguments, daemon=daemon, heard=heard, gallery=found, manifest=manifest)
    return 0 if heard["descriptors"] and heard["is_complete"] and not daemon["waiting"] else 1


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = ScriptParser(
        purpose=__doc__,
        shortest=f"--source {_source_at_hand()}",
        next_step="your own site: edge_runtime/README.md",
        examples=_EXAMPLES,
    )
    parser.add_argument("--source", required=True, help=known_forms())
    parser.add_argument("--precision", choices=tuple(_MODELS), default="fp32", help="which engine (default: fp32)")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long to run (default: 40)")
    parser.add_argument(
        "--picture", type=Path, default=Path("demo.png"), help="where people walked (default: %(default)s)"
    )
    parser.add_argument("--record", type=Path, help="write the figures to this JSON file, with machine and commit")
    return parser.parse_args(argv)


def _source_at_hand() -> str:
    """The sample clip where `make demo` has put it, else a USB camera."""
    return str(sample_clip() or "v4l2:///dev/video0")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _check_picture(picture: Path) -> None:
    """Refuse a picture that could not be written, before a minute has passed.

    Raises:
        ConfigError: no folder, or another kind of file.
    """
    if picture.suffix.lower() not in (".png", ".jpg") or not picture.absolute().parent.is_dir():
        raise ConfigError(f"expected --picture to be a .png or .jpg file in a folder that is there, found {picture}")


def _sources(source: str, folder: Path) -> dict[str, str]:
    """Camera -> source: the two halves of a clip, or the one camera that was given."""
    if is_plain_path(source):
        return {camera: str(path) for camera, path in split_clip(Path(source).resolve(), folder).items()}
    return {"camera": source}


def _write_config(folder: Path, sources: dict[str, str], *, model: Path, port: int) -> None:
    for camera, source in sources.items():
        (folder / f"{camera}.source").write_text(source)
    settings = {
        "site": "demo",
        "node": "this-machine",
        "cameras": [{"id": camera, "source_file": f"{camera}.source"} for camera in sources],
        "engine": {"model": str(model)},
        "broker": {"host": "127.0.0.1", "port": port},
        "spool": {"path": "spool.sqlite"},
        "health": {"port": 0},
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(settings))


def _start_broker(folder: Path, port: int) -> subprocess.Popen[bytes]:
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise ConfigError("the demo needs the MQTT broker mosquitto; `make demo` installs it")
    (folder / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with (folder / "broker.log").open("wb") as log:
        broker = subprocess.Popen([program, "-c", str(folder / "broker.conf")], stdout=log, stderr=log)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return broker
        time.sleep(0.05)
    broker.kill()
    raise PublishError(f"mosquitto did not start: {(folder / 'broker.log').read_text().strip()}")


def _run_daemon_and_listener(folder: Path, port: int, *, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run listener and daemon. Returns the daemon's summary and the listener's."""
    log = folder / "daemon.py.log"
    listener = _start(folder, "listen.py", f"127.0.0.1:{port}", "--until-stopped", "--summary", "heard.json")
    daemon = _start(folder, "daemon.py", "--config", "site.yaml", "--summary", "daemon.json")
    try:
        _wait(daemon, seconds)
        daemon.send_signal(signal.SIGTERM)
        code = daemon.wait(_STOP_S)
        if code:
            reason = _last(log, " ERROR ") or "the daemon logged no reason"
            raise StreamError(f"the daemon ended with exit code {code}: {reason}")
        listener.wait(_STOP_S)
    except subprocess.TimeoutExpired as error:
        raise PublishError(f"{error.cmd[1]} did not end within {_STOP_S:g} s") from error
    finally:
        daemon.kill()
        listener.kill()
    done = json.loads((folder / "daemon.json").read_text())
    if not done["frames"]:
        raise StreamError(f"no frame came within {seconds:g} s: {_last(log, ' WARNING ', about='camera ') or _BUSY}")
    return done, json.loads((folder / "heard.json").read_text())


def _start(folder: Path, script: str, *arguments: str) -> subprocess.Popen[bytes]:
    with (folder / f"{script}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, str(_RUNTIME / script), *arguments], cwd=folder, stdout=log, stderr=log
        )


def _wait(daemon: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until the time is over or the daemon has ended, and show the seconds on a terminal."""
    started = time.monotonic()
    while daemon.poll() is None and (elapsed := time.monotonic() - started) < seconds:
        if sys.stdout.isatty():
            print(f"\r{elapsed:3.0f} of {seconds:.0f} s", end="", flush=True)
        time.sleep(0.25)
    if sys.stdout.isatty():
        print("\r", end="")


def _last(log: Path, level: str, *, about: str = "") -> str:
    """The last message of a level in a daemon's log that names this; empty if there is none."""
    messages = [line.partition(level)[2] for line in log.read_text(errors="replace").splitlines() if level in line]
    return next((message for message in reversed(messages) if about in message), "")


def _print_summary(daemon: dict[str, Any], heard: dict[str, Any], *, manifest: Manifest) -> None:
    p50, p95 = daemon["latency_p50_ms"], daemon["latency_p95_ms"]
    rows = {
        "frames": f"{daemon['frames']} looked at, {daemon['frames_dropped']} replaced by newer ones",
        "looks per second": ", ".join(f"{camera} {_looks(rates)}" for camera, rates in daemon["looks"].items()),
        "people": f"{daemon['people']} sightings, {daemon['tracks']} tracks",
        "descriptors received": f"{heard['descriptors']} of {daemon['descriptors']} made",
        "bytes per descriptor": "-" if not heard["descriptors"] else f"{heard['bytes_per_descriptor']:.0f} per message",
        "capture to PUBACK": "-" if p50 is None else f"p50 {p50:.0f} ms, p95 {p95:.0f} ms",
        "sequence": "complete" if heard["is_complete"] else "NOT COMPLETE",
        "engine": f"{daemon['engine']}, {manifest.build.precision}",
        "accuracy": _accuracy(manifest),
        "start to first message": _seconds(daemon["start_to_first_message_s"]),
        "memory": f"{daemon['resident_mib']:.0f} MiB resident",
    }
    for name, value in rows.items():
        print(f"  {name:24}{value}")
    if any(rates["got"] < min(LEAST_LOOKS_PER_S, rates["wanted"]) for rates in daemon["looks"].values()):
        print(f"note: {_SLOW_NOTE}")


def _count_people(joined: Sequence[WalkedTrack], *, cameras: int) -> dict[str, int]:
    """What the gallery found: tracks, people, and how many of these were before all cameras."""
    places: dict[str, set[str]] = {}
    for track in joined:
        places.setdefault(track.person, set()).add(track.camera)
    everywhere = [person for person, seen in places.items() if len(seen) == cameras]
    return {"cameras": cameras, "tracks": len(joined), "people": len(places), "before_all_cameras": len(everywhere)}


def _show_people(found: dict[str, int], *, picture: Path) -> None:
    if found["tracks"]:
        where = f", {found['before_all_cameras']} of them before both cameras" if found["cameras"] > 1 else ""
        print(f"  {'people by the gallery':24}{found['people']} of {found['tracks']} tracks{where}")
        print(f"  {'picture':24}{picture}: who walked where and when, one colour a person")


def _draw(joined: Sequence[WalkedTrack], sources: Mapping[str, Path], *, picture: Path) -> None:
    """Draw the walks on streets that the clips show without people; on plain grey where there is no clip."""
    if joined:
        streets = {
            camera: empty_street(path) if path.is_file() else np.full((360, 640, 3), 200, np.uint8)
            for camera, path in sources.items()
        }
        draw_walks(picture, streets, tracks=joined)


def _write_record(
    arguments: argparse.Namespace,
    *,
    daemon: dict[str, Any],
    heard: dict[str, Any],
    gallery: dict[str, int],
    manifest: Manifest,
) -> None:
    record = {
        "benchmark": "demo",
        "created": read_utc(),
        "commit": read_commit(),
        "device": read_cpu_name(),
        "cores": os.cpu_count(),
        "source": Path(parse_address(arguments.source).name).name,
        "seconds": arguments.seconds,
        "model": manifest.model_id,
        "precision": manifest.build.precision,
        "daemon": daemon,
        "listener": heard,
        "gallery": gallery,
    }
    arguments.record.write_text(json.dumps(record, indent=2) + "\n")


def _looks(rates: dict[str, float]) -> str:
    return f"{rates['got']:.1f} of {rates['wanted']:.1f} wanted"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _accuracy(manifest: Manifest) -> str:
    found = manifest.evidence
    if found is None:
        return "not measured"
    return f"rank-1 {found.rank1.value:.3f}, mAP {found.mean_ap.value:.3f} on {found.data_set} (from its manifest)"


if __name__ == "__main__":
    sys.exit(run(main))
