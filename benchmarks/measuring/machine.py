"""The machine a benchmark runs on: its names, and the head of every record."""

import os
import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.engine.tensorrt.cuda import read_device

_LIBRARIES = ("numpy", "torch", "onnxruntime", "openvino", "tensorrt", "pycuda", "torchreid")
_BOARD = Path("/proc/device-tree/model")
# Makers, trademarks, memory sizes, core counts and clocks: what does not tell two machines apart.
_NOT_IN_SLUG = re.compile(
    r"\((r|tm)\)|@.*|\b(nvidia|jetson|developer|engineering|reference|kit|super|amd|intel|cpu|processor|\d+-core|"
    r"\d+gb|hbm\d\w*)\b"
)


def record_head(benchmark: str, *, libraries: Iterable[str] = _LIBRARIES) -> dict[str, object]:
    """Name of the benchmark, time, commit, machine and versions. Libraries that are not installed are left out."""
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
    """GPU and the driver's CUDA version, such as `NVIDIA H200, CUDA 13.0`; None where there is no GPU."""
    try:
        device = read_device()
    except EngineError:
        return None
    return f"{device.gpu}, CUDA {device.cuda}"


def machine_slug() -> str:
    """This machine's name for a folder: its board's, else its GPU's, else its CPU's."""
    try:
        board = _BOARD.read_text().rstrip("\0")
    except OSError:
        board = None
    gpu = gpu_name()
    return slug_of(board=board, gpu=gpu.rpartition(", CUDA")[0] if gpu else None, cpu=read_cpu_name())


def slug_of(*, board: str | None, gpu: str | None, cpu: str) -> str:
    """A machine's name for a folder: `orin-nano`, `h100`, `cpu-epyc`. A Jetson is known by its board.

    board: as the device tree names it, None where there is none. gpu: as CUDA names it, None where there is none.
    """
    if board is not None and "jetson" in board.lower():
        return _slug(board)
    return _slug(gpu) if gpu is not None else f"cpu-{_slug(cpu)}"


def _slug(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", _NOT_IN_SLUG.sub(" ", name.lower()))
    return "-".join(words) or "unknown"


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in libraries:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
