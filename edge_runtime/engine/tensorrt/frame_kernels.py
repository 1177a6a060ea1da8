"""Our own kernels for frames, and frames on the device.

The kernels travel as PTX, which the driver translates for its GPU when they are loaded, so that a device needs no
compiler.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12, colour_factors
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda

SOURCE = Path(__file__).with_name("frame_kernels.cu")
PTX = SOURCE.with_suffix(".ptx")
_BLOCK = (32, 8, 1)
_ROWS = 64
FRAME = np.dtype(
    [
        ("luma", np.uint64), ("chroma", np.uint64), ("factors", np.float32, 12), ("luma_pitch", np.int32),
        ("chroma_pitch", np.int32), ("height", np.int32), ("width", np.int32),
    ]
)  # fmt: skip
"""`struct Frame` of the kernels: where a frame lies on the device, and how it becomes RGB."""
PLACEMENT = np.dtype(
    [
        ("top", np.int32), ("left", np.int32), ("size", np.int32, 2), ("source", np.int32, 3), ("is_nv12", np.int32),
        ("scale", np.float32, 3), ("shift", np.float32, 3), ("grey", np.float32),
    ]
)  # fmt: skip
"""`struct Placement` of the kernels: where a frame lies in a detector's input, and how its bytes become numbers."""


def describe_frame(
    frame: Nv12 | NDArray[np.uint8], *, addresses: tuple[int, int], pitches: tuple[int, int]
) -> NDArray[Any]:
    """A row of FRAME. addresses, pitches (bytes per row): of luma and chroma; of an RGB frame the first counts."""
    row = np.zeros((), FRAME)
    row["luma"], row["chroma"] = addresses
    row["luma_pitch"], row["chroma_pitch"] = pitches
    if isinstance(frame, Nv12):
        row["factors"] = colour_factors(frame.matrix, is_full_range=frame.is_full_range).ravel()
        row["height"], row["width"] = frame.height_px, frame.width_px
    else:
        row["height"], row["width"] = frame.shape[:2]
    return row


class FrameKernels:
    """The loaded kernels. One thread at a time makes and uses them, inside `with cuda.current():`.

    Raises:
        EngineError: the driver refuses them.
    """

    def __init__(self, cuda: Cuda) -> None:
        try:
            module = cuda.driver.module_from_buffer(PTX.read_bytes())
        except cuda.driver.Error as error:
            raise EngineError(
                f"the driver does not take the kernels of {PTX.name} ({error}); it needs CUDA 10 and a GPU of compute "
                "capability 5.3 or later; crop on the CPU with contract.preprocess"
            ) from error
        names = ("crop_rgb", "crop_nv12", "letterbox", "sharpness_sums")
        self._functions = {name: module.get_function(name) for name in names}

    def per_pixel(self, kernel: str, *addresses: int, size: tuple[int, int], count: int, stream: Any) -> None:
        """Start a kernel with one thread per pixel of `count` pictures. size: their height and width."""
        height, width = size
        grid = (-(-width // _BLOCK[0]), -(-height // _BLOCK[1]), count)
        self._start(kernel, *addresses, size=size, block=_BLOCK, grid=grid, stream=stream)

    def per_row(self, kernel: str, *addresses: int, size: tuple[int, int], count: int, stream: Any) -> None:
        """Start a kernel with one thread per row of `count` pictures."""
        grid = (-(-size[0] // _ROWS), count, 1)
        self._start(kernel, *addresses, size=size, block=(_ROWS, 1, 1), grid=grid, stream=stream)

    def _start(
        self,
        kernel: str,
        *addresses: int,
        size: tuple[int, int],
        block: tuple[int, int, int],
        grid: tuple[int, int, int],
        stream: Any,
    ) -> None:
        arguments = (*map(np.uintp, addresses), *map(np.int32, size))
        self._functions[kernel](*arguments, block=block, grid=grid, stream=stream)


class FrameOnDevice:
    """Memory for frames of one form, pinned on the host and on the device."""

    def __init__(self, cuda: Cuda, frame: Nv12 | NDArray[np.uint8]) -> None:
        self._form = _form_of(frame)
        self._pixels = Buffer(cuda, (sum(plane.size for plane in _planes(frame)),), dtype=np.uint8)

    def fits(self, frame: Nv12 | NDArray[np.uint8]) -> bool:
        """Whether a frame has the form that this memory was made for."""
        return self._form == _form_of(frame)

    def upload(self, frame: Nv12 | NDArray[np.uint8], *, stream: Any) -> Any:
        """Start to copy a frame, without what lies between its rows, to the device. Returns its row of FRAME."""
        host, start, addresses, pitches = self._pixels.host, 0, [0, 0], [0, 0]
        for number, plane in enumerate(_planes(frame)):
            host[start : start + plane.size].reshape(plane.shape)[:] = plane
            addresses[number], pitches[number] = self._pixels.address + start, plane.size // len(plane)
            start += plane.size
        self._pixels.upload(len(host), stream=stream)
        return describe_frame(frame, addresses=(addresses[0], addresses[1]), pitches=(pitches[0], pitches[1]))

    def free(self) -> None:
        """Release it."""
        self._pixels.free()


def _planes(frame: Nv12 | NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    return (frame.luma, frame.chroma) if isinstance(frame, Nv12) else (frame,)


def _form_of(frame: Nv12 | NDArray[np.uint8]) -> tuple[tuple[int, ...], ...]:
    return tuple(plane.shape for plane in _planes(frame))
