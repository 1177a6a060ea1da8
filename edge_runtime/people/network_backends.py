"""What runs a detection network, one table row each, and the choice among them."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from edge_runtime.people.detector_file import DetectorFile
from edge_runtime.people.network_detector import DetectionNetwork

NetworkBackend = Literal["auto", "onnxruntime", "openvino"]
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def open_network(file: DetectorFile, *, backend: NetworkBackend = "auto", threads: int = 1) -> DetectionNetwork:
    """Open a network. backend: `auto` is OpenVINO where it is installed and the CPU computes in bfloat16.

    There it is faster than ONNX Runtime in float32; without bfloat16 it is slower (benchmarks/README.md).

    Raises:
        EngineError: the backend is not installed, or refuses the file.
    """
    if backend == "auto":
        is_installed = importlib.util.find_spec("openvino") is not None
        backend = "openvino" if is_installed and has_bf16() else "onnxruntime"
    return NETWORK_BACKENDS[backend](file, threads)


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has instructions for bfloat16; False where the system does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not _BF16_FLAGS.isdisjoint(flags)


def _open_onnxruntime(file: DetectorFile, threads: int) -> DetectionNetwork:
    from edge_runtime.people.onnxruntime_network import OnnxRuntimeNetwork

    return OnnxRuntimeNetwork(file, threads=threads)


def _open_openvino(file: DetectorFile, threads: int) -> DetectionNetwork:
    from edge_runtime.people.openvino_network import OpenVinoNetwork

    return OpenVinoNetwork(file, threads=threads)


NETWORK_BACKENDS: dict[str, Callable[[DetectorFile, int], DetectionNetwork]] = {
    "onnxruntime": _open_onnxruntime,
    "openvino": _open_openvino,
}
"""(file, CPU threads) -> an open network. Each imports its library when it is called."""
