"""Peers that run the plain ONNX export of a network, as its users do. No torch, which would take memory and threads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.manifest import Input

EAGER = "PyTorch eager"
"""Name of the peer whose time the others are divided by."""


@dataclass(frozen=True)
class PeerSource:
    """The network that a peer runs. checkpoint: None for random weights. plain: path of its plain ONNX export."""

    architecture: str
    input_: Input
    checkpoint: Path | None
    plain: Path


@dataclass(frozen=True)
class Peer:
    """How to open one peer. What `open` returns gives unit rows, on the host."""

    name: str
    backend: str
    precision: str
    open: Callable[[PeerSource], Describe]


def list_plain_peers() -> list[Peer]:
    """Peers whose runtime is installed."""
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


def _plain_onnxruntime(source: PeerSource) -> Describe:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(source.plain, options, providers=["CPUExecutionProvider"])
    return lambda crops: unit_rows(session.run(None, {"images": float_planes(crops, source.input_)})[0])


def _plain_openvino(source: PeerSource) -> Describe:
    network = compile_for_openvino(source.plain)
    return lambda crops: unit_rows(network(float_planes(crops, source.input_))[0])


def compile_for_openvino(path: Path, *, shape: Sequence[int] | None = None) -> Any:
    """A network in its own precision, on one thread. shape: fixed shape of the input, None to leave it open."""
    import openvino

    core = openvino.Core()
    network = core.read_model(path)
    if shape:
        network.reshape(shape)
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # pinned to a busy core it is 70 times as slow
    }
    return core.compile_model(network, "CPU", settings)


def float_planes(crops: NDArray[np.uint8], input_: Input) -> NDArray[np.float32]:
    """Normalised float planes in numpy, as public code prepares them: (N, H, W, 3) uint8 -> (N, 3, H, W) float32."""
    mean, std = np.array(input_.mean, np.float32), np.array(input_.std, np.float32)
    return np.ascontiguousarray(((crops.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2))


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row divided by its L2 length."""
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
