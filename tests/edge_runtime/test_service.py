"""The daemon's main loop with scripted cameras, a real spool, and an engine of a few lines."""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import service as service_module
from edge_runtime import stream as stream_module
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import EngineError, StreamError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.engine.engine import Engine
from edge_runtime.health.checks import HealthChecks
from edge_runtime.link import spool as spool_module
from edge_runtime.link.broker import BrokerSettings
from edge_runtime.link.messages import CameraStatus
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.wire_format import decode_json, decode_message
from edge_runtime.people.detector import Detection
from edge_runtime.service import Service
from edge_runtime.stream import CameraStream
from edge_runtime.streams import pace as pace_module
from tests.support.sample_messages import DESCRIPTOR, MANIFEST, open_spool, publish, wait_for
from tests.support.scripted import ScriptedDetector, ScriptedSource, scripted_stream

ANN, BOB = (40.0, 20.0, 100.0, 180.0), (300.0, 20.0, 360.0, 180.0)


class MeanEngine(Engine):
    """Describes a crop by the mean of its pixels, and counts its calls."""

    backend = "mean"

    def __init__(self) -> None:
        super().__init__(MANIFEST)
        self.batches: list[int] = []

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        means = crops.reshape(len(crops), -1).mean(axis=1)
        return np.stack([means, *[np.ones(len(crops))] * (DESCRIPTOR.length - 1)], axis=1).astype(np.float32)


@pytest.fixture
def publisher(tmp_path: Path) -> Iterator[Publisher]:
    """A publisher without a broker: messages stay in the spool and among the retained ones."""
    with open_spool(tmp_path) as spool:
        settings = LinkSettings(BrokerSettings("127.0.0.1", 1), site="lab", node="cam")
        yield Publisher(settings, spool, node_card={}, manifests=[MANIFEST])


def make_service(
    publisher: Publisher,
    streams: list[CameraStream],
    engine: Engine | None = None,
    *,
    detectors: Sequence[ScriptedDetector] | None = None,
) -> Service:
    """A service that has not run yet; with two workers if not told otherwise."""
    detectors = detectors or [ScriptedDetector(), ScriptedDetector()]
    return Service(streams, detectors=detectors, engine=engine or MeanEngine(), publisher=publisher, started_s=0.0)


def run(service: Service, *, until: Callable[[], object], before_step: Callable[[], None] = lambda: None) -> None:
    """Run a service until something holds, then ask it to stop."""
    stop, faults = threading.Event(), []

    def work() -> None:
        try:
            service.run(stop, before_step=before_step)
        except StreamError as error:
            faults.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait_for(until)
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    if faults:
        raise faults[0]


def statuses(publisher: Publisher) -> dict[str, CameraStatus]:
    """The status of each camera that waits to be sent to the broker."""
    told = {}
    while entry := publisher._retained.take():
        topic, payload, _ = entry
        if topic.endswith("/status"):
            told[topic.split("/")[-2]] = decode_json(payload, CameraStatus)
    return told


def test_looks_that_have_finished_share_one_batch_and_keep_their_people(publisher: Publisher) -> None:
    """Three people of two cameras cost one call; each message goes under its own camera's topic."""
    is_first_described, second_looks = threading.Event(), threading.Semaphore(0)

    class WaitingEngine(MeanEngine):
        def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
            if not self.batches:  # the looks at the other two cameras finish meanwhile
                is_first_described.set()
                assert second_looks.acquire(timeout=10)
                assert second_looks.acquire(timeout=10)
                time.sleep(0.1)
            return super()._run(crops)

    class WaitingDetector(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            found = super().detect(frame)
            if BOB in [detection.box for detection in found]:
                assert is_first_described.wait(10)
                second_looks.release()
            return found

    engine = WaitingEngine()
    people = {"gate": [ANN], "door": [BOB], "hall": [ANN, BOB]}
    streams = [scripted_stream(ScriptedSource(id_, boxes), every_s=100) for id_, boxes in people.items()]
    service = make_service(publisher, streams, engine, detectors=[WaitingDetector() for _ in streams])
    run(service, until=lambda: service.summary().frames >= 6)
    assert engine.batches == [1, 3]
    rows = publisher.spool.pending(first=0, stop=100, limit=100)
    cameras = [row.topic.split("/")[4] for row in rows if "descriptor" in row.topic]
    assert sorted(cameras) == ["door", "gate", "hall", "hall"]
    ends = [decode_message(row.payload, leaf="track") for row in rows if row.topic.endswith("/track")]
    assert [message.event for message in ends if hasattr(message, "event")].count("end") == 4


def test_a_camera_whose_frames_take_long_does_not_delay_the_others(publisher: Publisher) -> None:
    """Nobody waits for it: one worker is busy with it while the other one looks at the other cameras."""
    go_on = threading.Event()

    class Slow(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            found = super().detect(frame)
            if found:
                go_on.wait(20)
            return found

    heavy, light = ScriptedSource("heavy", [ANN]), ScriptedSource("light")
    streams = [scripted_stream(heavy), scripted_stream(light)]
    service = make_service(publisher, streams, detectors=[Slow(), Slow()])

    def light_has_gone_on() -> bool:
        if streams[1].counts.frames < 20:
            return False
        go_on.set()
        return True

    run(service, until=light_has_gone_on)
    assert heavy.frames >= 1


def test_what_a_worker_raises_ends_the_run(publisher: Publisher) -> None:
    """A detector that fails is as much a fault as an engine that fails."""

    class Failing(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            raise EngineError("the detector is broken")

    service = make_service(publisher, [scripted_stream(ScriptedSource())], detectors=[Failing()])
    with pytest.raises(EngineError, match="the detector is broken"):
        service.run(threading.Event())


def test_a_camera_that_fails_between_two_frames_is_a_fault(publisher: Publisher) -> None:
    """Its tracks are ended and the others go on, though reading never failed; asked to stop, the run ends well."""
    dead, alive = ScriptedSource("door", [ANN]), ScriptedSource("hall")
    rare = scripted_stream(dead, max_fps=0.001)
    service = make_service(publisher, [rare, scripted_stream(alive)])

    def both_have_gone_on() -> bool:
        if dead.frames >= 1 and rare.counts.descriptors >= 1 and dead.told == "live":
            dead.told = "disabled"
            alive.frames = 0
        return dead.told == "disabled" and alive.frames > 20

    run(service, until=both_have_gone_on)
    assert statuses(publisher)["door"] == CameraStatus(state="disabled", why="unplugged")
    last = decode_message(publisher.spool.pending(first=2, stop=100, limit=100)[-1].payload, leaf="track")
    assert last.model_dump()["event"] == "end"


def test_a_camera_that_never_existed_stays_disabled(publisher: Publisher, tmp_path: Path) -> None:
    """Its status is never `reconnecting`, since nothing tries to connect."""
    gone = CameraSource(str(tmp_path / "gone.avi"), camera_id="gone")
    alive = ScriptedSource("hall")
    service = make_service(publisher, [scripted_stream(source) for source in (gone, alive)])
    run(service, until=lambda: alive.frames > 20)
    told = statuses(publisher)
    assert told["gone"].state == "disabled"
    assert "found nothing" in told["gone"].why
    assert told["hall"].state == "live"
    assert service.live_cameras() == 1


def test_people_are_ended_once_while_their_camera_is_away(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be away for days, and an open track means that a person is in front of the camera."""
    monkeypatch.setattr(service_module, "_STATUS_S", 0.05)
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source)
    service = make_service(publisher, [stream])

    def ends() -> int:
        rows = publisher.spool.pending(first=0, stop=1 << 62, limit=1 << 30)
        tracks = [decode_message(row.payload, leaf="track") for row in rows if row.topic.endswith("/track")]
        return [message.model_dump()["event"] for message in tracks].count("end")

    def camera_is_lost() -> bool:
        if stream.counts.descriptors >= 2 and source.told == "live":
            source.told = "reconnecting"
            time.sleep(0.3)
            assert ends() == 0, "it may come back at once"
            monkeypatch.setattr(stream_module, "_LOST_S", 0.2)
        return ends() > 0

    run(service, until=camera_is_lost)
    assert ends() == 2


def test_the_run_is_over_when_every_file_has_ended(publisher: Publisher) -> None:
    """`run` then returns without an error."""
    source = ScriptedSource()
    source.told = "ended"
    make_service(publisher, [scripted_stream(source)]).run(threading.Event())
    assert statuses(publisher)["door"].state == "disabled"


def test_a_run_that_ends_by_itself_with_a_broken_file_is_a_fault(publisher: Publisher, tmp_path: Path) -> None:
    """Nobody has asked it to stop, so whoever started it must learn of the fault."""
    gone, ended = CameraSource(str(tmp_path / "gone.avi"), camera_id="gone"), ScriptedSource("hall")
    ended.told = "ended"
    service = make_service(publisher, [scripted_stream(source) for source in (gone, ended)])
    with pytest.raises(StreamError, match=r"^camera gone: expected a video file at .*gone.avi, found nothing"):
        service.run(threading.Event())


def test_asked_to_stop_it_takes_no_further_frame(publisher: Publisher) -> None:
    """Finding people in large pictures of many cameras takes long."""
    stop = threading.Event()

    class Stopping(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            stop.set()
            return []

    first, second = ScriptedSource("a"), ScriptedSource("b")
    make_service(publisher, [scripted_stream(first), scripted_stream(second)], detectors=[Stopping()]).run(stop)
    assert first.frames + second.frames == 1


def test_a_detector_that_hangs_is_a_failed_liveness(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The health server answers from its own thread; the process should then be restarted."""
    monkeypatch.setattr(service_module, "_STUCK_S", 0.2)
    go_on = threading.Event()

    class Hanging(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            go_on.wait(20)
            return []

    service = make_service(publisher, [scripted_stream(ScriptedSource())], detectors=[Hanging()])
    checks = HealthChecks(service, publisher)
    assert [check.ok for check in checks.liveness()] == [True]

    def is_told() -> bool:
        if all(check.ok for check in checks.liveness()):
            return False
        go_on.set()
        return True

    run(service, until=is_told)


def test_an_engine_that_fails_ends_the_run(publisher: Publisher) -> None:
    """What was spooled before is kept."""

    class Failing(MeanEngine):
        def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.batches:
                raise EngineError("out of memory")
            return super()._run(crops)

    service = make_service(publisher, [scripted_stream(ScriptedSource(people=[ANN]))], Failing())
    with pytest.raises(EngineError, match="out of memory"):
        service.run(threading.Event())
    assert publisher.spool.count() == 2


def test_messages_age_while_nobody_is_seen_and_the_broker_is_away(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old descriptors are erased after their time even if no new message and no connection triggers it."""
    monkeypatch.setattr(spool_module, "_TIDY_S", 0.05)
    publish(publisher, 3)
    publisher.spool.store.max_age_s = 0.0
    service = make_service(publisher, [scripted_stream(ScriptedSource())])
    run(service, until=lambda: publisher.spool.count() == 0)


def test_a_node_is_ready_while_a_camera_is_live_though_the_broker_is_away(publisher: Publisher) -> None:
    """Messages are kept meanwhile; without a camera there is nothing to keep."""
    source = ScriptedSource(people=[ANN])
    service = make_service(publisher, [scripted_stream(source)])
    run(service, until=lambda: service.summary().descriptors >= 2)
    checks = HealthChecks(service, publisher)
    assert {check.name: check.ok for check in checks.readiness()} == {
        "cameras": True,
        "link": True,
        "clock": True,
        "spool": True,
        "configuration": True,
        "looks at door": True,
    }
    figures = {figure.name: figure.value for figure in checks.figures()}
    summary = service.summary()
    assert figures["reid_descriptors_total"] == summary.descriptors >= 2
    assert figures["reid_messages_waiting"] == summary.waiting == publisher.spool.count()
    source.told = "stalled"
    assert {check.name: check.ok for check in checks.readiness()} == {
        "cameras": False,
        "link": True,
        "clock": True,
        "spool": True,
        "configuration": True,
        "looks at door": True,
    }


def test_a_node_that_is_too_slow_says_so_and_is_not_ready(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In /readyz, the figures, the camera's status and once in the log, each way."""
    monkeypatch.setattr(service_module, "_STATUS_S", 0.05)
    monkeypatch.setattr(pace_module, "_FIRST_VERDICT_S", 0.5)
    monkeypatch.setattr(pace_module, "_WINDOW_S", 2.0)
    caplog.set_level(logging.INFO)
    pause_s = [1.0]

    class Slow(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            time.sleep(pause_s[0])
            return super().detect(frame)

    service = make_service(publisher, [scripted_stream(ScriptedSource(), max_fps=10)], detectors=[Slow()])
    checks = HealthChecks(service, publisher)
    told: list[str] = []

    def is_too_slow_and_then_well() -> bool:
        [check] = [check for check in checks.readiness() if check.name == "looks at door"]
        if not check.ok and not told:
            told.append(check.detail)
            figures = {figure.name: figure.value for figure in checks.figures()}
            assert figures["reid_looks_wanted_per_second"] == 10
            assert figures["reid_looks_per_second"] < 2
            wait_for(lambda: "door" in service._slowness)
            pause_s[0] = 0.0
        return bool(told) and check.ok and not service._slowness

    run(service, until=is_too_slow_and_then_well)
    assert re.fullmatch(r"too slow: [01]\.\d of 10 looks/s; use a detector model, fewer cameras or max_fps 2", told[0])
    first, *between, last = [message for message in caplog.messages if message.startswith("camera door")]
    assert first.startswith("camera door too slow: ")
    assert last.startswith("camera door gets looks enough again: ")
    assert len(between) <= 1  # still fewer than wanted, but enough to follow people


def test_a_camera_that_leaves_ends_its_tracks_and_the_others_are_not_touched(publisher: Publisher) -> None:
    """Its people end, its status says why, and the totals keep what it has seen; the other one's track goes on."""
    leaving, staying, coming = ScriptedSource("a", [ANN]), ScriptedSource("b", [BOB]), ScriptedSource("c", [ANN])
    streams = [scripted_stream(source, every_s=100) for source in (leaving, staying)]
    service = make_service(publisher, streams)
    asked: list[int] = []

    def change() -> None:
        if not asked and all(stream.counts.tracks for stream in streams):
            asked.append(staying.frames)
            service.exchange(leaving=["a"], coming=[scripted_stream(coming, every_s=100)])

    run(service, until=lambda: coming.frames > 5 and staying.frames > asked[0] + 5, before_step=change)
    assert [stream.camera_id for stream in service.streams] == ["b", "c"]
    assert streams[0].counts.frames == leaving.frames  # the look that was under way when it left counts, too
    assert service.summary().frames == leaving.frames + sum(stream.counts.frames for stream in service.streams)
    assert service.summary().tracks == 3
    assert statuses(publisher)["a"] == CameraStatus(state="disabled", why="taken out of the configuration")
    rows = publisher.spool.pending(first=0, stop=100, limit=100)
    told = [(row.topic.split("/")[4], decode_message(row.payload, leaf="track").model_dump()["event"]) for row in rows
            if row.topic.endswith("/track")]  # fmt: skip
    assert told.index(("a", "end")) < told.index(("c", "start"))
    assert next(event for camera, event in told if camera == "b") == "start"
    assert [event for camera, event in told if camera == "b"].count("end") == 1


def test_a_camera_that_changes_starts_when_its_old_self_is_closed(publisher: Publisher) -> None:
    """A USB camera can be opened once only."""
    is_closed, may_close = threading.Event(), threading.Event()

    class SlowToClose(ScriptedSource):
        def close(self) -> None:
            assert may_close.wait(10)
            is_closed.set()

    class Counting(ScriptedSource):
        def start(self) -> None:
            assert is_closed.is_set()

    old, new, other = SlowToClose("a"), Counting("a", [ANN]), ScriptedSource("b")
    service = make_service(publisher, [scripted_stream(old), scripted_stream(other)])
    asked: list[int] = []

    def change() -> None:
        if not asked and old.frames:
            asked.append(other.frames)
            service.exchange(leaving=["a"], coming=[scripted_stream(new)])
        elif asked and other.frames > asked[0] + 5:  # it does not wait
            may_close.set()

    run(service, until=lambda: new.frames > 5, before_step=change)
    assert [stream.source for stream in service.streams] == [other, new]


def test_people_in_a_mask_are_neither_followed_nor_described(publisher: Publisher) -> None:
    """The other one in the same picture is."""
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source, masks=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
    run(make_service(publisher, [stream]), until=lambda: stream.counts.frames > 10)
    assert stream.counts.tracks == 1
    rows = publisher.spool.pending(first=0, stop=100, limit=100)
    boxes = [decode_message(row.payload, leaf=row.topic.split("/")[5]).model_dump()["box"] for row in rows]
    assert boxes
    assert all(left > 0.7 for left, *_ in boxes)
