"""Statuses, the birth and metrics on their way out. Not worth a spool: only the latest of each counts."""

import threading
from collections import OrderedDict


class RetainedMessages:
    """Thread-safe. Keeps the retained ones, so that a broker that comes back (perhaps empty) hears them again."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._retained: OrderedDict[str, bytes] = OrderedDict()
        self._unsent: OrderedDict[str, tuple[bytes, bool]] = OrderedDict()

    def put_retained(self, topic: str, payload: bytes) -> None:
        """Keep a payload and send it now and after each reconnection, until another one takes its place."""
        with self._mutex:
            self._retained[topic] = payload
            self._unsent[topic] = payload, True

    def put_once(self, topic: str, payload: bytes) -> None:
        """Send a payload when there is a connection, unless a newer one comes first."""
        with self._mutex:
            self._unsent[topic] = payload, False

    def reset(self) -> None:
        """Reset for a new connection: queue all retained payloads, drop unsent one-off ones."""
        with self._mutex:
            self._unsent = OrderedDict((topic, (payload, True)) for topic, payload in self._retained.items())

    def take(self) -> tuple[str, bytes, bool] | None:
        """The next topic, payload, and whether it is to be retained; None when all is said."""
        with self._mutex:
            if not self._unsent:
                return None
            topic, (payload, is_retained) = self._unsent.popitem(last=False)
            return topic, payload, is_retained
