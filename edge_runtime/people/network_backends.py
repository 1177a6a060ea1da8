"""What runs a detection network, one table row each, and the choice among them."""

import importlib.util
from pathlib import Path
from typing import Literal, Protocol

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build
from edge_runtime.people.detector_file import DetectorFile
from edge_runtime.people.network_detector import DetectionNetwork

NetworkBackend = Literal["auto", "onnxruntime", "openvino", "tensorrt"]
_ENGINE = ".engine"
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}


def open_network(
    file: DetectorFile, *, backend: NetworkBackend = "auto", build: Build | None = None, threads: int = 1
) -> DetectionNetwork:
    """Open a network. backend: `auto` is what the file was built for; without a `build` OpenVINO, where it is installed
    and the CPU computes in bfloat16, else ONNX Runtime.

    There OpenVINO is faster than ONNX Runtime in float32; without bfloat16 it is slower (benchmarks/README.md).

    Raises:
        EngineError: the backend is not installed, or refuses the file.
    """
    chosen = backend if build is None else build.backend
    if chosen == "auto":
        is_installed = importlib.util.find_spec("openvino") is not None
        chosen = "openvino" if is_installed and has_bf16() else "onnxruntime"
    if build is None and (chosen == "tensorrt" or file.path.suffix == _ENGINE):
        raise EngineError(
            f"{file.path} was not built for TensorRT: expected an engine of export/build_engine.py --detector and its "
            "manifest beside it; build it on this device"
        )
    return NETWORK_BACKENDS[chosen](file, build, threads=threads)


def has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU has instructions for bfloat16; False where the system does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not _BF16_FLAGS.isdisjoint(flags)


class OpenNetwork(Protocol):
    """Opens a file; build: how it was built, where it was. threads: CPU threads."""

    def __call__(self, file: DetectorFile, build: Build | None, *, threads: int) -> DetectionNetwork:
        """See above."""
        ...


def _open_onnxruntime(file: DetectorFile, build: Build | None, *, threads: int) -> DetectionNetwork:
    from edge_runtime.people.onnxruntime_network import OnnxRuntimeNetwork

    return OnnxRuntimeNetwork(file, threads=threads)


def _open_openvino(file: DetectorFile, build: Build | None, *, threads: int) -> DetectionNetwork:
    from edge_runtime.people.openvino_network import OpenVinoNetwork

    return OpenVinoNetwork(file, precision=build.precision if build else None, threads=threads)


def _open_tensorrt(file: DetectorFile, build: Build | None, *, threads: int) -> DetectionNetwork:
    from edge_runtime.people.tensorrt_network import TensorRTNetwork

    assert build is not None, "open_network asks for it"
    return TensorRTNetwork(file, build)


NETWORK_BACKENDS: dict[str, OpenNetwork] = {
    "onnxruntime": _open_onnxruntime,
    "openvino": _open_openvino,
    "tensorrt": _open_tensorrt,
}
"""Each imports its library when it is called."""
