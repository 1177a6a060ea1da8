"""Messages that the owner of a connection acknowledges."""

import time

import pytest

from edge_runtime.link.broker import Connection, Received
from tests.support.mqtt_broker import Broker


def read(connection: Connection, *, count: int) -> list[Received]:
    """Up to so many messages; fewer if no more arrive within two seconds."""
    received: list[Received] = []
    quiet_since = time.monotonic()
    while len(received) < count and time.monotonic() - quiet_since < 2.0:
        if some := connection.step(0.2)[1]:
            received += some
            quiet_since = time.monotonic()
    return received


@pytest.mark.parametrize("acknowledged", [0, 3])
def test_what_is_not_acknowledged_comes_again(broker: Broker, acknowledged: int) -> None:
    """The broker sends no more than was allowed, and after a lost connection all that was not acknowledged."""
    connection = Connection(broker.settings, client_id="archive", session_s=60, unacknowledged=4)
    connection.subscribe(["reid/v1/+/+/+/track"])
    sender = Connection(broker.settings, client_id="sender", session_s=0)
    for number in range(10):
        sender.publish("reid/v1/lab/cam/door/track", str(number).encode(), qos=1)
        sender.step(1.0)
    first = read(connection, count=10)
    assert [one.payload for one in first] == [b"0", b"1", b"2", b"3"]
    for one in first[:acknowledged]:
        connection.acknowledge(one)
    for _ in range(5):
        connection.step(0.2)
    connection.drop()
    connection = Connection(broker.settings, client_id="archive", session_s=60, unacknowledged=100)
    again = {one.payload for one in read(connection, count=10 - acknowledged)}
    assert again == {str(number).encode() for number in range(acknowledged, 10)}
    connection.close()
    sender.close()
