"""Statuses, the birth and metrics on their way to the broker. They are not spooled: only the latest of each counts."""

import threading
from collections import OrderedDict


class RetainedMessages:
    """The latest payload of each topic, queued for sending; retained ones are queued again for every new connection.

    Thread-safe: any thread puts payloads in, the publisher's thread takes them out.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._retained: OrderedDict[str, bytes] = OrderedDict()
        self._unsent: OrderedDict[str, tuple[bytes, bool]] = OrderedDict()

    def put_retained(self, topic: str, payload: bytes) -> None:
        """Queue a retained payload now and after each reconnection, until another payload replaces it."""
        with self._mutex:
            self._retained[topic] = payload
            self._unsent[topic] = payload, True

    def put_once(self, topic: str, payload: bytes) -> None:
        """Queue a payload that is sent once. A newer payload of the same topic replaces it."""
        with self._mutex:
            self._unsent[topic] = payload, False

    def reset(self) -> None:
        """Reset for a new connection: queue all retained payloads, drop unsent one-off ones."""
        with self._mutex:
            self._unsent = OrderedDict((topic, (payload, True)) for topic, payload in self._retained.items())

    def take(self) -> tuple[str, bytes, bool] | None:
        """The next topic, its payload, and whether it is retained; None when the queue is empty."""
        with self._mutex:
            if not self._unsent:
                return None
            topic, (payload, is_retained) = self._unsent.popitem(last=False)
            return topic, payload, is_retained
