"""Finds the people in cameras' pictures, turns each into a descriptor, and sends these to an MQTT broker without loss.

Threads: the main thread reads the configuration, makes all parts, runs the main loop (`Service.run`) and closes the
parts. Cameras, workers that look at frames, the publisher and the health server have threads of their own, which their
classes describe.
"""

import argparse
import contextlib
import ctypes
import json
import logging
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import cv2
from pydantic import JsonValue

from edge_runtime.boxes.box_receiver import BoxReceiver
from edge_runtime.config import Config, config_schema, read_config
from edge_runtime.contract.errors import ConfigError, DeviceError, EngineError, ManifestError, ReidError
from edge_runtime.contract.log_lines import LogSettings, set_up_log
from edge_runtime.contract.script import ScriptParser, replace_file, run
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.health import status_command
from edge_runtime.health.checks import HealthChecks
from edge_runtime.health.history import CameraHistories
from edge_runtime.health.report import Reporter
from edge_runtime.health.server import HealthServer
from edge_runtime.health.watchdog import tell_starter
from edge_runtime.link.broker import check_files
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.spool import Spool
from edge_runtime.people.absent_detector import AbsentDetector
from edge_runtime.people.catalog import log_detector, open_detector, open_tracker, record_detector, runs_on_gpu
from edge_runtime.people.detector import Detector
from edge_runtime.rollout import commands as rollout
from edge_runtime.service import Service
from edge_runtime.streams.camera_settings import CameraSettings
from edge_runtime.streams.pair_maker import open_pairs
from edge_runtime.streams.site_keeper import SiteKeeper
from edge_runtime.streams.stream import CameraStream, LookSettings, MomentUses
from edge_runtime.upkeep import doctor, fetch
from edge_runtime.upkeep.reload import ConfiguredCamera, Reloader
from edge_runtime.upkeep.risks import tell_risks
from edge_runtime.upkeep.signals import Signals, take_signals

logger = logging.getLogger(__name__)

_FLUSH_S = 2.0
_M_ARENA_MAX = -8  # of glibc's malloc.h
_EXAMPLES = """\
example:
  reid-edge --config site.yaml --check     check the configuration, the models and the broker's files, then end
  reid-edge doctor --config site.yaml      try cameras, broker, disk and networks, and say what to do
  reid-edge status http://127.0.0.1:9464   ask a running daemon how it is; in a browser that address is a page
  reid-edge fetch                          list public networks with their licences; fetch NAME downloads one
  reid-edge install BUNDLE --config site.yaml     take the engine of a signed bundle into use; rollback takes it back
  reid-edge --config site.yaml             run until SIGTERM or Ctrl-C; SIGHUP takes over cameras that were changed

A configuration with one camera, as the file site.yaml:
  site: shop
  node: gateway-1
  cameras: [{id: entrance, source_file: entrance.url}]     the file entrance.url has rtsp://user:password@10.0.0.7/stream1
  engine: {model: osnet_x0_25.onnx}
  broker: {host: broker.example, port: 8883, ca_file: ca.pem, user_file: user, password_file: password}
  spool: {path: /var/lib/reid-edge/spool.sqlite}
All settings with their meaning: reid-edge --schema

exit code: 0 asked to stop; 1 a fault that a restart may repair; 2 the configuration, a manifest or an engine is wrong
"""
_OTHER_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "doctor": doctor.main,
    "fetch": lambda words: run(partial(fetch.main, words)),
    "install": rollout.install,
    "rollback": rollout.rollback,
    "status": lambda words: run(partial(status_command.main, words)),
}


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    started_s = time.monotonic()
    words = sys.argv[1:] if argv is None else argv
    if words[:1] and (other := _OTHER_COMMANDS.get(words[0])):
        return other(words[1:])
    arguments = _parse(words)
    if arguments.schema:
        print(config_schema())
        return 0
    _share_memory()
    set_up_log(LogSettings())
    try:
        with take_signals() as signals:
            return _run(arguments, signals, started_s=started_s)
    except ReidError as error:
        logger.error("%s", error)
        is_final = isinstance(error, ConfigError | ManifestError | EngineError) and not isinstance(error, DeviceError)
        return 2 if is_final else 1
    except Exception:  # the one broad catch: a bug must reach the log, and the exit code that asks for a restart
        logger.exception("the daemon failed")
        return 1


def _share_memory() -> None:
    """Let all threads allocate from two pools. With one per thread, as glibc does, each keeps what it has freed: 27 MiB
    more with eight cameras of 1080p."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(_M_ARENA_MAX, 2)


def command() -> None:
    """The installed command `reid-edge`."""
    sys.exit(main())


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = ScriptParser(
        purpose=(__doc__ or "").partition("\n\n")[0],
        shortest=_shortest_command(),
        next_step="a first configuration and all settings: edge_runtime/README.md",
        examples=_EXAMPLES,
    )
    parser.add_argument("--config", type=Path, help="the configuration, a YAML file")
    parser.add_argument("--check", action="store_true", help="check the configuration and the files it names, then end")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of the configuration, then end")
    parser.add_argument("--summary", type=Path, help="write the totals of the run to this JSON file at the end")
    arguments = parser.parse_args(argv)
    if arguments.config is None and not arguments.schema:
        parser.error("expected --config FILE")
    return arguments


def _shortest_command() -> str:
    """With a configuration in the current folder, checking it; otherwise printing what a configuration may hold."""
    for path in sorted(Path().glob("*.yaml")):
        with contextlib.suppress(OSError):
            if re.search(r"^cameras:", path.read_text(errors="replace"), flags=re.MULTILINE):
                return f"--config {path} --check"
    return "--schema"


def _run(arguments: argparse.Namespace, signals: Signals, *, started_s: float) -> int:  # long: all parts, in order
    config = read_config(arguments.config)
    set_up_log(config.log)
    tell_risks(config)
    _check_summary(arguments.summary)
    cameras = [ConfiguredCamera.read(camera) for camera in config.cameras]
    with (
        open_engine(config.engine.model, backend=config.engine.backend, threads=config.cpu_threads) as engine,
        open_pairs(config.engine, engine, threads=config.cpu_threads, codec=config.descriptors.codec) as pairs,
    ):
        detectors = _open_detectors(config)
        link = LinkSettings(config.broker, site=config.site, node=config.node, **asdict(config.delivery))
        if arguments.check:
            for broker in filter(None, (link.broker, config.boxes_broker)):
                check_files(broker)
            print(f"{arguments.config}: no faults; {engine.manifest.model_id} would run on {engine.backend}")
            print("not checked: cameras, broker, disk and clock, which `reid-edge doctor` tries")
            return 0
        receiver = BoxReceiver(config.boxes_broker or config.broker, client_id=f"{config.node}-boxes")
        with (
            Spool(config.spool, node=config.node) as spool,
            _open_keeper(config) as keeper,
            contextlib.closing(receiver),
        ):
            make_stream = partial(
                _make_stream,
                config=config,
                detector=detectors[0],
                engine=engine,
                uses=MomentUses(keeper, pairs),
                receiver=receiver,
            )
            node_card = partial(_node_card, config=config, engine=engine)
            manifests = [engine.manifest, *([pairs.manifest] if pairs else [])]
            publisher = Publisher(link, spool, node_card=node_card(cameras), manifests=manifests)
            service = Service(
                list(map(make_stream, cameras)),
                detectors=detectors,
                engine=engine,
                publisher=publisher,
                started_s=started_s,
                faster_detector="a smaller detector model" if config.detector.model else "a detector model",
                pairs=pairs,
            )
            reloader = Reloader(
                arguments.config,
                config,
                cameras=cameras,
                service=service,
                make_stream=make_stream,
                tell_cameras=lambda cameras: publisher.publish_birth(node_card(cameras)),
            )
            checks = HealthChecks(service, publisher, refusal=lambda: reloader.fault)
            with _serve_health(config, checks, service=service, publisher=publisher):
                publisher.start()
                try:
                    with tell_starter(os.environ, is_alive=service.is_looping):
                        return _run_loop(service, signals, reloader=reloader)
                finally:
                    for stream in service.streams:
                        stream.source.close()
                    publisher.stop(_FLUSH_S)
                    _report_totals(service, engine, path=arguments.summary)


def _run_loop(service: Service, signals: Signals, *, reloader: Reloader) -> int:
    """Run the main loop to its end. Returns the exit code: what fails now has worked before, so a restart may help."""

    def reload_if_asked() -> None:
        if signals.reload.is_set():
            signals.reload.clear()
            reloader.reload()

    try:
        service.run(signals.stop, before_step=reload_if_asked)
    except ReidError as error:
        logger.error("%s", error)
        return 1
    return 0


def _check_summary(path: Path | None) -> None:
    if path and (path.is_dir() or not path.parent.is_dir()):
        raise ConfigError(f"cannot write {path}: expected a file name in a folder that exists; give another --summary")


def _open_detectors(config: Config) -> list[Detector]:
    """One detector per worker, of which no more are needed than there are cameras; they share the CPU threads.

    On a GPU there is one: more of them would wait for each other, each with memory of its own. Where all cameras have
    boxes from outside there is none.
    """
    if all(camera.boxes for camera in config.cameras):
        return [AbsentDetector()]
    workers = min(config.cpu_threads, len(config.cameras))
    threads = config.cpu_threads // workers
    cv2.setNumThreads(threads)
    first = open_detector(config.detector, threads=threads)
    log_detector(config.detector, first)
    record_detector(config.detector, first)
    if runs_on_gpu(first):
        return [first]
    return [first, *(open_detector(config.detector, threads=threads) for _ in range(workers - 1))]


def _node_card(cameras: Sequence[ConfiguredCamera], *, config: Config, engine: Engine) -> dict[str, JsonValue]:
    return {
        "cameras": [camera.settings.id for camera in cameras],
        "engine": engine.backend,
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpu_threads": config.cpu_threads,
    }


def _make_stream(
    camera: ConfiguredCamera,
    *,
    config: Config,
    detector: Detector,
    engine: Engine,
    uses: MomentUses,
    receiver: BoxReceiver,
) -> CameraStream:
    boxes, sure_score = camera.settings.boxes, detector.sure_score
    tracker = open_tracker(sure_score=sure_score)
    if boxes:
        sure_score = AbsentDetector.sure_score
        kind = "given" if boxes.tracks == "given" else "likelihood"
        tracker = open_tracker(kind, sure_score=sure_score, forget_s=boxes.forget_s)
    elif isinstance(detector, AbsentDetector):
        raise ConfigError(
            f"camera {camera.settings.id} has no boxes from outside, and no detector is open, since all cameras had "
            "boxes when this program started; restart it"
        )
    return CameraStream(
        camera.make_source(receiver),
        tracker=tracker,
        sure_score=sure_score,
        manifest=engine.manifest,
        settings=config.descriptors,
        looks=_look_settings(camera.settings),
        uses=uses,
    )


def _look_settings(camera: CameraSettings) -> LookSettings:
    return LookSettings(camera.max_fps, camera.masks, camera.zones, camera.only_zones)


@contextlib.contextmanager
def _open_keeper(config: Config) -> Iterator[SiteKeeper | None]:
    """What collects a site set inside the `with` block, if the configuration asks for it; says so aloud."""
    if config.collect is None:
        yield None
        return
    with SiteKeeper(config.collect) as keeper:
        logger.warning(
            "crops of people, personal data, are kept in %s for %g h, %d crops and %g MiB at most; there are %s now",
            config.collect.path,
            config.collect.expire_after_h,
            config.collect.max_crops,
            config.collect.max_mib,
            keeper.counts,
        )
        yield keeper


@contextlib.contextmanager
def _serve_health(config: Config, checks: HealthChecks, *, service: Service, publisher: Publisher) -> Iterator[None]:
    """Serve /healthz, /readyz, /metrics, /status and the page inside the `with` block, unless the port is 0."""
    if config.health.port == 0:
        yield
        return
    with CameraHistories(service) as histories:
        reporter = Reporter(checks, service=service, publisher=publisher, histories=histories)
        server = HealthServer(
            liveness=checks.liveness,
            readiness=checks.readiness,
            figures=checks.figures,
            distributions=checks.distributions,
            status=lambda: asdict(reporter.report()),
            host=config.health.host,
            port=config.health.port,
        )
        try:
            yield
        finally:
            server.close()


def _report_totals(service: Service, engine: Engine, *, path: Path | None) -> None:
    summary = service.summary()
    logger.info(
        "stopped: %d frames, %d tracks, %d descriptors, %d messages delivered, %d still in the spool",
        summary.frames,
        summary.tracks,
        summary.descriptors,
        summary.delivered,
        summary.waiting,
    )
    if path is None:
        return
    try:
        replace_file(path, json.dumps(asdict(summary) | {"engine": engine.backend}, indent=2) + "\n")
    except OSError as error:
        logger.error("cannot write the summary %s: %s", path, error.strerror)


if __name__ == "__main__":
    command()
