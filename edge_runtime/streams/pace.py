"""How often one camera is to be looked at and how often it is, and which of several cameras comes next."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_LOOKS_PER_S = 2.0
"""Below this rate people cannot be followed: between two looks they walk further than they are wide."""

_WINDOW_S = 10.0
_FIRST_VERDICT_S = 5.0
_BEHIND_SHARE, _KEEPS_UP_SHARE = 0.8, 0.9  # apart from each other, so that the verdict does not change to and fro
_MISSED_LOOKS = 3  # fewer than these are chance, not overload
_FULL_SHARE = 0.95
_HEAVY_FACTOR = 4.0  # on a busy machine looks of equal cameras differ by up to half of it


@dataclass(frozen=True)
class LookRates:
    """Looks per second that a camera should get and that it has got. wanted: never more than it gives frames."""

    wanted: float
    got: float

    def __str__(self) -> str:
        """As messages show it."""
        return f"{self.got:.1f} of {self.wanted:.3g} looks/s"


class CameraPace:
    """Looks at one camera: when one is due, how long they took, and whether they are as many as wanted.

    Threads: one thread changes it, in the daemon the main loop. `rates`, `is_too_slow` and `mean_rates` may be read
    from any thread.
    max_fps: looks per second at most.
    """

    def __init__(self, max_fps: float) -> None:
        self.max_fps = max_fps
        self.rates = LookRates(0.0, 0.0)
        self.is_behind = self.is_too_slow = False
        self._pause_s = 1.0 / max_fps
        self._due_s = 0.0
        self._looks: deque[tuple[float, float]] = deque()  # when each of the window has finished, seconds it took
        self._live_since_s: float | None = None
        self._judged_s = 0.0
        self._live_s = self._wanted = self._got = 0.0

    def is_due(self, arrival_s: float) -> bool:
        """Whether a frame that arrived at this monotonic time is to be looked at.

        The arrival decides, so that what is looked at is fresh: of 15 frames per second 10 are looked at when they
        come, instead of the newest one at an even step, which has waited by then.
        """
        return arrival_s >= self._due_s

    def note_begin(self, arrival_s: float) -> None:
        """Remember that a look at a frame begins.

        The next one is due a step later, at most half a step early: otherwise a frame that comes a little early, every
        now and then, would be missed.
        """
        self._due_s = max(self._due_s + self._pause_s, arrival_s - self._pause_s / 2)

    def note_look(self, busy_s: float) -> None:
        """Remember a finished look, and how long a worker was busy with it."""
        now_s = time.monotonic()
        if self._live_since_s is None:
            self._live_since_s = self._judged_s = now_s
        self._looks.append((now_s, busy_s))
        self._got += 1

    def judge(self, *, is_live: bool, frames_per_s: float) -> bool:
        """Compare looks got with looks wanted; to be called once a second. Returns whether the verdict has changed.

        frames_per_s: what the camera gives. A camera that is not live wants no looks.
        """
        now_s = time.monotonic()
        if not is_live:
            self._live_since_s = None
            self.rates = LookRates(0.0, 0.0)
            return self._set_verdict(is_behind=False)
        if self._live_since_s is None:
            self._live_since_s = self._judged_s = now_s
        span_s = min(_WINDOW_S, now_s - self._live_since_s)
        wanted = min(self.max_fps, frames_per_s)
        self._live_s += now_s - self._judged_s
        self._wanted += wanted * (now_s - self._judged_s)
        self._judged_s = now_s
        if span_s < _FIRST_VERDICT_S:
            return False
        self.rates = LookRates(wanted, self._looks_in_window() / span_s)
        enough = wanted * (_KEEPS_UP_SHARE if self.is_behind else _BEHIND_SHARE)
        missed = (wanted - self.rates.got) * span_s
        return self._set_verdict(is_behind=self.rates.got < enough and missed >= _MISSED_LOOKS)

    def mean_rates(self) -> LookRates:
        """Looks wanted and got per second for as long as the camera was live."""
        live_s = self._live_s
        return LookRates(self._wanted / live_s, self._got / live_s) if live_s else LookRates(0.0, 0.0)

    def lacks_looks(self) -> bool:
        """Whether it gets noticeably fewer looks than it wants."""
        return self.rates.got < _FULL_SHARE * self.rates.wanted

    def busy_s(self) -> float:
        """Seconds of workers that it took within the window."""
        self._looks_in_window()
        return sum(busy_s for _, busy_s in self._looks)

    def cost_s(self) -> float:
        """Seconds of a worker per look within the window, on average; 0 without a look."""
        return self.busy_s() / max(len(self._looks), 1)

    def _looks_in_window(self) -> int:
        while self._looks and self._looks[0][0] < time.monotonic() - _WINDOW_S:
            self._looks.popleft()
        return len(self._looks)

    def _set_verdict(self, *, is_behind: bool) -> bool:
        before = self.is_behind, self.is_too_slow
        least = LEAST_LOOKS_PER_S * (1.1 if self.is_too_slow else 1.0)
        self.is_behind, self.is_too_slow = is_behind, is_behind and self.rates.got < least
        return before != (self.is_behind, self.is_too_slow)


def choose_next(waiting: Sequence[CameraPace], everyone: Sequence[CameraPace], *, workers: int) -> CameraPace | None:
    """The camera to look at next, of those that wait: the one that has used the least time for what it wishes.

    A camera whose frames take long would still delay the others, since a look cannot be interrupted: it waits while
    others, whose frames take a quarter as long or less, get too few looks. It keeps half of an even share of the time.
    None: all that wait have to wait on.
    """
    for pace in sorted(waiting, key=lambda pace: pace.busy_s() / pace.max_fps):
        even_share_s = workers * _WINDOW_S * pace.max_fps / sum(other.max_fps for other in everyone)
        is_over = pace.busy_s() > even_share_s / 2
        cost_s = pace.cost_s() / _HEAVY_FACTOR
        if not (is_over and any(other.lacks_looks() and 0 < other.cost_s() < cost_s for other in everyone)):
            return pace
    return None
