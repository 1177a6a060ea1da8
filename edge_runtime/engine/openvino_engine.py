"""ONNX files on x86 CPUs by OpenVINO, in float32, bfloat16 or INT8: an optional backend for gateways."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.engine.engine import Engine

LARGEST_CHUNK = 4
# What is not quantised in an INT8 file runs in float32: that is the precision its accuracy was measured in.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_DTYPES = {"u8": "uint8", "f32": "float32"}


class OpenVinoEngine(Engine):
    """An ONNX file on the CPU; `threads` streams take chunks of at most `LARGEST_CHUNK` crops, one thread each.

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
            network = core.compile_model(
                path,
                "CPU",
                {
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": threads,
                    # Pinned streams of every process would start at core 0 and wait for each other there.
                    "ENABLE_CPU_PINNING": False,
                    "INFERENCE_PRECISION_HINT": _HINTS[manifest.build.precision],
                },
            )
        except RuntimeError as error:
            raise EngineError(
                f"{self.backend} cannot load {path}: {_last_line(error)}; "
                "the file is damaged or no ONNX model, export it again"
            ) from error
        _check_tensors(path, network, manifest)
        self._queue = openvino.AsyncInferQueue(network, threads)
        self._queue.set_callback(_keep)

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        size = min(LARGEST_CHUNK, math.ceil(len(crops) / self._threads))
        descriptors = np.empty((len(crops), self.manifest.descriptor.length), np.float32)
        try:
            for start in range(0, len(crops), size):
                self._queue.start_async({0: crops[start : start + size]}, descriptors[start : start + size])
            self._queue.wait_all()
        except RuntimeError as error:
            raise EngineError(f"{self.backend} failed on {len(crops)} crops: {_last_line(error)}") from error
        return descriptors

    def close(self) -> None:
        """Give back the network's memory; the engine cannot be used afterwards."""
        self._queue = None


def load_openvino() -> Any:
    """The `openvino` module.

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
    """Refuse bfloat16 where the CPU has none: OpenVINO would take float32 without a word.

    Raises:
        EngineError: the CPU does not compute in the manifest's precision.
    """
    precision = manifest.build.precision
    if precision not in _HINTS:
        raise EngineError(f"OpenVINO runs {', '.join(_HINTS)} engines here, not {precision}; build one of those")
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError("this CPU does not compute in bfloat16; build the engine in float32 or INT8 on this machine")


def _keep(request: Any, rows: NDArray[np.float32]) -> None:
    """Put a finished chunk's descriptors where they belong."""
    rows[:] = request.get_output_tensor(0).data


def _check_tensors(path: Path, network: Any, manifest: Manifest) -> None:
    spec, descriptor = manifest.input, manifest.descriptor
    expected = [
        f"{spec.tensor} {spec.dtype} (any, {spec.height_px}, {spec.width_px}, 3)",
        f"{descriptor.tensor} float32 (any, {descriptor.length})",
    ]
    found = [_as_text(tensor) for tensor in (*network.inputs, *network.outputs)]
    if found != expected:
        raise EngineError(
            f"{path} does not fit its manifest: expected {', '.join(expected)}; found {', '.join(found)}; "
            "export it again"
        )


def _as_text(tensor: Any) -> str:
    """Name, type and shape as in the manifest; a batch that may vary reads `any`."""
    sizes = ["any" if size.is_dynamic else str(size.get_length()) for size in tensor.partial_shape]
    dtype = tensor.element_type.get_type_name()
    return f"{tensor.any_name} {_DTYPES.get(dtype, dtype)} ({', '.join(sizes)})"


def _last_line(error: Exception) -> str:
    """OpenVINO tells where in its source an error arose, and at the end what it was."""
    return ([line for line in str(error).splitlines() if line.strip()] or ["it gives no reason"])[-1].strip()
