"""Which moments of a track are described: good ones at once, others only if none comes in time."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.people.shot_quality import ShotQuality

_PATIENCE_NS = 1_000_000_000
GOOD_QUALITY = 0.6
"""From here on a moment is described at once."""
LEAST_QUALITY = 0.45
"""Below this a moment shows more than one person, or hardly one, too often to be told as a descriptor."""


@dataclass(frozen=True)
class Shot:
    """One moment of a track. crop: (height, width, 3) uint8, RGB. descriptor: (D,) of it, if it is described already.

    fields: what its message says besides. pixels: (H, W, 3) uint8, RGB, as the camera gave them, for a site set.
    """

    quality: ShotQuality
    crop: NDArray[np.uint8]
    descriptor: NDArray[np.float32] | None
    fields: dict[str, Any]
    pixels: NDArray[np.uint8] | None = None


class ShotPlan:
    """When a track is due to be described, and the best of its moments since then.

    every_ns: time between two descriptors. So long, and a second at most, a due track waits for a good moment; then the
    best one is taken. Times are of the frames' monotonic clock.
    """

    def __init__(self, every_ns: int) -> None:
        self.held: Shot | None = None
        self.is_described = False
        self._every_ns = every_ns
        self._due_ns: int | None = None  # None: from the first moment on
        self._waiting_since_ns: int | None = None

    def is_due(self, time_ns: int) -> bool:
        """Whether a moment of this time may be described."""
        return self._due_ns is None or time_ns >= self._due_ns

    def choose(self, quality: float, time_ns: int) -> Literal["now", "held"] | None:
        """What is to be described of a due track: its moment now, of this quality, or the one it holds, or neither."""
        held = self.held.quality.value if self.held else -1.0
        if self._waiting_since_ns is None:
            self._waiting_since_ns = time_ns
        is_late = time_ns - self._waiting_since_ns >= min(self._every_ns, _PATIENCE_NS)
        least = LEAST_QUALITY if is_late else GOOD_QUALITY
        if max(quality, held) < least:
            return None
        return "now" if quality >= held else "held"

    def is_better(self, quality: float) -> bool:
        """Whether a moment of this quality is better than the one that is held."""
        return self.held is None or quality > self.held.quality.value

    def last_call(self) -> Shot | None:
        """What is to be described of a track that nobody sees now: it may not come back.

        The moment that it holds if it is not too bad, or however bad it is if the track was never described.
        """
        if self.held and (self.held.quality.value >= LEAST_QUALITY or not self.is_described):
            return self.held
        return None

    def note_described(self, time_ns: int) -> None:
        """The track was described now; what it held is over."""
        self.is_described = True
        self._due_ns = time_ns + self._every_ns
        self._waiting_since_ns = self.held = None
