"""Workers that look at frames: order, faults and the end."""

import os
import signal
import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.absent_detector import AbsentDetector
from edge_runtime.people.detector import Detection
from edge_runtime.streams.looking import FinishedLook, LookingPool
from tests.support.scripted import ScriptedDetector, ScriptedSource

ANN = (40.0, 20.0, 100.0, 180.0)


class Stopped(ScriptedDetector):
    """Waits in each frame until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`."""
        self.go_on.wait(20)
        return super().detect(frame)


def collect(pool: LookingPool, count: int) -> list[FinishedLook]:
    """Take so many finished looks."""
    finished: list[FinishedLook] = []
    while len(finished) < count:
        taken = pool.collect(10.0)
        assert taken
        finished += taken
    return finished


def test_frames_of_a_camera_come_in_order() -> None:
    """One at a time, while other cameras have theirs."""
    sources = [ScriptedSource("door", [ANN]), ScriptedSource("hall")]
    indices: dict[str, list[int]] = {"door": [], "hall": []}
    with LookingPool([ScriptedDetector(), ScriptedDetector()]) as pool:
        for _ in range(20):
            for source in sources:
                pool.begin(source)
            for one in collect(pool, 2):
                assert one.look is not None
                indices[one.camera_id].append(one.look.frame.index)
                assert len(one.look.detections) == (one.camera_id == "door")
    assert indices == {"door": list(range(1, 21)), "hall": list(range(1, 21))}


def test_a_busy_worker_is_known_and_timed() -> None:
    """So that no camera has two frames in work, and a detector that hangs is noticed."""
    detector = Stopped()
    with LookingPool([detector]) as pool:
        assert pool.has_free_worker()
        pool.begin(ScriptedSource("door"))
        time.sleep(0.05)
        assert not pool.has_free_worker()
        assert pool.is_looking_at("door")
        assert pool.longest_s() >= 0.05
        assert pool.collect(0.01) == []
        detector.go_on.set()
        [one] = collect(pool, 1)
        assert one.look is not None
        assert one.look.busy_s >= 0.05
        assert (pool.has_free_worker(), pool.longest_s()) == (True, 0.0)


def test_a_camera_without_a_frame_is_looked_at_in_vain() -> None:
    """It was lost or disabled since its frame arrived: its status has the reason."""
    lost, disabled = ScriptedSource("lost"), ScriptedSource("disabled")
    lost.told, disabled.told = "reconnecting", "disabled"
    with LookingPool([ScriptedDetector()]) as pool:
        for source in (lost, disabled):
            pool.begin(source)
        finished = collect(pool, 2)
    assert finished == [FinishedLook("lost", None), FinishedLook("disabled", None)]


def test_what_a_detector_raises_comes_to_the_caller() -> None:
    """The same exception, in the thread that collects."""

    class Failing(ScriptedDetector):
        def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
            raise EngineError("the detector is broken")

    with LookingPool([Failing()]) as pool:
        pool.begin(ScriptedSource())
        with pytest.raises(EngineError, match="the detector is broken"):
            collect(pool, 1)


def test_a_worker_that_is_busy_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for a while only, since a look may take long."""
    monkeypatch.setattr("edge_runtime.streams.looking._CLOSE_S", 0.1)
    detector = Stopped()
    with LookingPool([detector]) as pool:
        pool.begin(ScriptedSource())
        time.sleep(0.05)
        began_s = time.monotonic()
    assert 0.05 < time.monotonic() - began_s < 10
    detector.go_on.set()


class Batching(Stopped):
    """Looks at up to three frames in one go."""

    frames_at_once = 3

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`."""
        self.batches.append(1)
        return super().detect(frame)

    def detect_batch(self, frames: Sequence[Nv12 | NDArray[np.uint8]]) -> list[list[Detection]]:
        """See `BatchDetector.detect_batch`."""
        self.batches.append(len(frames))
        return [ScriptedDetector.detect(self, frame) for frame in frames]


def test_a_detector_that_gains_by_it_gets_all_waiting_frames_in_one_go() -> None:
    """Of all cameras, up to as many as it takes; each camera gets its own people, and its share of the time."""
    detector = Batching()
    sources = [ScriptedSource(str(number), [ANN] * number) for number in range(5)]
    with LookingPool([detector]) as pool:
        pool.begin(sources[0])
        while not detector.batches:
            time.sleep(0.001)
        for source in sources[1:3]:
            assert pool.has_free_worker()
            pool.begin(source)
        assert not pool.has_free_worker()
        for source in sources[3:]:
            pool.begin(source)
        detector.go_on.set()
        finished = collect(pool, 5)
    assert detector.batches == [1, 3, 1]
    assert {one.camera_id: len(one.look.detections) for one in finished if one.look} == {
        str(number): number for number in range(5)
    }


def test_a_camera_without_a_frame_leaves_the_others_of_its_batch_alone() -> None:
    """Two frames are looked at in one go, though three cameras were asked."""
    detector = Batching()
    sources = [ScriptedSource(name) for name in ("first", "door", "lost", "hall")]
    sources[2].told = "disabled"
    with LookingPool([detector]) as pool:
        pool.begin(sources[0])
        while not detector.batches:
            time.sleep(0.001)
        for source in sources[1:]:
            pool.begin(source)
        detector.go_on.set()
        finished = collect(pool, 4)
    assert detector.batches == [1, 2]
    assert {one.camera_id for one in finished if one.look is None} == {"lost"}


def test_a_signal_that_is_handled_while_the_wait_ends_does_not_make_it_endless() -> None:
    """SIGTERM comes in such a moment once in twenty stops; the handler here takes longer than what is left."""
    before = signal.signal(signal.SIGUSR1, lambda *_: time.sleep(0.1))
    raised = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        raised.start()
        assert LookingPool([AbsentDetector()]).collect(0.1) == []
    finally:
        raised.join()
        signal.signal(signal.SIGUSR1, before)
