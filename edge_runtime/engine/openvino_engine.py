"""ONNX files in OpenVINO on x86 CPUs, in float32, bfloat16 or INT8: an optional backend for gateways."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.fastest import find_fastest

# Larger chunks are no faster, and leave threads idle more often.
CHUNK = 4
# The layers of an INT8 file that are not quantized run in float32, in which its accuracy was measured.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_DTYPES = {"u8": "uint8", "f32": "float32"}

_Run = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, height, width, channels) crops -> (N, D) raw descriptors."""


class OpenVinoEngine(Engine):
    """An ONNX file on the CPU; up to `threads` chunks run at the same time, each in one thread.

    A chunk is `CHUNK` crops or one, and the network is compiled for exactly these sizes: OpenVINO runs fixed shapes 1.3
    to 1.5 times as fast as a network that takes any number (OSNet x0.25). A single crop uses all threads, if that was
    faster when the engine was opened.

    Threads: the caller's; with `threads` > 1 each chunk runs in a thread of a pool of its own, and the caller waits.

    Raises:
        EngineError: OpenVINO is missing or refuses the file, its tensors are not those of the manifest, or the CPU does
            not compute in the manifest's precision.
    """

    def __init__(self, path: Path, manifest: Manifest, *, threads: int = 1) -> None:
        super().__init__(manifest)
        if threads < 1:
            raise EngineError(f"an engine needs at least 1 thread, found {threads}")
        openvino = load_openvino()
        self.backend = f"openvino {openvino.__version__.partition('-')[0]} CPU"
        self._threads = threads
        core = openvino.Core()
        check_precision(core, manifest)
        try:
            network = core.read_model(path)
            _check_tensors(path, network, manifest=manifest)
            compile_for = partial(_compile, core, network, manifest=manifest, threads=threads)
            compiled = {size: compile_for(size=size, streams=threads) for size in (1, CHUNK)}
            single = compile_for(size=1, streams=1) if threads > 1 else compiled[1]
        except RuntimeError as error:
            raise EngineError(
                f"{self.backend} cannot load {path}: {_last_line(error)}; "
                "the file is damaged or no ONNX model, export it again"
            ) from error
        self._idle: SimpleQueue[dict[int, Any]] = SimpleQueue()
        for _ in range(threads):
            self._idle.put({size: each.create_infer_request() for size, each in compiled.items()})
        # OpenVINO's first call never returns when two threads make it at the same time: it is made here, on one thread.
        self._run_single = self._faster(self._run_chunk, partial(self._infer, single.create_infer_request()))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(crops) == 1:
            return self._run_single(crops)
        chunks = [crops[start:end] for start, end in pairwise(chunk_borders(len(crops), threads=self._threads))]
        runs = map if self._threads == 1 else self._pool.map
        return np.concatenate(list(runs(self._run_chunk, chunks)))

    def _run_chunk(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run one chunk, in a thread of the pool or the caller's, with requests that no other thread uses."""
        requests = self._idle.get_nowait()  # one set per thread; none after `close`
        try:
            return self._infer(requests[len(crops)], crops)
        finally:
            self._idle.put(requests)

    def _infer(self, request: Any, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            outputs = request.infer({0: crops}, share_inputs=True)
        except RuntimeError as error:
            raise EngineError(f"{self.backend} failed on {len(crops)} crops: {_last_line(error)}") from error
        return np.asarray(outputs[0], np.float32)

    def _faster(self, *ways: _Run) -> _Run:
        """The way that takes less time for one crop, of those given."""
        spec = self.manifest.input
        crop = np.zeros((1, spec.height_px, spec.width_px, spec.channels), np.uint8)
        return ways[find_fastest([partial(way, crop) for way in ways])]

    def close(self) -> None:
        """Stop the threads and release the network's memory; the engine cannot be used afterwards."""
        self._pool.shutdown()
        self._idle = SimpleQueue()
        del self._run_single


def chunk_borders(count: int, *, threads: int) -> list[int]:
    """First crop of each chunk, and the count: full chunks in a multiple of the threads, then single crops."""
    full = min(count // CHUNK, math.ceil(count / threads) // CHUNK * threads)
    return [*range(0, full * CHUNK, CHUNK), *range(full * CHUNK, count + 1)]


def _compile(core: Any, network: Any, *, manifest: Manifest, size: int, streams: int, threads: int) -> Any:
    """Compile the network for batches of exactly `size` crops; `streams` batches at a time share the threads."""
    fixed = network.clone()
    fixed.reshape([size, *fixed.inputs[0].partial_shape[1:]])
    return core.compile_model(
        fixed,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            # With pinning, the first stream of every process would run on core 0, one after the other.
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": _HINTS[manifest.build.precision],
        },
    )


def load_openvino() -> Any:
    """Import the `openvino` module.

    Raises:
        EngineError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise EngineError(
            f"OpenVINO cannot be imported ({error}); install it with: pip install 'reid-edge[openvino]', "
            "or run the ONNX file with ONNX Runtime instead"
        ) from error
    return openvino


def check_precision(core: Any, manifest: Manifest) -> None:
    """Refuse bfloat16 where the CPU does not have it: OpenVINO would compute in float32 without a warning.

    Raises:
        EngineError: the CPU does not compute in the manifest's precision.
    """
    precision = manifest.build.precision
    if precision not in _HINTS:
        raise EngineError(f"OpenVINO runs {', '.join(_HINTS)} engines here, not {precision}; build one of those")
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError("this CPU does not compute in bfloat16; build the engine in float32 or INT8 on this machine")


def _check_tensors(path: Path, network: Any, *, manifest: Manifest) -> None:
    spec, descriptor = manifest.input, manifest.descriptor
    expected = [
        f"{spec.tensor} {spec.dtype} (any, {spec.height_px}, {spec.width_px}, {spec.channels})",
        f"{descriptor.tensor} float32 (any, {descriptor.length})",
    ]
    found = [_as_text(tensor) for tensor in (*network.inputs, *network.outputs)]
    if found != expected:
        raise EngineError(
            f"{path} does not fit its manifest: expected {', '.join(expected)}; found {', '.join(found)}; "
            "export it again"
        )


def _as_text(tensor: Any) -> str:
    """Name, type and shape as in the manifest; `any` stands for a batch of any size."""
    sizes = ["any" if size.is_dynamic else str(size.get_length()) for size in tensor.partial_shape]
    dtype = tensor.element_type.get_type_name()
    return f"{tensor.any_name} {_DTYPES.get(dtype, dtype)} ({', '.join(sizes)})"


def _last_line(error: Exception) -> str:
    """The last line of an error: OpenVINO writes the place in its source first, and the reason last."""
    return ([line for line in str(error).splitlines() if line.strip()] or ["it gives no reason"])[-1].strip()
