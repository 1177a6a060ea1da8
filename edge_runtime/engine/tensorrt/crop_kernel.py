"""Cuts the crops of one frame out and resizes them on the GPU, by one kernel for all boxes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.preprocess import Box, pixel_box
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda

SOURCE = Path(__file__).with_name("crop_kernel.cu")
_BLOCK = (32, 8, 1)

ColourMatrix = Literal["bt601", "bt709"]
_LUMA_WEIGHTS: dict[ColourMatrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


def nv12_factors(matrix: ColourMatrix) -> NDArray[np.float32]:
    """Factors of the chroma planes for video range: red by V, green by U, green by V, blue by U. Returns (4,).

    Source: ITU-R BT.601-7 and BT.709-6, computed from each standard's weights of red and blue in luma.
    """
    red, blue = _LUMA_WEIGHTS[matrix]
    green = 1 - red - blue
    to_red, to_blue = 2 * (1 - red) * 255 / 224, 2 * (1 - blue) * 255 / 224
    return np.array([to_red, to_blue * blue / green, to_red * red / green, to_blue], np.float32)


def whole_boxes(boxes: Sequence[Box], *, height_px: int, width_px: int) -> NDArray[np.int32]:
    """Round boxes to pixels of the frame, by the contract's rule. Returns (N, 4) int32: left, top, right, bottom."""
    rounded = [pixel_box(box, frame_height_px=height_px, frame_width_px=width_px) for box in boxes]
    return np.array(rounded, np.int32).reshape(-1, 4)


class FrameCropper:
    """Cuts crops of one size. One thread at a time makes, uses and frees it, inside `with cuda.current():`.

    Raises:
        EngineError: the kernel cannot be compiled.
    """

    def __init__(self, cuda: Cuda, *, height_px: int, width_px: int, crops_max: int) -> None:
        self._cuda = cuda
        self._size = (height_px, width_px)
        module = _compile(SOURCE.read_text())
        self._rgb, self._nv12 = module.get_function("crop_rgb"), module.get_function("crop_nv12")
        self._boxes = Buffer(cuda, (crops_max, 4), dtype=np.int32)
        self._matrix = Buffer(cuda, (4,), dtype=np.float32)
        self._frame: Buffer | None = None

    def crop_rgb(self, frame: NDArray[np.uint8], boxes: Sequence[Box], *, into: Buffer, stream: Any) -> None:
        """Write the crops of an RGB frame, (H, W, 3) uint8, into the first rows of a buffer of crops."""
        pixels = self._upload(frame, boxes=boxes, frame_size=frame.shape[:2], stream=stream)
        pitch = np.int32(3 * frame.shape[1])
        self._launch(self._rgb, len(boxes), np.uintp(pixels), pitch, into=into, stream=stream)

    def crop_nv12(
        self, frame: NDArray[np.uint8], boxes: Sequence[Box], *, matrix: ColourMatrix, into: Buffer, stream: Any
    ) -> None:
        """The same for an NV12 frame, (H * 3 / 2, W) uint8: rows of luma, then rows of alternating U and V."""
        height, width = frame.shape[0] * 2 // 3, frame.shape[1]
        pixels = self._upload(frame, boxes=boxes, frame_size=(height, width), stream=stream)
        self._matrix.host[:] = nv12_factors(matrix)
        self._matrix.upload(4, stream=stream)
        arguments = (
            np.uintp(pixels),
            np.uintp(pixels + height * width),
            np.int32(width),
            np.uintp(self._matrix.address),
        )
        self._launch(self._nv12, len(boxes), *arguments, into=into, stream=stream)

    def free(self) -> None:
        """Release its buffers."""
        for buffer in (self._boxes, self._matrix, self._frame):
            if buffer is not None:
                buffer.free()

    def _upload(
        self, frame: NDArray[np.uint8], *, boxes: Sequence[Box], frame_size: tuple[int, ...], stream: Any
    ) -> int:
        """Start to copy frame and boxes to the device. Returns the frame's address there."""
        if self._frame is None or self._frame.host.shape != frame.shape:  # once per camera size
            if self._frame is not None:
                self._frame.free()
            self._frame = Buffer(self._cuda, frame.shape, dtype=np.uint8)
        self._frame.host[:] = frame
        self._frame.upload(len(frame), stream=stream)
        height, width = frame_size
        self._boxes.host[: len(boxes)] = whole_boxes(boxes, height_px=height, width_px=width)
        self._boxes.upload(len(boxes), stream=stream)
        return self._frame.address

    def _launch(self, kernel: Any, count: int, *arguments: Any, into: Buffer, stream: Any) -> None:
        height, width = self._size
        grid = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), count)
        kernel(
            *arguments,
            np.uintp(self._boxes.address),
            np.uintp(into.address),
            np.int32(height),
            np.int32(width),
            block=_BLOCK,
            grid=grid,
            stream=stream,
        )


def _compile(source: str) -> Any:
    from pycuda.compiler import SourceModule
    from pycuda.driver import CompileError

    try:
        return SourceModule(source)
    except (CompileError, OSError) as error:  # OSError: there is no compiler
        raise EngineError(
            f"the crop kernel cannot be compiled ({error}); install CUDA's compiler nvcc (on a Jetson: apt install "
            "cuda-nvcc-12-6 or that of its CUDA version), or crop on the CPU with contract.preprocess"
        ) from error
