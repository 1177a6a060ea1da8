"""A service that runs in a thread, with an engine of a few lines and without a broker."""

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import StreamError
from edge_runtime.engine.engine import Engine
from edge_runtime.link.messages import CameraStatus
from edge_runtime.link.publisher import Publisher
from edge_runtime.link.wire_format import decode_json
from edge_runtime.service import Service
from edge_runtime.streams.stream import CameraStream
from tests.support.sample_messages import DESCRIPTOR, MANIFEST, wait_for
from tests.support.scripted import ScriptedDetector

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


def run_service(
    service: Service, *, until: Callable[[], object], before_step: Callable[[], None] = lambda: None
) -> None:
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
