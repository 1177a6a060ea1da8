"""How long a camera may be silent before it counts as lost, and how long to wait before it is asked again."""

import random
import statistics
import time
from collections import deque

_FIRST_CAMERA_FRAME_S = 20.0  # a camera may send a key frame only every 10 s
# decodebin of GStreamer 1.22 sometimes reports no error for a damaged file: then no frame comes, and nothing else.
_FIRST_FILE_FRAME_S = 5.0
_LONGEST_S = 120.0
_GAPS = 5
_RETRY_FIRST_S = 1.0
_REFUSED_RETRY_S = 60.0  # trying sooner would look like an attack, and some cameras then lock the user out
_STEADY_S = 10.0


class Patience:
    """Patience with one address; it learns how far apart its frames are. One thread uses it, the source's own.

    A camera that gives a frame every few seconds is not lost between two of them, and one that gives frames only for
    a moment after each connection is not asked again at once.
    stall_s: silence after which a camera with frequent frames is stalled; after twice that it is lost.
    retry_cap_s: longest pause between two attempts, but for refused credentials.
    """

    def __init__(self, *, is_live: bool, stall_s: float, retry_cap_s: float) -> None:
        self._first_frame_s = _FIRST_CAMERA_FRAME_S if is_live else _FIRST_FILE_FRAME_S
        self._stall_s = stall_s
        self._retry_cap_s = retry_cap_s
        self._gaps_s: deque[float] = deque(maxlen=_GAPS)  # between the latest frames
        self._silences = 0  # connections in a row that gave too few frames to know how far apart they are
        self._failures = 0
        self._first_s: float | None = None  # when the first frame of this connection came
        self._latest_s = time.monotonic()

    def note_connection(self) -> None:
        """A new attempt begins."""
        self._first_s, self._latest_s = None, time.monotonic()

    def note_frame(self) -> None:
        """A new frame has come."""
        now_s = time.monotonic()
        if self._first_s is None:
            self._first_s = now_s
        else:
            self._gaps_s.append(now_s - self._latest_s)
            self._silences = 0
        self._latest_s = now_s

    def silence_s(self) -> float:
        """Seconds since the latest frame, or since the attempt began."""
        return time.monotonic() - self._latest_s

    def lost_after_s(self) -> float:
        """Silence after which the connection is given up."""
        typical_s = statistics.median(self._gaps_s) if self._gaps_s else 0.0
        if self._first_s is None or not self._gaps_s:
            return float(max(min(_LONGEST_S, self._first_frame_s * 2**self._silences), 4 * typical_s))
        return float(max(2 * self._stall_s, 4 * typical_s))

    def stalled_after_s(self) -> float:
        """Silence after which frames are late."""
        return self.lost_after_s() / 2

    def note_silence(self) -> None:
        """The connection is given up: what was known of the distance of frames may no longer hold, as at night."""
        self._silences += self._first_s is not None
        self._gaps_s.clear()

    def is_steady(self) -> bool:
        """Whether this connection has given frames for long enough to count as repaired."""
        return self._first_s is not None and self._latest_s - self._first_s >= _STEADY_S

    def pause_s(self, *, is_refused: bool) -> float:
        """Seconds to wait before the next attempt, after a failed one."""
        self._failures = 1 if self.is_steady() else self._failures + 1
        pause_s = retry_delay_s(self._failures, cap_s=self._retry_cap_s, chance=random.random())
        return max(pause_s, _REFUSED_RETRY_S if is_refused else 0.0)


def retry_delay_s(failures: int, *, cap_s: float, chance: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time up to `cap_s`, then times 0.5 to 1.

    chance: a random number in [0, 1) that chooses the factor, so that many nodes do not connect at the same moment.
    """
    return min(cap_s, _RETRY_FIRST_S * 2.0 ** min(failures - 1, 16)) * (0.5 + chance / 2)
