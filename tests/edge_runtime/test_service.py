"""The daemon's main loop with scripted cameras, a real spool, and an engine of a few lines."""

import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.link import spool as spool_module
from edge_runtime.link.publisher import Publisher
from edge_runtime.link.wire_format import decode_message
from edge_runtime.people.detector import Detection
from tests.support.running_service import ANN, BOB, MeanEngine, make_service, run_service
from tests.support.sample_messages import publish
from tests.support.scripted import ScriptedDetector, ScriptedSource, scripted_stream


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
    run_service(service, until=lambda: service.summary().frames >= 6)
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

    run_service(service, until=light_has_gone_on)
    assert heavy.frames >= 1


def test_what_a_worker_raises_ends_the_run(publisher: Publisher) -> None:
    """A detector that fails is as much a fault as an engine that fails."""

    class Failing(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            raise EngineError("the detector is broken")

    service = make_service(publisher, [scripted_stream(ScriptedSource())], detectors=[Failing()])
    with pytest.raises(EngineError, match="the detector is broken"):
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
    run_service(service, until=lambda: publisher.spool.count() == 0)


def test_people_in_a_mask_are_neither_followed_nor_described(publisher: Publisher) -> None:
    """The other one in the same picture is."""
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source, masks=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))
    run_service(make_service(publisher, [stream]), until=lambda: stream.counts.frames > 10)
    assert stream.counts.tracks == 1
    rows = publisher.spool.pending(first=0, stop=100, limit=100)
    boxes = [decode_message(row.payload, leaf=row.topic.split("/")[5]).model_dump()["box"] for row in rows]
    assert boxes
    assert all(left > 0.7 for left, *_ in boxes)
