"""The daemon as an operator runs it, with a real clip or camera and a real broker, and with faults of each."""

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from benchmarks.measuring.small_disk import fill_disk, mount_small_disk
from edge_runtime.contract.manifest import write_manifest
from tests.conftest import ROOT
from tests.support.daemon_site import MakeSite, Site, ends, stop
from tests.support.mqtt_broker import Broker, Secrets
from tests.support.rtsp_camera import RtspCamera
from tests.support.sample_messages import wait_for
from tests.support.tiny_network import LENGTH, tiny_manifest


def test_people_of_a_clip_reach_the_listener(make_site: MakeSite, pedestrians: Path, broker: Broker) -> None:
    """Descriptors of several tracks arrive, SIGTERM ends the daemon within 5 s, nothing is left in the spool."""
    site = make_site(pedestrians, port=broker.port)
    listener, daemon = site.listener(broker), site.daemon()
    wait_for(lambda: site.figure("reid_tracks_total") >= 3, timeout_s=40)
    wait_for(lambda: site.figure("reid_descriptors_total") >= 10, timeout_s=20)
    health = f"http://127.0.0.1:{site.health_port}"
    assert urllib.request.urlopen(f"{health}/healthz").status == 200
    assert urllib.request.urlopen(f"{health}/readyz").status == 200
    stop(daemon)
    assert listener.wait(15) == 0
    done, heard = json.loads((site.folder / "daemon.json").read_text()), site.heard()
    assert heard["is_complete"]
    assert heard["descriptors"] == done["descriptors"] >= 10
    assert heard["tracks"] >= done["tracks"] >= 3
    assert (done["waiting"], heard["duplicates"], heard["refused"]) == (0, 0, 0)


def test_a_daemon_killed_in_mid_publish_loses_nothing(make_site: MakeSite, pedestrians: Path, broker: Broker) -> None:
    """Three SIGKILLs and restarts: the listener ends with every number of the node."""
    site = make_site(pedestrians, port=broker.port)
    site.settings["descriptors"]["every_s"] = 0
    listener = site.listener(broker)
    for _ in range(3):
        daemon = site.daemon()
        wait_for(lambda: site.figure("reid_messages_delivered_total") > 5, timeout_s=40)
        daemon.kill()
        daemon.communicate()
    daemon = site.daemon()
    wait_for(lambda: site.figure("reid_messages_delivered_total") > 5, timeout_s=40)
    stop(daemon)
    assert listener.wait(15) == 0
    heard = site.heard()
    assert heard["is_complete"]
    assert heard["nodes"][0]["missing"] == []
    assert heard["messages"] == heard["nodes"][0]["last"] + 1 > 20


def test_a_broker_that_is_away_for_ten_seconds_costs_nothing(
    make_site: MakeSite, pedestrians: Path, broker: Broker
) -> None:
    """The daemon goes on and stays ready; what was made meanwhile arrives later, marked historical."""
    site = make_site(pedestrians, port=broker.port)
    site.settings["descriptors"]["every_s"] = 0.3
    listener, daemon = site.listener(broker), site.daemon()
    wait_for(lambda: site.figure("reid_messages_delivered_total") > 5, timeout_s=40)
    broker.stop()
    before = site.figure("reid_messages_spooled_total")
    time.sleep(10)
    assert site.figure("reid_messages_spooled_total") > before
    assert urllib.request.urlopen(f"http://127.0.0.1:{site.health_port}/readyz").status == 200
    broker.start()
    # The pause before an attempt may have grown to half a minute, and the backlog goes out at 50 messages a second.
    wait_for(lambda: site.figure("reid_broker_connected") == 1, timeout_s=60)
    wait_for(lambda: site.figure("reid_messages_waiting") == 0, timeout_s=60)
    stop(daemon)
    assert listener.wait(45) == 0  # its own pause before an attempt may be as long
    heard = site.heard()
    assert heard["is_complete"]
    assert heard["historical"] > 0


def test_a_camera_that_comes_back_is_watched_again(make_site: MakeSite, broker: Broker) -> None:
    """Within 10 s after an RTSP server is back its frames flow; meanwhile the camera is not live."""
    camera = RtspCamera()
    camera.start()
    try:
        site = make_site(camera.uri, port=broker.port)
        daemon = site.daemon()
        wait_for(lambda: site.figure("reid_frames_total") > 5, timeout_s=30)
        camera.kill()
        wait_for(lambda: site.figure("reid_camera_live") == 0, timeout_s=15)
        seen = site.figure("reid_frames_total")
        camera.start()
        wait_for(lambda: site.figure("reid_frames_total") > seen + 5, timeout_s=10)
        log = stop(daemon)
    finally:
        camera.kill()
    assert "camera door lost" in log
    assert "camera door back after" in log


def test_a_wrong_password_is_reported_and_everything_is_spooled(
    make_site: MakeSite, pedestrians: Path, make_broker: Callable[[list[str]], Broker], secrets: Secrets, tmp_path: Path
) -> None:
    """With the right password in the file the next run delivers all of it."""
    broker = make_broker(["allow_anonymous false", f"password_file {secrets.password_file}"])
    site = make_site(pedestrians, port=broker.port)
    (site.folder / "password").write_text("wrong")
    site.settings["broker"] |= {"user_file": str(secrets.user), "password_file": "password"}
    daemon = site.daemon()
    wait_for(lambda: site.figure("reid_messages_waiting") > 5, timeout_s=40)
    log = stop(daemon)
    assert log.count("Not authorized") + log.count("Bad user name or password") == 1
    assert "stay in the spool" in log
    site.settings["broker"]["password_file"] = str(secrets.password)
    daemon = site.daemon()
    wait_for(lambda: site.figure("reid_messages_delivered_total") > 5, timeout_s=40)
    stop(daemon)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one MiB."""
    folder = tmp_path / "disk"
    with mount_small_disk(folder, size="1m") as is_mounted:
        if not is_mounted:
            pytest.skip("needs the right to mount a small disk")
        yield folder


def readiness(site: Site) -> tuple[int, str]:
    """What /readyz answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.health_port}/readyz", timeout=2) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.machine
def test_a_full_disk_blinds_nobody_and_heals(
    make_site: MakeSite, pedestrians: Path, small_disk: Path, broker: Broker
) -> None:
    """The daemon goes on from memory and delivers; /readyz and one line of the log name the disk until there is room.

    The broker is away for a while, so that messages need the disk.
    """
    site = make_site(pedestrians, port=broker.port)
    site.settings["spool"] = {"path": str(small_disk / "spool.sqlite"), "min_free_mib": 0}
    site.settings["descriptors"]["every_s"] = 0
    listener, daemon = site.listener(broker), site.daemon()
    wait_for(lambda: site.figure("reid_messages_delivered_total") > 5, timeout_s=40)
    hog = fill_disk(small_disk)
    broker.stop()
    wait_for(lambda: readiness(site)[0] == 503, timeout_s=20)
    assert "FAILED spool" in readiness(site)[1]
    assert "full" in readiness(site)[1]
    broker.start()
    delivered = site.figure("reid_messages_delivered_total")
    wait_for(lambda: site.figure("reid_messages_delivered_total") > delivered + 20, timeout_s=20)
    hog.unlink()
    wait_for(lambda: readiness(site)[0] == 200, timeout_s=20)
    log = stop(daemon)
    assert log.count("free some space") == log.count("can be written again") == 1
    assert listener.wait(15) == 0
    assert site.heard()["is_complete"]


def test_one_broken_camera_does_not_stop_the_others(make_site: MakeSite, pedestrians: Path, broker: Broker) -> None:
    """The missing ones are in the log, once, and in /readyz; the other one is used. Asked to stop it ends well."""
    site = make_site(pedestrians, port=broker.port)
    site.settings["cameras"] += [{"id": "usb", "source": "v4l2:///dev/video99"}, {"id": "gone", "source": "gone.avi"}]
    daemon = site.daemon()
    wait_for(lambda: site.figure("reid_frames_total") > 5, timeout_s=30)
    status, text = readiness(site)
    assert status == 200
    assert "1 of 3 live; usb reconnecting: expected a camera at /dev/video99, found no such device" in text
    assert "gone disabled: expected a video file at" in text
    log = stop(daemon)
    assert log.count("expected a camera at /dev/video99") == log.count("gone.avi, found nothing") == 1


def test_it_tells_systemd_that_it_is_ready_and_alive_and_stops(
    make_site: MakeSite, pedestrians: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `Type=notify` and `WatchdogSec` of the unit want; a third of the watchdog's time lies between two signs."""
    site = make_site(pedestrians, port=broker.port)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(site.folder / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(site.folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "600000")
        daemon = site.daemon()
        told = [systemd.recv(100).decode() for _ in range(4)]
        stop(daemon)
        while told[-1] != "STOPPING=1":
            told.append(systemd.recv(100).decode())
    assert told[0] == "READY=1"
    assert set(told[1:-1]) == {"WATCHDOG=1"}


def test_an_ended_file_ends_the_daemon_with_success(make_site: MakeSite, tmp_path: Path, broker: Broker) -> None:
    """A clip without people is played to its end."""
    writer = cv2.VideoWriter(str(tmp_path / "grey.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 160))
    for _ in range(10):
        writer.write(np.full((160, 160, 3), 128, np.uint8))
    writer.release()
    daemon = make_site(tmp_path / "grey.avi", port=broker.port).daemon()
    log, _ = daemon.communicate(timeout=30)
    assert daemon.returncode == 0, log
    assert "ended: 10 frames" in log


def test_an_engine_that_fails_while_running_is_a_fault(make_site: MakeSite, pedestrians: Path) -> None:
    """Exit code 1: it has worked before, so a restart may help; what was spooled stays."""
    site = make_site(pedestrians)
    site.settings["cpu_threads"] = 1  # with more of them the engine is tried when it opens
    path = site.folder / "tiny.onnx"
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "whole"
    model.graph.initializer.append(numpy_helper.from_array(np.full(LENGTH, 10**6), "outside"))
    model.graph.node.append(onnx.helper.make_node("Gather", ["whole", "outside"], ["descriptor"], axis=1))
    onnx.save(model, path)
    write_manifest(tiny_manifest(path), path)
    assert "failed on" in ends(site.daemon(), code=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_ends_it_with_exit_code_0(make_site: MakeSite, pedestrians: Path, number: int) -> None:
    """Also while it starts, and again while it ends."""
    site = make_site(pedestrians)
    (site.folder / "tiny.onnx.json").rename(site.folder / "manifest")
    os.mkfifo(site.folder / "tiny.onnx.json")
    daemon = site.daemon()
    with (site.folder / "tiny.onnx.json").open("w") as pipe:  # opens when the daemon has come to read the manifest
        daemon.send_signal(number)
        pipe.write((site.folder / "manifest").read_text())
    for _ in range(100):
        daemon.send_signal(number)
        time.sleep(0.01)
    log, _ = daemon.communicate(timeout=5)
    assert (daemon.returncode, "Traceback" in log) == (0, False), log


@pytest.mark.parametrize(("error", "code"), [("DeviceError", 1), ("EngineError", 2)])
def test_a_gpu_that_fails_at_the_start_is_tried_again(
    make_site: MakeSite, tmp_path: Path, error: str, code: int
) -> None:
    """Exit code 1: its driver may not be ready yet, or its memory full. A wrong engine is exit code 2."""
    site = make_site(tmp_path / "clip.avi")
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    daemon = (
        "import sys; from edge_runtime import daemon; from edge_runtime.contract import errors\n"
        f"def refuse(*_, **__): raise errors.{error}('the engine does not open')\n"
        "daemon.open_engine = refuse; sys.exit(daemon.main(['--config', 'site.yaml']))"
    )
    found = subprocess.run(
        [sys.executable, "-c", daemon],
        cwd=site.folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    assert found.returncode == code
    assert found.stderr.endswith("ERROR the engine does not open\n")


_WAITS_FOR_SIGNALS = """
import sys
from edge_runtime.upkeep.signals import take_signals
with take_signals() as signals:
    print("ready", flush=True)
    signals.reload.wait(20)
    sys.stderr.write("reload ")
    signals.stop.wait(20)
    sys.stderr.write("stop")
"""


def test_the_hangup_of_a_terminal_ends_a_daemon_that_runs_in_it() -> None:
    """SIGHUP from anybody else means reload, also there."""
    controller, terminal = os.openpty()

    def live_in_terminal() -> None:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        [sys.executable, "-c", _WAITS_FOR_SIGNALS],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=live_in_terminal,
    ) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "ready\n"
        daemon.send_signal(signal.SIGHUP)
        assert select.select([daemon.stderr], [], [], 10)[0]
        os.close(terminal)
        os.close(controller)
        _, told = daemon.communicate(timeout=10)
    assert (told, daemon.returncode) == ("reload stop", 0)


def test_cameras_are_exchanged_while_the_others_go_on(make_site: MakeSite, pedestrians: Path, broker: Broker) -> None:
    """SIGHUP adds, changes and removes cameras; the one that stays loses no frame count, track or number.

    A configuration with a fault changes nothing, and what needs a restart is named.
    """
    site = make_site(pedestrians, port=broker.port)
    stays, other = site.settings["cameras"][0], {"id": "till", "source": str(pedestrians), "max_fps": 2}
    site.settings["cameras"] = [stays, other]
    listener, daemon = site.listener(broker), site.daemon()

    def reload(**changes: object) -> None:
        path = site.folder / "site.yaml"
        path.write_text(yaml.safe_dump(site.settings | changes))
        daemon.send_signal(signal.SIGHUP)

    door, till, yard = (f'reid_frames_total{{camera="{id_}"}}' for id_ in ("door", "till", "yard"))
    wait_for(lambda: site.figure(till) > 0 and site.figure('reid_tracks_total{camera="door"}') > 0, timeout_s=40)
    seen = site.figure(door)
    reload(cameras=[])
    wait_for(lambda: site.figure("reid_configuration_taken") == 0)
    assert "refused: " in readiness(site)[1]
    wait_for(lambda: site.figure(till) > 1)
    reload(cameras=[stays, other | {"id": "yard"}], log={"format": "json"}, delivery={"backlog_per_s": 7})
    wait_for(lambda: site.figure(yard) > 0, timeout_s=20)
    wait_for(lambda: "till" not in readiness(site)[1])
    assert site.figure("reid_configuration_taken") == 1
    assert site.figure(door) > seen
    reload(cameras=[stays, other | {"id": "yard", "max_fps": 3}], log={"format": "json"})
    wait_for(lambda: site.figure('reid_looks_wanted_per_second{camera="yard"}') == 3, timeout_s=30)
    log = stop(daemon)
    assert listener.wait(15) == 0
    heard, done = site.heard(), json.loads((site.folder / "daemon.json").read_text())
    assert (heard["is_complete"], heard["duplicates"], heard["refused"], done["waiting"]) == (True, 0, 0, 0)
    assert heard["descriptors"] == done["descriptors"] > 0
    assert log.count("camera door live") == 1
    refused, taken, *rest = [line for line in log.splitlines() if "onfiguration" in line and "restart" not in line]
    assert "not taken over, all goes on as before: " in refused
    assert "expected at least one camera, found none" in refused
    assert json.loads(taken)["message"].startswith(
        "configuration read again: camera yard added; camera till removed; log json"
    )
    assert [json.loads(line)["message"] for line in rest] == ["configuration read again: camera yard changed"]
    assert log.count("a change of delivery needs a restart") == 1
