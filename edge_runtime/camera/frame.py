"""What a source hands out: frames with an honest time, and the state it is in."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TimeSource = Literal["file", "rtcp-ntp", "arrival"]
State = Literal["live", "stalled", "reconnecting", "ended", "disabled"]


@dataclass(frozen=True)
class Frame:
    """One picture. Its pixels are read-only and its own.

    pixels: (H, W, 3) uint8, RGB. `index` counts the frames received since the source was started, so a gap shows
    frames that were dropped. `capture_ns` is UTC and comes from `time_source`; it is true to within `uncertainty_ns`:
    - `file`: the start of playing plus the frame's time stamp in the file; exact by definition
    - `rtcp-ntp`: the camera's own clock, where it is no further from the arrival than that can be wrong; the
      uncertainty is that distance
    - `arrival`: when the decoded frame reached us; the uncertainty bounds what network, buffering and decoding take
    `monotonic_ns` is the same moment on this device's monotonic clock; use it to measure durations.
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
    """A snapshot of a source: its state, why, and its counters since the start.

    `reconnecting` is also the state before the first frame. `ended` and `disabled` are final: a file was played to
    its end, or a fault that no retry can heal. `reconnects` counts how often frames came back after a loss.
    """

    state: State
    reason: str
    frames: int
    dropped: int
    reconnects: int
