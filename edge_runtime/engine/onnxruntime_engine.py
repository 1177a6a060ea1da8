"""ONNX files in ONNX Runtime on the CPU: short chunks of crops, each on one thread."""

import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.fastest import find_fastest

# Larger chunks do not fit the CPU's caches: in one call of 32 crops a crop takes 1.2 times as long as in one of 4
# (OSNet x1.0).
LARGEST_CHUNK = 4

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32"}
_BACKEND_ERRORS = (  # they share no base class but Exception
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxRuntimeEngine(Engine):
    """An ONNX file on the CPU; up to `threads` chunks of at most `LARGEST_CHUNK` crops run at the same time.

    That is faster than one call on the whole batch with as many threads, which also keep using the CPU between calls.
    A single crop can use all threads: whether that is faster depends on the network and on the load of the machine, so
    both ways are tried when the engine opens.

    Threads: the caller's; with `threads` > 1 each chunk runs in a thread of a pool of its own, and the caller waits.

    Raises:
        EngineError: ONNX Runtime refuses the file, or its tensors are not those of the manifest.
    """

    def __init__(self, path: Path, manifest: Manifest, *, threads: int = 1) -> None:
        super().__init__(manifest)
        if threads < 1:
            raise EngineError(f"an engine needs at least 1 thread, found {threads}")
        self.backend = f"onnxruntime {onnxruntime.__version__} CPU"
        self._threads = threads
        self._session = self._single = _open_session(path, threads=1)
        _check_tensors(path, self._session, manifest=manifest)
        if threads > 1:
            self._single = self._faster(self._session, _open_session(path, threads=threads))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine") if threads > 1 else None

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if len(crops) == 1:
            return self._run_session(self._single, crops)
        size = min(LARGEST_CHUNK, math.ceil(len(crops) / self._threads))
        chunks = [crops[start : start + size] for start in range(0, len(crops), size)]
        results = self._pool.map(self._run_chunk, chunks) if self._pool else map(self._run_chunk, chunks)
        return np.concatenate(list(results))

    def _run_chunk(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run one chunk. Runs in the threads of the pool: several threads may use a session at the same time."""
        return self._run_session(self._session, crops)

    def _run_session(self, session: Any, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            outputs = session.run([self.manifest.descriptor.tensor], {self.manifest.input.tensor: crops})
        except _BACKEND_ERRORS as error:
            raise EngineError(f"{self.backend} failed on {len(crops)} crops: {_first_line(error)}") from error
        return np.asarray(outputs[0], np.float32)

    def _faster(self, *sessions: Any) -> Any:
        """The session that takes less time for one crop, of those given."""
        spec = self.manifest.input
        crop = np.zeros((1, spec.height_px, spec.width_px, spec.channels), np.uint8)
        return sessions[find_fastest([partial(self._run_session, session, crop) for session in sessions])]

    def close(self) -> None:
        """Stop the threads and release the network's memory; the engine cannot be used afterwards."""
        if self._pool:
            self._pool.shutdown()
        self._session = self._single = None


def _open_session(path: Path, *, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    # With one thread ONNX Runtime makes no pool; the threads of a larger pool must not use the CPU between calls.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 4  # faults come as exceptions
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except (*_BACKEND_ERRORS, ort_errors.NoSuchFile) as error:
        raise EngineError(
            f"onnxruntime {onnxruntime.__version__} cannot load {path}: {_first_line(error)}; "
            "the file is damaged or no ONNX model, export it again"
        ) from error


def _check_tensors(path: Path, session: Any, *, manifest: Manifest) -> None:
    spec, descriptor = manifest.input, manifest.descriptor
    expected_input = f"{spec.tensor} {spec.dtype} (any, {spec.height_px}, {spec.width_px}, {spec.channels})"
    expected_output = f"{descriptor.tensor} float32 (any, {descriptor.length})"
    for role, expected, tensors in (
        ("input", expected_input, session.get_inputs()),
        ("output", expected_output, session.get_outputs()),
    ):
        found = ", ".join(_as_text(tensor) for tensor in tensors)
        if found != expected:
            raise EngineError(
                f"{path} does not fit its manifest: expected the {role} {expected}, found {found}; export it again"
            )


def _as_text(tensor: Any) -> str:
    """Name, type and shape as in the manifest; `any` stands for a batch of any size."""
    sizes = [str(size) for size in tensor.shape]
    if tensor.shape and isinstance(tensor.shape[0], str):
        sizes[0] = "any"
    return f"{tensor.name} {_DTYPES.get(tensor.type, tensor.type)} ({', '.join(sizes)})"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
