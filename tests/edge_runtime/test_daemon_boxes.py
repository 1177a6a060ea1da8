"""A daemon whose people are found by somebody else, with a real clip and a real broker."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_runtime.link.broker import Connection
from edge_runtime.link.messages import DescriptorMessage, TrackMessage
from edge_runtime.link.topics import parse_topic
from edge_runtime.link.wire_format import decode_message
from tests.edge_runtime.test_daemon import readiness
from tests.support import box_messages as sent
from tests.support.box_messages import encoded
from tests.support.daemon_site import MakeSite, stop
from tests.support.mqtt_broker import Broker
from tests.support.sample_messages import wait_for

WALKER, SITTER = (0.3, 0.2, 0.45, 0.7), (0.7, 0.3, 0.85, 0.9)
ENTRANCE = [[0, 0.5], [0.6, 0.5], [0.6, 1], [0, 1]]


@contextmanager
def sending(broker: Broker, make: Any, *, topic: str = "boxes") -> Iterator[None]:
    """Somebody who sends boxes five times a second, of half a second ago. make: of a time in nanoseconds."""
    is_over = threading.Event()

    def send() -> None:
        connection = Connection(broker.settings, client_id="outside", session_s=0)
        while not is_over.wait(0.2):
            connection.publish(topic, make(time.time_ns() - 500_000_000), qos=0)
            connection.step(0.0)
        connection.close()

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def plain_at(time_ns: int) -> bytes:
    """Two people, one of whom walks on the spot."""
    boxes = [{"box": list(WALKER), "score": 0.9, "track": "w"}, {"box": list(SITTER), "score": 0.8, "track": "s"}]
    return encoded(sent.plain(capture_ns=time_ns, boxes=boxes))


def collect(broker: Broker, count: int) -> list[DescriptorMessage | TrackMessage]:
    """Descriptors and tracks, until there are so many descriptors."""
    connection = Connection(broker.settings, client_id="archive", session_s=0)
    connection.subscribe(["reid/v1/#"])
    found: list[DescriptorMessage | TrackMessage] = []
    deadline_s = time.monotonic() + 60
    while sum(isinstance(message, DescriptorMessage) for message in found) < count:
        assert time.monotonic() < deadline_s, found
        for received in connection.step(0.2)[1]:
            leaf = parse_topic(received.topic).leaf
            if leaf in ("descriptor", "track"):
                message = decode_message(received.payload, leaf=leaf)
                assert isinstance(message, DescriptorMessage | TrackMessage)
                found.append(message)
    connection.close()
    return found


def test_boxes_arrive_and_descriptors_leave(make_site: MakeSite, pedestrians: Path, broker: Broker) -> None:
    """No detector runs. Each message has the box, track and zones of what was sent, and the frame's own time."""
    site = make_site(pedestrians, port=broker.port)
    [camera] = site.settings["cameras"]
    camera |= {"max_fps": 10, "zones": {"entrance": ENTRANCE}, "boxes": {"form": "plain", "topic": "boxes"}}
    daemon = site.daemon()
    with sending(broker, plain_at):
        found = collect(broker, 8)
        wait_for(lambda: site.figure('reid_zone_people{camera="door",zone="entrance"}') == 1)
        ready, text = readiness(site)
        assert site.figure("reid_boxes_matched_total") >= 8
    # Nobody sends any more: what happens then shows that tracks end by time.
    log = stop(daemon)
    assert ready == 200
    assert "ok boxes of door" in text
    assert "HOG" not in log
    assert {message.given_track for message in found} == {"w", "s"}
    assert len({message.track for message in found}) == 2
    for message in found:
        box, zones = (WALKER, ("entrance",)) if message.given_track == "w" else (SITTER, ())
        assert message.box == pytest.approx(box)
        assert message.zones == zones
        assert message.time_source == "file"


def test_bad_messages_stop_nothing_and_are_counted(make_site: MakeSite, pedestrians: Path, broker: Broker) -> None:
    """One sentence in the log and in /readyz; boxes of another time are left out; a reload changes all of it."""
    site = make_site(pedestrians, port=broker.port)
    [camera] = site.settings["cameras"]
    camera |= {"max_fps": 10, "boxes": {"form": "frigate", "topic": "boxes", "width_px": 1280, "height_px": 720}}
    daemon = site.daemon()
    with sending(broker, plain_at):
        wait_for(lambda: site.figure("reid_box_messages_faulty_total") >= 5, timeout_s=40)
    assert "a message of form frigate on boxes cannot be used: type: Field required" in readiness(site)[1]
    with sending(broker, lambda time_ns: encoded(sent.frigate(frame_time=time_ns / 1e9 - 60))):
        wait_for(
            lambda: site.figure('reid_boxes_unused_total{camera="door",reason="without_frame"}') >= 5, timeout_s=40
        )
    assert site.figure("reid_descriptors_total") == 0
    camera["boxes"] = {"form": "plain", "topic": "boxes"}
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    daemon.send_signal(1)
    with sending(broker, plain_at):
        wait_for(lambda: site.figure("reid_descriptors_total") >= 4, timeout_s=40)
    camera.pop("boxes")
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    daemon.send_signal(1)
    wait_for(lambda: "no detector is open" in readiness(site)[1], timeout_s=20)
    log = stop(daemon)
    assert log.count("cannot be used") == 1


def test_without_its_broker_a_camera_with_boxes_is_not_ready(
    make_site: MakeSite, pedestrians: Path, broker: Broker
) -> None:
    """Nobody can be found, and it says why; it is the broker of the boxes that counts, not the node's own."""
    site = make_site(pedestrians, port=broker.port)
    site.settings["cameras"][0]["boxes"] = {"form": "axis", "topic": "axis/1"}
    site.settings["boxes_broker"] = {"host": "127.0.0.1", "port": 1}
    daemon = site.daemon()
    wait_for(lambda: site.figure("reid_camera_live") and site.figure("reid_broker_connected"), timeout_s=60)
    ready, text = readiness(site)
    log = stop(daemon)
    assert ready == 503
    assert "FAILED boxes of door 0 messages, 0 boxes on a frame of ours; the broker 127.0.0.1:1 cannot" in text
    assert log.count("no boxes can arrive") == 1
