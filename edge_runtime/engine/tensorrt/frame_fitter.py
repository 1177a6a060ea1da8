"""Fits whole frames into a detector's input on the GPU, those of all cameras in one launch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda
from edge_runtime.engine.tensorrt.frame_kernels import FRAME, PLACEMENT, FrameKernels, FrameOnDevice


class FrameFitter:
    """Fits frames of any size and form. One thread at a time makes, uses and frees it, inside `with cuda.current():`.

    Raises:
        EngineError: the driver refuses the kernels.
    """

    def __init__(self, cuda: Cuda, *, height_px: int, width_px: int, frames_max: int) -> None:
        self._cuda, self._size = cuda, (height_px, width_px)
        self._kernels = FrameKernels(cuda)
        self._rows = Buffer(cuda, (frames_max,), dtype=FRAME)
        self._placements = Buffer(cuda, (frames_max,), dtype=PLACEMENT)
        self._frames: dict[int, FrameOnDevice] = {}

    def fit(
        self, frames: Sequence[Nv12 | NDArray[np.uint8]], placements: NDArray[Any], *, into: Buffer, stream: Any
    ) -> None:
        """Write the inputs of some frames, NV12 or (H, W, 3) uint8 RGB.

        placements: (N,) PLACEMENT. into: (N or more, 3, height, width) float32; its first rows are written.
        """
        for number, frame in enumerate(frames):
            self._rows.host[number] = self._memory_for(number, frame).upload(frame, stream=stream)
        self._placements.host[: len(frames)] = placements
        for table in (self._rows, self._placements):
            table.upload(len(frames), stream=stream)
        addresses = (self._rows.address, self._placements.address, into.address)
        self._kernels.per_pixel("letterbox", *addresses, size=self._size, count=len(frames), stream=stream)

    def free(self) -> None:
        """Release its buffers."""
        for table in (self._rows, self._placements):
            table.free()
        for memory in self._frames.values():
            memory.free()

    def _memory_for(self, number: int, frame: Nv12 | NDArray[np.uint8]) -> FrameOnDevice:
        """The memory of the frame in this place of the batch; made anew where cameras of other sizes take turns."""
        memory = self._frames.get(number)
        if memory is None or not memory.fits(frame):
            if memory is not None:
                memory.free()
            memory = self._frames[number] = FrameOnDevice(self._cuda, frame)
        return memory
