"""Cuts people out of a frame and resizes them on the GPU, by one kernel for all boxes, and measures their sharpness."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box, pixel_box
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda
from edge_runtime.engine.tensorrt.frame_kernels import FRAME, FrameKernels, FrameOnDevice


def whole_boxes(boxes: Sequence[Box], *, height_px: int, width_px: int) -> NDArray[np.int32]:
    """Round boxes to pixels of the frame, by the contract's rule. Returns (N, 4) int32: left, top, right, bottom."""
    rounded = [pixel_box(box, frame_height_px=height_px, frame_width_px=width_px) for box in boxes]
    return np.array(rounded, np.int32).reshape(-1, 4)


def variance_of(sums: NDArray[np.int64], *, width_px: int) -> NDArray[np.float64]:
    """Sharpness from the kernel's sums, (N, height, 2): sum and sum of squares per row. Returns (N,)."""
    count = sums.shape[1] * width_px
    total, squares = sums.sum(axis=1, dtype=np.int64).T
    return np.asarray(squares / count - (total / count) ** 2, np.float64)


class FrameCropper:
    """Cuts crops of one size. One thread at a time makes, uses and frees it, inside `with cuda.current():`.

    Raises:
        EngineError: the driver refuses the kernels.
    """

    def __init__(self, cuda: Cuda, *, height_px: int, width_px: int, crops_max: int) -> None:
        self._cuda, self._size = cuda, (height_px, width_px)
        self._kernels = FrameKernels(cuda)
        self._row = Buffer(cuda, (1,), dtype=FRAME)
        self._boxes = Buffer(cuda, (crops_max, 4), dtype=np.int32)
        self._sums = Buffer(cuda, (crops_max, height_px, 2), dtype=np.int64)
        self._frame: FrameOnDevice | None = None

    def crop(self, frame: Nv12 | NDArray[np.uint8], boxes: Sequence[Box], *, into: Buffer, stream: Any) -> None:
        """Write the crops of a frame, NV12 or (H, W, 3) uint8 RGB, into the first rows of a buffer of crops."""
        if self._frame is None or not self._frame.fits(frame):  # once per camera size
            if self._frame is not None:
                self._frame.free()
            self._frame = FrameOnDevice(self._cuda, frame)
        row = self._row.host[0] = self._frame.upload(frame, stream=stream)
        self._row.upload(1, stream=stream)
        self._boxes.host[: len(boxes)] = whole_boxes(boxes, height_px=int(row["height"]), width_px=int(row["width"]))
        self._boxes.upload(len(boxes), stream=stream)
        kernel = "crop_nv12" if isinstance(frame, Nv12) else "crop_rgb"
        addresses = (self._row.address, self._boxes.address, into.address)
        self._kernels.per_pixel(kernel, *addresses, size=self._size, count=len(boxes), stream=stream)

    def measure_sharpness(self, crops: Buffer, count: int, *, stream: Any) -> NDArray[np.float64]:
        """Sharpness of the first `count` crops of a buffer, (count,), as `contract.sharpness`; waits for the stream."""
        addresses = (crops.address, self._sums.address)
        self._kernels.per_row("sharpness_sums", *addresses, size=self._size, count=count, stream=stream)
        self._sums.download(count, stream=stream)
        stream.synchronize()
        return variance_of(self._sums.host[:count], width_px=self._size[1])

    def free(self) -> None:
        """Release its buffers."""
        for part in (self._row, self._boxes, self._sums, self._frame):
            if part is not None:
                part.free()
