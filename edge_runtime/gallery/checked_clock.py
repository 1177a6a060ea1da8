"""A clock that does not run away: this machine's, as far as the times in the nodes' messages bear it out."""

import time
from collections.abc import Callable

MOST_AHEAD_S = 3600
"""This machine's clock is used while it is no further from the newest message's time, counted on since then."""
_MOST_AHEAD_NS = MOST_AHEAD_S * 1_000_000_000


class CheckedClock:
    """UTC nanoseconds. `hear` is called by one thread at a time, the rest by any.

    newest_ns: the latest time that was known before the start, None if there is none. A clock that was set far ahead
    would erase everything at once. Where this machine's clock is too far ahead, the newest time that any message told
    is counted on with a clock that nobody can set; so it is where this machine's clock is as far behind both that time
    and the latest message: it was set back. What a message tells beyond this machine's clock does not count otherwise.
    """

    def __init__(
        self,
        newest_ns: int | None,
        *,
        wall_ns: Callable[[], int] = lambda: time.time_ns(),
        steady_ns: Callable[[], int] = lambda: time.monotonic_ns(),
    ) -> None:
        self._wall_ns, self._steady_ns = wall_ns, steady_ns
        self._offset_ns: int | None = None
        self.was_told = False
        """Whether any message came since the start."""
        if newest_ns is not None:
            self._offset_ns = newest_ns - steady_ns()
        self._latest_ahead_ns = 0  # of this machine's clock then

    def hear(self, told_ns: int) -> None:
        """Take the time at which a node says that it sent a message, which has just come."""
        wall_ns = self._wall_ns()
        self._latest_ahead_ns = told_ns - wall_ns
        offset_ns = min(told_ns, wall_ns) - self._steady_ns()
        self._offset_ns = offset_ns if self._offset_ns is None else max(self._offset_ns, offset_ns)
        self.was_told = True

    def now_ns(self) -> int:
        """The time."""
        wall_ns, ahead_ns = self._wall_ns(), self.ahead_ns()
        return wall_ns - ahead_ns if ahead_ns > _MOST_AHEAD_NS or self._is_behind(ahead_ns) else wall_ns

    def ahead_ns(self) -> int:
        """How far this machine's clock is ahead of what messages say; negative: behind. 0 where nothing is known."""
        return 0 if self._offset_ns is None else self._wall_ns() - self._steady_ns() - self._offset_ns

    def fault(self) -> str | None:
        """What is wrong with this machine's clock, in one sentence; None: nothing."""
        ahead_ns = self.ahead_ns()
        if self._is_behind(ahead_ns):
            return (
                f"the clock of this machine is {-ahead_ns / 3.6e12:.1f} h behind what it was, and behind the messages: "
                "their time is used until the clock is set right"
            )
        if not self.was_told or ahead_ns <= _MOST_AHEAD_NS:
            return None
        return (
            f"the clock of this machine is {ahead_ns / 3.6e12:.1f} h ahead of the newest message, so nothing is erased "
            "by it: the messages' time is used until the clock is set right"
        )

    def _is_behind(self, ahead_ns: int) -> bool:
        return ahead_ns < -_MOST_AHEAD_NS and self._latest_ahead_ns > _MOST_AHEAD_NS
