"""Whether the clock of this machine is set by somebody who knows the time, as the kernel and the year say."""

import ctypes
import logging
import sys
import threading
import time
from pathlib import Path

logger = logging.getLogger(__name__)

UNKNOWN_NS = 2**63 - 1
"""Uncertainty of a time by a clock that nobody has set: 292 years."""
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_EARLIEST_NS = 1_735_689_600 * 10**9  # 2025: this program is not older
_TIMEX_BYTES, _STATUS = 512, 5 * ctypes.sizeof(ctypes.c_long)  # struct timex of adjtimex(2): modes ... maxerror, status
_UNSYNCHRONISED = 0x40
_READ_EVERY_S = 1.0


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


def read_is_synchronised() -> bool | None:
    """Ask the year, the kernel, then systemd-timesyncd. None if none of them can tell."""
    if time.time_ns() < _EARLIEST_NS:
        return False
    if _TIMESYNC.exists():
        return True
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # zeros: mode 0 reads only, and needs no right
    try:
        if ctypes.CDLL(None, use_errno=True).adjtimex(timex) < 0:
            return None
    except (OSError, AttributeError):  # not Linux, or forbidden here
        return None
    status = int.from_bytes(timex.raw[_STATUS : _STATUS + 4], sys.byteorder)
    return not status & _UNSYNCHRONISED
