"""What a user of a public network runs: its plain ONNX export. Without torch, which would take memory and threads."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.manifest import Input

Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, H, W, 3) uint8 RGB crops -> (N, D) float32 unit rows, on the host."""


@dataclass(frozen=True)
class Source:
    """The network a peer runs. checkpoint: None for random weights. plain: its ONNX file as public code exports it."""

    architecture: str
    input_: Input
    checkpoint: Path | None
    plain: Path


@dataclass(frozen=True)
class Peer:
    """How to open one peer."""

    name: str
    backend: str
    precision: str
    open: Callable[[Source], Describe]


def plain_peers() -> list[Peer]:
    """Those whose runtime is installed."""
    found = []
    for name, runtime, open_ in (
        ("plain export, ONNX Runtime", "onnxruntime", _plain_onnxruntime),
        ("plain export, OpenVINO", "openvino", _plain_openvino),
    ):
        try:
            found.append(Peer(name, f"{runtime} {version(runtime)} CPU", "fp32", open_))
        except PackageNotFoundError:
            continue
    return found


def _plain_onnxruntime(source: Source) -> Describe:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(source.plain, options, providers=["CPUExecutionProvider"])
    return lambda crops: _unit_rows(session.run(None, {"images": _planes(crops, source.input_)})[0])


def _plain_openvino(source: Source) -> Describe:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # bound to a core that another program keeps busy it takes 70 times as long
    }
    network = openvino.Core().compile_model(source.plain, "CPU", settings)
    return lambda crops: _unit_rows(network(_planes(crops, source.input_))[0])


def _planes(crops: NDArray[np.uint8], input_: Input) -> NDArray[np.float32]:
    """Normalised float planes in numpy, as public code prepares them."""
    mean, std = np.array(input_.mean, np.float32), np.array(input_.std, np.float32)
    return np.ascontiguousarray(((crops.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2))


def _unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
