"""Publishers and subscribers on a real broker, ended with the test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edge_runtime.contract.errors import PublishError
from edge_runtime.link.broker import Connection, Received
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.spool import Spool
from edge_runtime.receiver.receiver import Accepted, Event, Receiver
from tests.support.sample_messages import MANIFEST, open_spool

MakePublisher = Callable[..., Publisher]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool of node `cam` that is empty."""
    with open_spool(tmp_path) as spool:
        yield spool


@pytest.fixture
def make_publisher(spool: Spool) -> Iterator[MakePublisher]:
    """Make and start a publisher of site `lab`, node `cam`, that retries after a short pause."""
    with ExitStack() as stack:

        def make(broker: BrokerSettings, **changes: object) -> Publisher:
            quick = {"reconnect_max_s": 0.5, "refused_retry_s": 0.5, "backlog_per_s": 500.0, "will_delay_s": 1}
            settings = LinkSettings(broker=broker, site="lab", node="cam", **(quick | changes))  # type: ignore[arg-type]
            publisher = Publisher(settings, spool, node_card={"os": "test"}, manifests=[MANIFEST])
            stack.callback(publisher.stop, 0.1)
            publisher.start()
            return publisher

        yield make


class Subscriber:
    """Listens in a thread of its own, through `Receiver`, and keeps all that came."""

    def __init__(self, settings: BrokerSettings, *, session: str | None = None) -> None:
        self.received: list[Received] = []
        self.events: list[Event] = []
        self.receiver = Receiver()
        self._connection = Connection(settings, client_id=session or "subscriber", session_s=3600 if session else 0)
        self._connection.subscribe(["reid/v1/#"])
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(PublishError):
            self._receive()

    def _receive(self) -> None:
        while not self._ending.is_set():
            for received in self._connection.step(0.05)[1]:
                self.received.append(received)
                self.events += self.receiver.take(received)

    def payloads(self, topic: str) -> list[bytes]:
        """What came under a topic."""
        return [received.payload for received in list(self.received) if received.topic == topic]

    def numbers(self) -> list[int]:
        """The sequence numbers of accepted messages, as they came."""
        return [event.message.seq for event in self.accepted()]

    def accepted(self) -> list[Accepted]:
        """Messages that are what they say."""
        return [event for event in list(self.events) if isinstance(event, Accepted)]

    def close(self) -> None:
        """Leave; with a session, the broker keeps what comes."""
        self._ending.set()
        self._thread.join(5)
        self._connection.close()


@pytest.fixture
def subscribe() -> Iterator[Callable[..., Subscriber]]:
    """Make subscribers; they leave with the test."""
    with ExitStack() as stack:

        def make(settings: BrokerSettings, **options: str) -> Subscriber:
            subscriber = Subscriber(settings, **options)
            stack.callback(subscriber.close)
            return subscriber

        yield make
