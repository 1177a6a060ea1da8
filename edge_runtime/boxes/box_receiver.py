"""Subscribes to the messages about boxes of all cameras of a node, over one connection to a broker."""

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_runtime.contract.errors import PublishError, ReidError
from edge_runtime.link.broker import Connection, Received
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.topics import fits_filter

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 5.0
_STEP_S = 0.5
_CLOSE_S = 1.0


@dataclass(frozen=True)
class _Watch:
    topic: str
    handle: Callable[[bytes], None]


class BoxReceiver:
    """Gives payloads to those who watch their topics; connects again after every loss of the connection.

    Messages are as good as the moment they are about: they are asked for with QoS 0 and no session, and what the broker
    has retained from earlier is left out.

    fault: why nothing can arrive now; None while the subscription stands.
    Threads: any thread may call `watch`, `forget` and `close`; what was given to `watch` is called in the thread
    `boxes`, which starts with the first one, and must return soon.
    """

    def __init__(self, settings: BrokerSettings, *, client_id: str) -> None:
        self.settings = settings
        self.fault: str | None = "not connected yet"
        self._client_id = client_id
        self._mutex = threading.Lock()  # guards `_watches`, `_is_changed` and the start of the thread
        self._watches: list[_Watch] = []
        self._is_changed = False
        self._stop = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="boxes", daemon=True)

    def watch(self, topic: str, handle: Callable[[bytes], None]) -> None:
        """Give payloads of a topic, which may hold + and #, to `handle` from now on."""
        with self._mutex:
            self._watches.append(_Watch(topic, handle))
            self._is_changed = True
            if self._thread.ident is None:
                self._thread.start()
        self._wake()

    def forget(self, handle: Callable[[bytes], None]) -> None:
        """Give nothing to `handle` any more; a call that has begun may still end."""
        with self._mutex:
            self._watches = [one for one in self._watches if one.handle != handle]

    def close(self) -> None:
        """Disconnect; returns within a second."""
        self._stop.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _wake(self) -> None:
        if connection := self._connection:
            connection.wake()

    def _run(self) -> None:
        """The thread: receive until `close`, with random pauses after losses."""
        attempts = 0
        while not self._stop.is_set():
            began_s = time.monotonic()
            try:
                self._receive()
            except ReidError as error:
                self._report(str(error))
            except Exception as error:  # a bug in what reads a message must not end the thread unseen
                logger.exception("receiving boxes failed and starts again")
                self.fault = str(error)
            attempts = 0 if time.monotonic() - began_s > _LONGEST_PAUSE_S else attempts + 1
            self._stop.wait(random.uniform(0.0, min(2.0**attempts, _LONGEST_PAUSE_S)))

    def _receive(self) -> None:
        """Connect and receive until the connection is lost or `close` is called.

        Raises:
            ReidError: the connection is lost, refused, or its files cannot be read.
        """
        connection = Connection(self.settings, client_id=self._client_id, session_s=0)
        self._connection, self._is_changed = connection, True
        try:
            while not self._stop.is_set():
                self._subscribe_to_new(connection)
                for received in connection.step(_STEP_S)[1]:
                    self._hand_over(received)
            connection.close()
        finally:
            self._connection = None
            connection.drop()

    def _subscribe_to_new(self, connection: Connection) -> None:
        with self._mutex:
            is_changed, self._is_changed = self._is_changed, False
            topics = sorted({watch.topic for watch in self._watches})
        if not is_changed or not topics:
            return
        try:
            connection.subscribe(topics, qos=0)
        except PublishError as error:
            raise PublishError(f"{error}; may this node read {', '.join(topics)}?") from error
        if self.fault is not None:
            logger.info("boxes come from the broker %s: %s", self.settings, ", ".join(topics))
        self.fault = None

    def _hand_over(self, received: Received) -> None:
        if received.is_retained:
            return
        with self._mutex:
            watches = list(self._watches)
        for watch in watches:
            if fits_filter(received.topic, watch.topic):
                watch.handle(received.payload)

    def _report(self, fault: str) -> None:
        """Log a fault once, until another fault or a connection follows."""
        if fault != self.fault:
            logger.warning("no boxes can arrive: %s; trying again", fault)
        self.fault = fault
