"""Messages about boxes come over a real broker to the cameras that wait for them."""

from collections.abc import Iterator

import pytest

from edge_runtime.boxes.box_receiver import BoxReceiver
from edge_runtime.link.broker import Connection
from tests.edge_runtime.conftest import MakeBroker
from tests.support.mqtt_broker import Broker
from tests.support.sample_messages import wait_for


@pytest.fixture
def receiver(broker: Broker) -> Iterator[BoxReceiver]:
    """One that is closed at the end."""
    receiver = BoxReceiver(broker.settings, client_id="gate-boxes")
    yield receiver
    receiver.close()
    assert not receiver._thread.is_alive()


def send(broker: Broker, *messages: tuple[str, bytes], is_retained: bool = False) -> None:
    """Publish, and wait until the broker has all."""
    connection = Connection(broker.settings, client_id="camera", session_s=0)
    for topic, payload in messages:
        connection.publish(topic, payload, qos=1, is_retained=is_retained)
    answered = 0
    while answered < len(messages):
        answered += len(connection.step(5.0)[0])
    connection.close()


def test_each_camera_gets_what_it_watches(broker: Broker, receiver: BoxReceiver) -> None:
    """Also one that comes later, over the same connection; one that has left gets nothing more."""
    door, till = list[bytes](), list[bytes]()
    take_door, take_till = door.append, till.append
    receiver.watch("frigate/events", take_door)
    wait_for(lambda: receiver.fault is None)
    receiver.watch("cams/+/scene", take_till)
    wait_for(lambda: broker.log.read_text().count("SUBSCRIBE from gate-boxes") == 2)
    send(broker, ("frigate/events", b"1"), ("cams/4/scene", b"2"), ("cams/4", b"3"), ("frigate/events", b"4"))
    wait_for(lambda: len(door) == 2)
    assert (door, till) == ([b"1", b"4"], [b"2"])
    receiver.forget(take_door)
    send(broker, ("frigate/events", b"5"), ("cams/4/scene", b"6"))
    wait_for(lambda: len(till) == 2)
    assert (door, till) == ([b"1", b"4"], [b"2", b"6"])


def test_what_the_broker_has_kept_is_old(broker: Broker, receiver: BoxReceiver) -> None:
    """A retained message is about a frame of long ago."""
    send(broker, ("boxes", b"old"), is_retained=True)
    got = list[bytes]()
    receiver.watch("boxes", got.append)
    wait_for(lambda: receiver.fault is None)
    send(broker, ("boxes", b"new"))
    wait_for(lambda: got)
    assert got == [b"new"]


def test_a_broker_that_was_away_is_asked_again(
    broker: Broker, receiver: BoxReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once that no boxes can arrive, and why; then they arrive again."""
    got = list[bytes]()
    receiver.watch("boxes", got.append)
    wait_for(lambda: receiver.fault is None)
    broker.stop()
    wait_for(lambda: receiver.fault is not None and "cannot be reached" in receiver.fault, timeout_s=30)
    broker.start()
    wait_for(lambda: receiver.fault is None, timeout_s=30)
    send(broker, ("boxes", b"back"))
    wait_for(lambda: got)
    told = [message for message in caplog.messages if message.startswith("no boxes can arrive")]
    assert 1 <= len(told) == len(set(told)) <= 2


def test_a_topic_that_may_not_be_read_is_named(make_broker: MakeBroker) -> None:
    """The broker refuses the connection, or brings nothing; a refusal is a sentence."""
    closed = make_broker(["allow_anonymous false"])
    receiver = BoxReceiver(closed.settings, client_id="gate-boxes")
    receiver.watch("boxes", print)
    wait_for(lambda: receiver.fault is not None and "refuses the connection: Not authorized" in receiver.fault)
    receiver.close()
