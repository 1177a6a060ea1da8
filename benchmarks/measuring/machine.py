"""Where and with what something was measured: the head of every record."""

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.engine.tensorrt.cuda import read_device

_LIBRARIES = ("numpy", "torch", "onnxruntime", "openvino", "tensorrt", "pycuda", "torchreid")


def record_head(benchmark: str, *, libraries: Iterable[str] = _LIBRARIES) -> dict[str, object]:
    """Name of the benchmark, moment, commit, machine and versions; libraries that are not installed are left out."""
    return {
        "benchmark": benchmark,
        "created": read_utc(),
        "commit": read_commit(),
        "device": read_cpu_name(),
        "gpu": gpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **_versions(libraries)},
    }


def gpu_name() -> str | None:
    """GPU and driver's CUDA version, such as `NVIDIA H200, CUDA 13.0`; None where there is none."""
    try:
        device = read_device()
    except EngineError:
        return None
    return f"{device.gpu}, CUDA {device.cuda}"


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
