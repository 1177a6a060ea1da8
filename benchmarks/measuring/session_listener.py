"""A receiver with a session that outlives its connections, in a thread: it connects again until it is closed."""

import threading
import time

from benchmarks.measuring.mortal_node import is_unchanged
from edge_runtime.contract.errors import PublishError
from edge_runtime.link.broker import Connection
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.messages import DescriptorMessage
from edge_runtime.receiver.receiver import Accepted, Receiver, Refused

_SESSION_S = 3600
_AGAIN_S = 0.2


class SessionListener:
    """Counts what a node sends.

    accepted, altered: messages, and those among them whose content is not what the node has made. refusals: what the
    receiver refused, each in a sentence. heard_s: when the last message came, by the monotonic clock.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self.receiver = Receiver()
        self.accepted = self.altered = 0
        self.refusals: list[str] = []
        self.heard_s = time.monotonic()
        self._settings = settings
        self._ending, self._is_listening = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_until_it_listens(self, timeout_s: float = 30.0) -> None:
        """Wait for the first subscription.

        Raises:
            PublishError: there is none in time.
        """
        if not self._is_listening.wait(timeout_s):
            raise PublishError(f"the broker {self._settings} has taken no subscription for {timeout_s:g} s")

    def close(self) -> None:
        """Leave."""
        self._ending.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                connection = Connection(self._settings, client_id="session-listener", session_s=_SESSION_S)
            except PublishError:
                self._ending.wait(_AGAIN_S)
                continue
            try:
                connection.subscribe(["reid/v1/#"])
                self._is_listening.set()
                self._receive(connection)
            except PublishError:
                self._ending.wait(_AGAIN_S)
            finally:
                connection.drop()

    def _receive(self, connection: Connection) -> None:
        while not self._ending.is_set():
            for received in connection.step(0.1)[1]:
                self.heard_s = time.monotonic()
                for event in self.receiver.take(received):
                    if isinstance(event, Accepted):
                        self.accepted += 1
                        assert isinstance(event.message, DescriptorMessage)
                        self.altered += not is_unchanged(event.message)
                    elif isinstance(event, Refused):
                        self.refusals.append(f"{event.topic}: {event.why}")
