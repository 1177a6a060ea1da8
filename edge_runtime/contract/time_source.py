"""Where the capture time of a frame comes from: one list for cameras, messages and receivers."""

from typing import Literal

TimeSource = Literal["sensor", "ptp", "rtcp-ntp", "arrival", "file"]
"""How the capture time of a frame was found, and how wrong it may be.

- `sensor`, `ptp`: set by the camera, in its own clock or one synchronised by PTP. No source of this project gives them.
- `rtcp-ntp`: the camera's clock, as its RTCP sender reports tell it. It is used where it differs from the arrival by no
  more than the arrival can be wrong; the uncertainty is that difference.
- `arrival`: when the decoded frame reached this device. The uncertainty is the longest that exposure, encoding, network
  and decoding should take.
- `file`: the start of playing plus the frame's time stamp in the file; exact by definition.
"""
