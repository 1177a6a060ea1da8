"""What a running service tells of its health."""

import logging
import re
import threading
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import service as service_module
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.health.checks import HealthChecks
from edge_runtime.link.publisher import Publisher
from edge_runtime.people.detector import Detection
from edge_runtime.streams import pace as pace_module
from tests.support.running_service import ANN, make_service, run_service
from tests.support.sample_messages import wait_for
from tests.support.scripted import ScriptedDetector, ScriptedSource, scripted_stream


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

    run_service(service, until=is_told)


def test_a_node_is_ready_while_a_camera_is_live_though_the_broker_is_away(publisher: Publisher) -> None:
    """Messages are kept meanwhile; without a camera there is nothing to keep."""
    source = ScriptedSource(people=[ANN])
    service = make_service(publisher, [scripted_stream(source)])
    run_service(service, until=lambda: service.summary().descriptors >= 2)
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

    run_service(service, until=is_too_slow_and_then_well)
    assert re.fullmatch(r"too slow: [01]\.\d of 10 looks/s; use a detector model, fewer cameras or max_fps 2", told[0])
    first, *between, last = [message for message in caplog.messages if message.startswith("camera door")]
    assert first.startswith("camera door too slow: ")
    assert last.startswith("camera door gets looks enough again: ")
    assert len(between) <= 1  # still fewer than wanted, but enough to follow people
