"""A TensorRT plan whose inputs and outputs have fixed sizes, such as a detector for some frames, on the GPU."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda
from edge_runtime.engine.tensorrt.cuda_graph import CudaGraph
from edge_runtime.engine.tensorrt.frame_fitter import FrameFitter
from edge_runtime.engine.tensorrt.library import load_tensorrt, tensorrt_log

logger = logging.getLogger(__name__)

_DTYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT32": np.int32, "INT64": np.int64}


class FixedNetwork:
    """A plan that is ready to run: recorded as one CUDA graph where the driver can do that.

    shapes: of the outputs, in the plan's order. recording_fault: why runs are not recorded; None where they are.
    images: the input, if there is one, into which frames can be fitted on the GPU: (N, 3, height, width) float32.

    Threads: one at a time uses it.

    Raises:
        EngineError: TensorRT refuses the plan, or it has sizes that are not fixed.
    """

    def __init__(self, plan: bytes) -> None:
        trt = load_tensorrt()
        self._cuda = Cuda()
        self.recording_fault: str | None = None
        self._graph: CudaGraph | None = None
        self._fitter: FrameFitter | None = None
        self._engine: Any = None
        with ExitStack() as opening:
            opening.callback(self._cuda.release)
            with self._cuda.current(), ExitStack() as made:
                made.callback(self._drop)
                self._engine = trt.Runtime(tensorrt_log()).deserialize_cuda_engine(plan)
                if self._engine is None:
                    raise EngineError(
                        f"TensorRT {trt.__version__} cannot load the plan: {tensorrt_log().take_errors()}"
                    )
                self._stream: Any = self._cuda.make_stream()
                self._buffers = {name: self._make_buffer(name, made) for name in self._names(trt, None)}
                self.inputs, self.outputs = self._names(trt, "INPUT"), self._names(trt, "OUTPUT")
                self._context = self._engine.create_execution_context()
                for name, buffer in self._buffers.items():
                    _require(self._context.set_tensor_address(name, buffer.address), f"set the address of {name}")
                for buffer in self._buffers.values():
                    buffer.upload(len(buffer.host), stream=self._stream)
                self._start()
                self._stream.synchronize()
                made.callback(self._close_graph)
                self._record()
                self.images, self._fitter = self._open_fitter(made)
                self._made = made.pop_all()
            opening.pop_all()

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the outputs."""
        return tuple(self._buffers[name].host.shape for name in self.outputs)

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Of an input or output."""
        return tuple(self._buffers[name].host.shape)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Run once. inputs: by name, each of its shape. Returns copies of the outputs, in the plan's order."""
        with self._cuda.current():
            self._upload(inputs)
            return self._finish()

    def run_frames(
        self,
        frames: Sequence[Nv12 | NDArray[np.uint8]],
        placements: NDArray[Any],
        *,
        inputs: Mapping[str, NDArray[Any]],
    ) -> list[NDArray[Any]]:
        """Run once on frames, which the GPU fits into `images`; see `FrameFitter.fit`. inputs: the other ones."""
        assert self.images is not None, "nothing takes frames"
        assert self._fitter is not None
        with self._cuda.current():
            self._fitter.fit(frames, placements, into=self._buffers[self.images], stream=self._stream)
            self._upload(inputs)
            return self._finish()

    def close(self) -> None:
        """Release everything, the CUDA context last."""
        with self._cuda.current():
            self._made.close()
        self._cuda.release()

    def _names(self, trt: Any, mode: str | None) -> Sequence[str]:
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        if mode is None:
            return names
        return [name for name in names if self._engine.get_tensor_mode(name) == getattr(trt.TensorIOMode, mode)]

    def _make_buffer(self, name: str, made: ExitStack) -> Buffer:
        shape, dtype = tuple(self._engine.get_tensor_shape(name)), self._engine.get_tensor_dtype(name).name
        if any(size < 0 for size in shape) or dtype not in _DTYPES:
            raise EngineError(
                f"expected tensors of fixed sizes in the plan, found {name} {dtype} {shape}; build it again"
            )
        buffer = Buffer(self._cuda, shape, dtype=_DTYPES[dtype])
        made.callback(buffer.free)
        buffer.host[:] = 0  # the first run is on black, not on what the memory held before
        return buffer

    def _open_fitter(self, made: ExitStack) -> tuple[str | None, FrameFitter | None]:
        """Prepare to fit frames on the GPU; nothing where no input takes them, or the driver refuses our kernels."""
        name = self.inputs[0]
        host = self._buffers[name].host
        if host.ndim != 4 or host.shape[1] != 3 or host.dtype != np.float32:
            return None, None
        frames_max, _, height_px, width_px = host.shape
        try:
            fitter = FrameFitter(self._cuda, height_px=height_px, width_px=width_px, frames_max=frames_max)
        except EngineError as error:
            logger.warning(
                "frames are fitted into the detector's input on the CPU: %s", str(error)
            )  # it would hold memory
            return None, None
        made.callback(fitter.free)
        return name, fitter

    def _upload(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        for name, values in inputs.items():
            self._buffers[name].host[:] = values
            self._buffers[name].upload(len(values), stream=self._stream)

    def _finish(self) -> list[NDArray[Any]]:
        """Run on what is on the device or on its way there, and wait."""
        if self._graph:
            self._graph.launch()
        else:
            self._start()
        self._stream.synchronize()
        return [self._buffers[name].host.copy() for name in self.outputs]

    def _start(self) -> None:
        """Put kernels, and the copies of what they give, on the stream."""
        _require(self._context.execute_async_v3(self._stream.handle), "run the network")
        for name in self.outputs:
            self._buffers[name].download(len(self._buffers[name].host), stream=self._stream)

    def _record(self) -> None:
        try:
            self._graph = CudaGraph(self._stream, self._start)
        except EngineError as error:
            self.recording_fault = str(error)
            logger.warning(
                "runs cannot be recorded, so each one launches its kernels one by one: %s", self.recording_fault
            )
            self._start()
            self._stream.synchronize()

    def _close_graph(self) -> None:
        if self._graph:
            self._graph.close()

    def _drop(self) -> None:
        """Let go of what is released with its last reference; buffers have been released then."""
        self._graph = self._context = self._engine = self._stream = self._fitter = None


def _require(is_done: bool, action: str) -> None:
    if not is_done:
        raise EngineError(f"TensorRT could not {action}: {tensorrt_log().take_errors()}; restart the program")
