"""What a camera source gives: frames with their capture time, and its state."""

from dataclasses import dataclass
from typing import Literal

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.time_source import TimeSource

SourceState = Literal["live", "stalled", "reconnecting", "ended", "disabled"]


@dataclass(frozen=True)
class Frame:
    """One picture. Its pixels are read-only, and no other object shares their memory.

    pixels: as the decoder left them; only what is looked at becomes RGB.
    index: counts the frames received since the source was started; where numbers are missing, frames were dropped.
    capture_ns: when it was captured, UTC, as `time_source` tells it, with an error of at most `uncertainty_ns`.
    monotonic_ns: the same moment on this device's monotonic clock; use it to measure durations.
    """

    camera_id: str
    index: int
    pixels: Nv12
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
    frames_per_s: the rate at which the camera gives frames, by their time stamps; 0 before its second frame.
    """

    state: SourceState
    reason: str
    frames: int
    dropped: int
    reconnects: int
    frames_per_s: float = 0.0
