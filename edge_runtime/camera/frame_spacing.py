"""The rate at which a camera gives frames, by their own time stamps."""

from collections import deque

_FRAMES = 30


class FrameSpacing:
    """The time between the latest frames. Not thread-safe: the caller holds a lock.

    Time stamps tell what the camera gives. The times of arrival do not, where decoding is too slow to keep up.
    """

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque(maxlen=_FRAMES)

    def note(self, time_ns: int) -> None:
        """Take the time stamp of the next frame; one that is not later than the one before starts again."""
        if self._times_ns and time_ns <= self._times_ns[-1]:
            self._times_ns.clear()
        self._times_ns.append(time_ns)

    def frames_per_s(self) -> float:
        """Frames per second of the stream; 0 before the second frame."""
        if len(self._times_ns) < 2:
            return 0.0
        return (len(self._times_ns) - 1) * 1e9 / (self._times_ns[-1] - self._times_ns[0])
