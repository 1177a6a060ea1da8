"""What INT8 leaves in float computes in half precision, and says the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from export.building.half_floats import with_half_floats
from tests.export.building.test_tensorrt_builder import quantise
from tests.support.small_osnet import export_small_osnet


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A small OSNet whose convolutions are in INT8, for TensorRT."""
    return onnx.load(quantise(export_small_osnet(tmp_path_factory.mktemp("half")), activations="int8"))


def types_of(network: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(network, strict_mode=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def descriptors(network: onnx.ModelProto, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Raw descriptors, step by step as the file says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(network.SerializeToString(), options)
    [found] = session.run(None, {session.get_inputs()[0].name: crops})
    return np.asarray(found, np.float32)


def test_steps_in_float_are_halved_but_for_the_ends_and_long_sums(quantised: onnx.ModelProto) -> None:
    """A mean over many positions is added up before it is divided, which float16 does not hold."""
    half = with_half_floats(quantised)
    types = types_of(half)
    assert types[half.graph.output[0].name] == onnx.TensorProto.FLOAT
    for node in half.graph.node:
        expected = onnx.TensorProto.FLOAT if node.op_type in ("GlobalAveragePool", "ReduceMean") else None
        if node.op_type in ("Conv", "DequantizeLinear", "Add", "Mul"):
            expected = onnx.TensorProto.FLOAT16
        if expected is not None and node.output[0] in types:
            assert types[node.output[0]] == expected, node.name
    assert "GlobalAveragePool" in {node.op_type for node in half.graph.node}


def test_descriptors_stay(quantised: onnx.ModelProto) -> None:
    """Float16 moves them less than quantising did."""
    spec = quantised.graph.input[0].type.tensor_type.shape.dim
    crops = np.random.default_rng(0).integers(0, 256, (4, *(axis.dim_value for axis in spec[1:])), dtype=np.uint8)
    before, after = (descriptors(network, crops) for network in (quantised, with_half_floats(quantised)))
    cosines = (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert cosines.min() > 0.995
    assert cosines.min() < 1 - 1e-9
