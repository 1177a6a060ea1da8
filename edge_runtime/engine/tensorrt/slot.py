"""One batch in flight on the GPU: pinned buffers, a stream, and a recorded run for every batch size it pads to."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.engine.tensorrt.batch_buckets import batch_buckets
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda
from edge_runtime.engine.tensorrt.cuda_graph import CudaGraph
from edge_runtime.engine.tensorrt.library import load_tensorrt, tensorrt_log


class Slot:
    """Buffers, stream and execution contexts for one batch at a time; `start` and `finish` are called alternately.

    is_recorded: run each batch size by a recorded CUDA graph. has_contexts: make an execution context for each batch
    size, which recordings need; otherwise one takes batches of any size. The contexts of a slot never run at the same
    time, so they share one block of working memory.

    recording_fault: why runs are not recorded although they should be; then every kernel is launched by itself.

    Threads: one at a time, which makes, uses and closes it inside `with cuda.current():`.
    """

    def __init__(self, cuda: Cuda, engine: Any, *, manifest: Manifest, is_recorded: bool, has_contexts: bool) -> None:
        artefact, spec = manifest.artefact, manifest.input
        self._manifest, self._engine = manifest, engine
        self._count = 0
        self._contexts: dict[int, Any] = {}
        self._graphs: dict[int, CudaGraph] = {}
        self._has_contexts = has_contexts
        self.recording_fault: str | None = None
        with ExitStack() as opening:  # what was made is released if the next step fails, the last one first
            self.stream: Any = cuda.make_stream()
            opening.callback(self._drop_stream)
            shape = (artefact.batch_max, spec.height_px, spec.width_px, spec.channels)
            self.pixels = Buffer(cuda, shape, dtype=np.uint8)
            opening.callback(self.pixels.free)
            self._descriptors = Buffer(cuda, (artefact.batch_max, manifest.descriptor.length), dtype=np.float32)
            opening.callback(self._descriptors.free)
            self._memory_bytes = working_memory_bytes(engine)
            self._memory = cuda.driver.mem_alloc(max(self._memory_bytes, 1))
            opening.callback(self._memory.free)
            opening.callback(self._contexts.clear)
            buckets = batch_buckets(smallest=artefact.batch_min, best=artefact.batch_opt, largest=artefact.batch_max)
            for size in buckets if has_contexts else buckets[-1:]:
                self._contexts[size] = self._prepare(size)
            opening.callback(self._close_graphs)
            if is_recorded:
                self._record(buckets)
            self._resources = opening.pop_all()

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
        if size in self._graphs:
            self._graphs[size].launch()
        elif self._has_contexts:
            self._run(self._contexts[size], size)
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
        """Release recordings, contexts, buffers and stream, in this order."""
        self._resources.close()
        self._engine = None

    def _prepare(self, size: int) -> Any:
        """Make a context for one batch size, and run it once, because TensorRT allocates in the first run."""
        spec, descriptor = self._manifest.input, self._manifest.descriptor
        context = create_context(self._engine, int(self._memory), size_bytes=self._memory_bytes)
        profile = find_profile(self._engine, spec.tensor, size=size)
        if profile:  # the first one is set already
            is_set = context.set_optimization_profile_async(profile, self.stream.handle)
            _require(is_set, f"use the profile for {size} crops")
        for tensor, buffer in ((spec.tensor, self.pixels), (descriptor.tensor, self._descriptors)):
            _require(context.set_tensor_address(tensor, buffer.address), f"set the address of {tensor}")
        self._set_shape(context, size)
        self._run(context, size)
        self.stream.synchronize()
        return context

    def _record(self, buckets: Sequence[int]) -> None:
        """Record a run of each size. If one cannot be recorded, none is used: each run then launches its kernels.

        Raises:
            EngineError: the engine does not run any more without a recording either.
        """
        try:
            for size in buckets:
                self._graphs[size] = self._record_run(size)
        except EngineError as error:
            self.recording_fault = str(error)
            self._close_graphs()
            self._run(self._contexts[buckets[0]], buckets[0])
            self.stream.synchronize()

    def _record_run(self, size: int) -> CudaGraph:
        return CudaGraph(self.stream, lambda: self._run(self._contexts[size], size))

    def _close_graphs(self) -> None:
        while self._graphs:
            _, graph = self._graphs.popitem()
            graph.close()

    def _drop_stream(self) -> None:
        """The stream is released with its last reference, while the CUDA context is still there."""
        self.stream = None

    def _set_shape(self, context: Any, count: int) -> None:
        spec = self._manifest.input
        shape = (count, spec.height_px, spec.width_px, spec.channels)
        _require(context.set_input_shape(spec.tensor, shape), f"take {count} crops")

    def _run(self, context: Any, count: int) -> None:
        _require(context.execute_async_v3(self.stream.handle), f"run {count} crops")
        self._descriptors.download(count, stream=self.stream)


def find_profile(engine: Any, tensor: str, *, size: int) -> int:
    """The index of the engine's narrowest profile that takes batches of this size.

    Raises:
        EngineError: none does.
    """
    widths = {}
    for index in range(engine.num_optimization_profiles):
        smallest, _, largest = (shape[0] for shape in engine.get_tensor_profile_shape(tensor, index))
        if smallest <= size <= largest:
            widths[index] = largest - smallest
    if not widths:
        raise EngineError(f"the engine has no profile for {size} crops; build it again with export/build_engine.py")
    return min(widths, key=lambda index: widths[index])


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
