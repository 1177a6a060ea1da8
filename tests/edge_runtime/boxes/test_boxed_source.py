"""A clip whose frames come with the boxes that somebody sends over a real broker, in each form."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_runtime.boxes.box_receiver import BoxReceiver
from edge_runtime.boxes.boxed_source import BoxedSource, BoxSupply
from edge_runtime.boxes.catalog import FORMS, BoxSettings
from edge_runtime.boxes.matching import BoxedFrame
from edge_runtime.contract.errors import StreamError
from edge_runtime.health.box_checks import box_figures, check_boxes
from edge_runtime.link.broker import Connection
from tests.support import box_messages as sent
from tests.support.box_messages import NOON, SHARES, encoded
from tests.support.mqtt_broker import Broker
from tests.support.sample_messages import wait_for


def text_of(time_ns: int) -> str:
    """As messages have it, to the microsecond."""
    return datetime.fromtimestamp(time_ns // 1000 / 1e6, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


MAKE: dict[str, Callable[[int], bytes]] = {
    "plain": lambda time_ns: encoded(sent.plain(capture_ns=time_ns)),
    "frigate": lambda time_ns: encoded(sent.frigate(frame_time=time_ns / 1e9)),
    "deepstream": lambda time_ns: encoded(sent.deepstream_minimal() | {"@timestamp": f"{text_of(time_ns)}Z"}),
    "onvif": lambda time_ns: sent.onvif_xml().replace(NOON.encode(), text_of(time_ns).encode()),
    "axis": lambda time_ns: encoded(sent.axis(timestamp=f"{text_of(time_ns)}Z")),
}
"""Form -> one person at a time."""


@pytest.fixture
def receiver(broker: Broker) -> Iterator[BoxReceiver]:
    """One that is closed at the end."""
    receiver = BoxReceiver(broker.settings, client_id="gate-boxes")
    yield receiver
    receiver.close()


@pytest.fixture
def outside(broker: Broker) -> Iterator[Connection]:
    """Somebody who sends boxes."""
    connection = Connection(broker.settings, client_id="outside", session_s=0)
    yield connection
    connection.close()


def open_source(clip: Path, receiver: BoxReceiver, form: str = "plain") -> BoxedSource:
    """Camera `door`, which plays the clip."""
    size = {"width_px": 1280, "height_px": 720} if FORMS[form].is_in_pixels else {}
    supply = BoxSupply(BoxSettings(form, f"boxes/{form}", **size), receiver)
    return BoxedSource(str(clip), camera_id="door", supply=supply, max_fps=10.0)


@pytest.mark.parametrize("form", FORMS)
def test_a_frame_comes_with_the_boxes_of_its_time(
    pedestrians: Path, receiver: BoxReceiver, outside: Connection, form: str
) -> None:
    """Boxes of half a second ago; the frame is the one of that time, and its person is where the message says."""
    with open_source(pedestrians, receiver, form) as source:
        wait_for(lambda: receiver.fault is None and source.status().frames > 10, timeout_s=30)
        wait_for(lambda: source._matcher._frames and _age_s(source._matcher._frames[0].capture_ns) > 0.6)
        time_ns = time.time_ns() - 500_000_000
        outside.publish(f"boxes/{form}", MAKE[form](time_ns), qos=0)
        outside.step(0.1)
        frame = first_with_people(source)
        assert abs(frame.capture_ns - time_ns) <= 100_000_000
        [person] = frame.people
        left, top, right, bottom = person.box
        width, height = frame.pixels.width_px, frame.pixels.height_px
        assert (left / width, top / height, right / width, bottom / height) == pytest.approx(SHARES)
        [check] = check_boxes([source])
        assert check.ok
        assert check.detail == "1 messages, 1 boxes on a frame of ours"
        assert {figure.value for figure in box_figures(source) if "unused" in figure.name} == {0}


def first_with_people(source: BoxedSource) -> BoxedFrame:
    """What comes before it may be frames of a silence."""
    for _ in range(20):
        frame = source.read(20.0)
        assert isinstance(frame, BoxedFrame)
        if frame.people:
            return frame
    raise AssertionError("no frame with people")


def _age_s(capture_ns: int) -> float:
    return (time.time_ns() - capture_ns) / 1e9


def test_without_boxes_frames_come_seldom_and_without_people(pedestrians: Path, receiver: BoxReceiver) -> None:
    """So that tracks end by time; the rate that is told is that of these."""
    with open_source(pedestrians, receiver) as source:
        shown = [source.read(20.0) for _ in range(2)]
        assert [isinstance(frame, BoxedFrame) and frame.people for frame in shown] == [(), ()]
        assert shown[0] is not None
        assert shown[1] is not None
        assert shown[1].index > shown[0].index + 5
        assert 0 < source.status().frames_per_s <= 0.2
    assert receiver._watches == []


def test_a_source_that_is_disabled_says_so(tmp_path: Path, receiver: BoxReceiver) -> None:
    """As any other camera; nobody watches for its boxes."""
    source = open_source(tmp_path / "none.avi", receiver)
    with pytest.raises(StreamError, match="found nothing"):
        source.start()
    with pytest.raises(StreamError, match="found nothing"):
        source.read(5.0)
    source.close()
    assert receiver._watches == []


def test_boxes_that_find_no_frames_are_said_once(
    pedestrians: Path, receiver: BoxReceiver, outside: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """With what may be the cause."""
    with open_source(pedestrians, receiver) as source:
        wait_for(lambda: receiver.fault is None and source.status().frames > 10, timeout_s=30)
        for number in range(40):
            outside.publish("boxes/plain", MAKE["plain"](time.time_ns() - 60 * 10**9 + number), qos=0)
            outside.step(0.0)
        wait_for(lambda: source.waiting_since_s() is None and source.facts().matches.without_frame == 40)
    [told] = [message for message in caplog.messages if "had no frame within 100 ms of their time" in message]
    assert "offset_ms" in told
