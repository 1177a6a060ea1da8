"""One batch in flight on the GPU: pinned buffers, a stream, and a recorded run for every batch size it pads to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda
from edge_runtime.engine.tensorrt.cuda_graph import CudaGraph
from edge_runtime.engine.tensorrt.library import load_tensorrt, tensorrt_log


def batch_buckets(*, smallest: int, largest: int) -> tuple[int, ...]:
    """The batch sizes that runs are recorded for, ascending: powers of two, and both limits of the engine's profile."""
    powers = (1 << exponent for exponent in range(largest.bit_length()))
    return tuple(sorted({smallest, largest, *(size for size in powers if smallest < size < largest)}))


class Slot:
    """Buffers, stream and execution contexts for one batch at a time; `start` and `finish` are called alternately.

    is_recorded: run each batch size by a recorded CUDA graph, otherwise one context takes batches of any size and
    launches every kernel by itself. A recording has one shape, and TensorRT needs an execution context for each. The
    contexts of a slot never run at the same time, so they share one block of working memory.

    Threads: one at a time, which makes, uses and closes it inside `with cuda.current():`.
    """

    def __init__(self, cuda: Cuda, engine: Any, *, manifest: Manifest, is_recorded: bool) -> None:
        artefact, spec = manifest.artefact, manifest.input
        self._manifest = manifest
        self._cuda = cuda
        self._engine = engine
        self.stream = cuda.driver.Stream()
        self.pixels = Buffer(cuda, (artefact.batch_max, spec.height_px, spec.width_px, spec.channels), dtype=np.uint8)
        self._descriptors = Buffer(cuda, (artefact.batch_max, manifest.descriptor.length), dtype=np.float32)
        self._memory_bytes = working_memory_bytes(engine)
        self._memory = cuda.driver.mem_alloc(max(self._memory_bytes, 1))
        self._count = 0
        buckets = batch_buckets(smallest=artefact.batch_min, largest=artefact.batch_max)
        self._contexts = {size: self._prepare(size) for size in (buckets if is_recorded else buckets[-1:])}
        self._graphs = {size: self._record(size) for size in buckets} if is_recorded else {}

    @property
    def is_busy(self) -> bool:
        """Whether a batch was started and not yet finished."""
        return self._count > 0

    def start(self, crops: NDArray[np.uint8]) -> None:
        """Start to describe at most `batch_max` crops; returns without waiting."""
        self.pixels.host[: len(crops)] = crops
        self.pixels.upload(len(crops), stream=self.stream)
        self.start_uploaded(len(crops))

    def start_uploaded(self, count: int) -> None:
        """Start to describe the first `count` crops of `pixels`, which work on the same stream has written there."""
        size = min(size for size in self._contexts if size >= count)  # further rows are of an earlier batch
        if self._graphs:
            self._graphs[size].launch()
        else:
            rows = max(count, self._manifest.artefact.batch_min)
            self._set_shape(self._contexts[size], rows)
            self._run(self._contexts[size], rows)
        self._count = count

    def finish(self) -> NDArray[np.float32]:
        """Wait for the batch that was started. Returns a view, (N, length), which the next start overwrites."""
        self.stream.synchronize()
        count, self._count = self._count, 0
        descriptors: NDArray[np.float32] = self._descriptors.host[:count]
        return descriptors

    def close(self) -> None:
        """Release recordings and buffers."""
        for graph in self._graphs.values():
            graph.close()
        self._graphs.clear()
        self._contexts.clear()
        self.pixels.free()
        self._descriptors.free()
        self._memory.free()

    def _prepare(self, size: int) -> Any:
        """Make a context for one batch size, and run it once, because TensorRT allocates in the first run."""
        spec, descriptor = self._manifest.input, self._manifest.descriptor
        context = create_context(self._engine, int(self._memory), size_bytes=self._memory_bytes)
        for tensor, buffer in ((spec.tensor, self.pixels), (descriptor.tensor, self._descriptors)):
            _require(context.set_tensor_address(tensor, buffer.address), f"set the address of {tensor}")
        self._set_shape(context, size)
        self._run(context, size)
        self.stream.synchronize()
        return context

    def _record(self, size: int) -> CudaGraph:
        return CudaGraph(self.stream, lambda: self._run(self._contexts[size], size))

    def _set_shape(self, context: Any, count: int) -> None:
        spec = self._manifest.input
        shape = (count, spec.height_px, spec.width_px, spec.channels)
        _require(context.set_input_shape(spec.tensor, shape), f"take {count} crops")

    def _run(self, context: Any, count: int) -> None:
        _require(context.execute_async_v3(self.stream.handle), f"run {count} crops")
        self._descriptors.download(count, stream=self.stream)


def working_memory_bytes(engine: Any) -> int:
    """Device memory that a run needs besides weights and tensors, at the largest batch."""
    if hasattr(engine, "device_memory_size_v2"):  # 10.1 and later
        return int(engine.device_memory_size_v2)
    return int(engine.device_memory_size)


def create_context(engine: Any, address: int, *, size_bytes: int) -> Any:
    """Make an execution context that works in the given device memory.

    Raises:
        EngineError: TensorRT cannot make one.
    """
    trt = load_tensorrt()
    if hasattr(trt, "ExecutionContextAllocationStrategy"):  # 10 and later
        context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
    else:
        context = engine.create_execution_context_without_device_memory()
    if context is None:
        raise EngineError(f"TensorRT cannot prepare the engine to run: {tensorrt_log().take_errors()}")
    if hasattr(context, "set_device_memory"):  # 10.1 and later
        context.set_device_memory(address, size_bytes)
    else:
        context.device_memory = address
    return context


def _require(is_done: bool, action: str) -> None:
    if not is_done:
        raise EngineError(f"TensorRT could not {action}: {tensorrt_log().take_errors()}; restart the program")
