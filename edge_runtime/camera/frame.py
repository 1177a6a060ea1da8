"""What a camera source gives: frames with their capture time, and its state."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.time_source import TimeSource

SourceState = Literal["live", "stalled", "reconnecting", "ended", "disabled"]


@dataclass(frozen=True)
class Frame:
    """One picture. Its pixels are read-only, and no other object shares their memory.

    pixels: (H, W, 3) uint8, RGB.
    index: counts the frames received since the source was started; where numbers are missing, frames were dropped.
    capture_ns: when it was captured, UTC, as `time_source` tells it, with an error of at most `uncertainty_ns`.
    monotonic_ns: the same moment on this device's monotonic clock; use it to measure durations.
    """

    camera_id: str
    index: int
    pixels: NDArray[np.uint8]
    capture_ns: int
    monotonic_ns: int
    time_source: TimeSource
    uncertainty_ns: int


@dataclass(frozen=True)
class SourceStatus:
    """State of a source at one moment, the reason for it, and counters since the start.

    state: `reconnecting` also before the first frame. `ended` (a file was played to its end) and `disabled` (a fault
    that trying again cannot repair) are final.
    dropped: frames that were replaced by a newer one before they were read.
    reconnects: how often frames came again after the camera was lost.
    """

    state: SourceState
    reason: str
    frames: int
    dropped: int
    reconnects: int
