"""Whether the clock of this machine is set by somebody who knows the time, and how right it is, as the kernel says."""

import ctypes
import logging
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)

UNKNOWN_NS = 2**63 - 1
"""Uncertainty of a time by a clock that nobody has set: 292 years."""
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_EARLIEST_NS = 1_735_689_600 * 10**9  # 2025: this program is not older
_LONG = ctypes.sizeof(ctypes.c_long)
_TIMEX_BYTES, _OFFSET, _MAX_ERROR, _STATUS = 512, _LONG, 3 * _LONG, 5 * _LONG  # of struct timex, see adjtimex(2)
_UNSYNCHRONISED, _IN_NANOSECONDS = 0x40, 0x2000
_READ_EVERY_S = 1.0


@dataclass(frozen=True)
class ClockState:
    """What this machine knows of its clock; None where it cannot tell.

    offset_s: what the service that sets the clock still corrects. uncertainty_s: the largest error that the kernel
    thinks possible; None while nobody sets the clock.
    """

    is_synchronised: bool | None
    offset_s: float | None = None
    uncertainty_s: float | None = None


class SystemClock:
    """Asks at most once a second, and logs each change. Thread-safe."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._read_at = 0.0
        self._state: bool | None = None

    def is_synchronised(self) -> bool | None:
        """Whether the time is right, as far as this machine knows; None if it cannot tell."""
        with self._mutex:
            now_s = time.monotonic()
            if now_s >= self._read_at:
                self._read_at = now_s + _READ_EVERY_S
                state = read_is_synchronised()
                if state != self._state and state is False:
                    logger.warning("the clock of this machine is not synchronised: capture times may be wrong")
                elif state != self._state and self._state is False:
                    logger.info("the clock of this machine is synchronised")
                self._state = state
            return self._state

    def state(self) -> ClockState:
        """What is known now."""
        is_synchronised, found = self.is_synchronised(), _adjtimex()
        if found is None or not is_synchronised:
            return ClockState(is_synchronised)
        return ClockState(is_synchronised, found.offset_s, found.max_error_s)


@dataclass(frozen=True)
class _Timex:
    status: int
    offset_s: float
    max_error_s: float


def read_is_synchronised() -> bool | None:
    """Ask the year, the kernel, then systemd-timesyncd. None if none of them can tell."""
    if time.time_ns() < _EARLIEST_NS:
        return False
    if _TIMESYNC.exists():
        return True
    found = _adjtimex()
    return None if found is None else not found.status & _UNSYNCHRONISED


def _adjtimex() -> _Timex | None:
    """What the kernel's clock says of itself; None where it is not Linux, or asking is forbidden."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # zeros: mode 0 reads only, and needs no right
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
            return None
    except (OSError, AttributeError):
        return None
    status = int.from_bytes(timex.raw[_STATUS : _STATUS + 4], sys.byteorder)
    offset, max_error = (
        int.from_bytes(timex.raw[at : at + _LONG], sys.byteorder, signed=True) for at in (_OFFSET, _MAX_ERROR)
    )
    return _Timex(status, offset * (1e-9 if status & _IN_NANOSECONDS else 1e-6), max_error * 1e-6)
