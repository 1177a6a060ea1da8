"""Finds out that another machine uses our client id: a copied disk image, or a second daemon."""

import time
from collections import deque

_MOST_CLOSED = 3
_WITHIN_S = 120.0
_CALM_S = 300.0


class TakeoverWatch:
    """Judges the ends of connections. Not thread-safe: the publisher's thread calls all methods.

    MQTT 5 brokers may tell a client that its session was taken over. Many just close the connection, which looks the
    same as a restart of the broker; but a broker that restarts cannot be reached for a moment, and one that closes
    three connections in two minutes and takes a new one each time does so for another client.
    """

    def __init__(self) -> None:
        self.is_taken_over = False
        self._closed_at: deque[float] = deque(maxlen=_MOST_CLOSED)
        self._connected_at = 0.0

    def note_connected(self) -> None:
        """A connection was established."""
        self._connected_at = time.monotonic()

    def note_unreachable(self) -> None:
        """A connection could not be established: the broker or the network has a fault of its own."""
        self._closed_at.clear()

    def note_closed(self, *, is_told: bool) -> None:
        """An established connection was closed. is_told: the broker said that it was taken over."""
        now_s = time.monotonic()
        self._closed_at.append(now_s)
        is_often = len(self._closed_at) == _MOST_CLOSED and now_s - self._closed_at[0] < _WITHIN_S
        self.is_taken_over = is_told or is_often or (self.is_taken_over and now_s - self._connected_at < _CALM_S)

    def note_calm(self) -> None:
        """A connection goes on: after five minutes nobody disputes it any more."""
        if self.is_taken_over and time.monotonic() - self._connected_at > _CALM_S:
            self.is_taken_over = False
            self._closed_at.clear()
