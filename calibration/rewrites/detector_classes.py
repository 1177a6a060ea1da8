"""Exact rewrite of YOLOX networks for detecting people: the other classes are no longer computed."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from calibration.rewrites.detector_input import REFUSALS, infer_shapes, run_once

_BOX_AND_OBJECT = 5
_TOLERANCE = 1e-5


def keep_one_class(model: onnx.ModelProto, *, classes: int, kept: int) -> bool:
    """Let a network that gives (1, C, 5 + classes) give (1, C, 6): the class `kept`, which becomes class 0.

    `model` is changed if it is such a network, and if the numbers that remain are the same on noise. Returns whether.
    """
    if classes == 1:
        return False
    smaller = onnx.ModelProto()
    smaller.CopyFrom(model)
    last = {node.input[1]: node.input[2:] for node in smaller.graph.node if node.op_type == "Conv"}
    is_sliced = False
    for tensor in smaller.graph.initializer:
        of_class = [weights for weights, rest in last.items() if tensor.name == weights or tensor.name in rest]
        if of_class and tensor.dims[0] == classes:
            _set(tensor, numpy_helper.to_array(tensor)[kept : kept + 1])
            is_sliced = True
    for node in smaller.graph.node:
        shape = next(
            (t for t in smaller.graph.initializer if node.op_type == "Reshape" and t.name == node.input[1]), None
        )
        if shape is not None:
            values = numpy_helper.to_array(shape)
            _set(shape, np.where(values == _BOX_AND_OBJECT + classes, _BOX_AND_OBJECT + 1, values))
    if not is_sliced or not _is_equal(model, smaller, kept=kept):
        return False
    model.CopyFrom(smaller)
    return True


def _set(tensor: onnx.TensorProto, values: NDArray[np.generic]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _is_equal(model: onnx.ModelProto, smaller: onnx.ModelProto, *, kept: int) -> bool:
    """Whether both give the same for a picture of noise; False where the smaller one does not run."""
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    noise = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    try:
        infer_shapes(smaller)
        found = run_once(smaller, noise)
    except REFUSALS:
        return False
    expected = run_once(model, noise)
    columns = [*range(_BOX_AND_OBJECT), _BOX_AND_OBJECT + kept]
    return found.shape[-1] == len(columns) and np.allclose(found, expected[..., columns], atol=_TOLERANCE)
