"""Two machines of one name, and what only looks like it."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_runtime.link.broker import Connection
from edge_runtime.link.publisher import LinkSettings, Publisher
from tests.edge_runtime.link.conftest import MakePublisher
from tests.support.mqtt_broker import Broker
from tests.support.sample_messages import MANIFEST, open_spool, wait_for


def test_a_second_client_of_our_name_costs_a_reconnection_only(
    broker: Broker, make_publisher: MakePublisher, caplog: pytest.LogCaptureFixture
) -> None:
    """When another client takes our session over, the log says that we were disconnected, and we connect again."""
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    Connection(broker.settings, client_id="cam", session_s=0).close()
    wait_for(lambda: publisher.facts().counts.connections == 2)
    # Later mosquittos say "Session taken over" before they close.
    assert any(said in caplog.text for said in ("the other end closed it", "Session taken over"))


def test_a_copied_disk_image_is_named_and_does_not_flap(
    broker: Broker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Two machines with one name disconnect each other at first; both say so once, and slow down."""
    with ExitStack() as stack:
        machines = []
        for name in ("one", "two"):
            spool = stack.enter_context(open_spool(tmp_path / name))
            settings = LinkSettings(broker.settings, "lab", "cam", reconnect_max_s=0.2, refused_retry_s=2.0)
            publisher = Publisher(settings, spool, node_card={}, manifests=[MANIFEST])
            stack.callback(publisher.stop, 0.1)
            publisher.start()
            machines.append(publisher)
        wait_for(lambda: all(publisher.facts().is_taken_over for publisher in machines))
        before = broker.log.read_text().count("New client connected")
        time.sleep(2.0)
        assert broker.log.read_text().count("New client connected") - before <= 5
    assert caplog.text.count("a second machine has the name 'cam'") == 2


def test_a_broker_that_restarts_is_no_second_machine(broker: Broker, make_publisher: MakePublisher) -> None:
    """It cannot be reached for a moment each time."""
    publisher = make_publisher(broker.settings, reconnect_max_s=0.1)
    for count in range(1, 5):
        wait_for(lambda count=count: publisher.facts().counts.connections == count)  # type: ignore[misc]
        broker.stop()
        wait_for(lambda: "cannot be reached" in str(publisher.facts().fault))
        broker.start()
    assert not publisher.facts().is_taken_over
