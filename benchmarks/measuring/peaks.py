"""Measure a machine's highest rates: large matrix products, and a copy that is larger than any cache."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper

from benchmarks.measuring.roofline import Peaks

_SIDE = 1024  # of the square matrices: large enough for full speed, 0.01 s each
_SIDE_GPU = 8192
_COPY_MIB = 256
_LEAST_S = 0.3


@cache
def measure_cpu_peaks() -> Peaks:
    """Peaks of one thread. float32: the faster of ONNX Runtime's and PyTorch's matrix product."""
    operations = 2 * _SIDE**3
    float_matrix = torch.rand(_SIDE, _SIDE)
    half_matrix = float_matrix.bfloat16()
    seconds = {
        "fp32": min(_seconds(_onnx_product("MatMul")), _seconds(lambda: float_matrix @ float_matrix)),
        "bf16": _seconds(lambda: half_matrix @ half_matrix),
        "int8": _seconds(_onnx_product("MatMulInteger")),
    }
    source = np.ones(_COPY_MIB << 17)  # float64, eight bytes each
    target = np.empty_like(source)
    copy_s = _seconds(lambda: np.copyto(target, source))
    return Peaks(
        gops={precision: round(operations / value / 1e9, 1) for precision, value in seconds.items()},
        copy_gb_s=round(2 * source.nbytes / copy_s / 1e9, 1),
    )


def measure_gpu_peaks() -> Peaks:
    """Peaks of the GPU, by PyTorch. float32 is TensorFloat-32, the default of convolutions in PyTorch and TensorRT.

    PyTorch's settings are restored. A precision in which PyTorch cannot multiply here is left out.
    """
    operations = 2 * _SIDE_GPU**3
    matrix = torch.rand(_SIDE_GPU, _SIDE_GPU, device="cuda")
    whole = torch.randint(-8, 8, (_SIDE_GPU, _SIDE_GPU), dtype=torch.int8, device="cuda")
    half, brain = matrix.half(), matrix.bfloat16()
    products: dict[str, Callable[[], object]] = {
        "fp32": lambda: matrix @ matrix,
        "fp16": lambda: half @ half,
        "bf16": lambda: brain @ brain,
        "int8": lambda: torch._int_mm(whole, whole.t()),
    }
    seconds = {}
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    for precision, product in products.items():
        with suppress(RuntimeError):
            seconds[precision] = _gpu_seconds(product)
    torch.backends.cuda.matmul.allow_tf32 = before
    source = torch.empty(4 * _COPY_MIB << 20, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    copy_s = _gpu_seconds(lambda: target.copy_(source))
    return Peaks(
        gops={precision: round(operations / value / 1e9, 1) for precision, value in seconds.items()},
        copy_gb_s=round(2 * source.numel() / copy_s / 1e9, 1),
        fp32_as="TensorFloat-32",
    )


def _onnx_product(operator: str) -> Callable[[], object]:
    """A square matrix product in ONNX Runtime on one thread."""
    kinds = {
        "MatMul": (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.FLOAT, np.float32, np.float32),
        "MatMulInteger": (TensorProto.UINT8, TensorProto.INT8, TensorProto.INT32, np.uint8, np.int8),
    }
    left, right, out, left_dtype, right_dtype = kinds[operator]
    shape = [_SIDE, _SIDE]
    values = np.random.default_rng(0).integers(0, 8, shape)
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        operator,
        [helper.make_tensor_value_info("a", left, shape)],
        [helper.make_tensor_value_info("c", out, shape)],
        # A constant, as weights are, so that it is packed once.
        [helper.make_tensor("b", right, shape, values.astype(right_dtype).tobytes(), raw=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"a": values.astype(left_dtype)}
    return lambda: session.run(None, feed)


def _seconds(call: Callable[[], object]) -> float:
    """The shortest time of repeated calls, because a peak is the best that was possible."""
    call()
    end = time.perf_counter() + _LEAST_S
    found: list[float] = []
    while (start := time.perf_counter()) < end or len(found) < 3:
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def _gpu_seconds(call: Callable[[], object]) -> float:
    def synchronised() -> None:
        call()
        torch.cuda.synchronize()

    return _seconds(synchronised)
