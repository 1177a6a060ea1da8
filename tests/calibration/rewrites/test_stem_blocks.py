"""The stem on blocks of 2x2 pixels."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from calibration.rewrites.stem_blocks import convolve_stem_in_blocks

USUAL: dict[str, Any] = {
    "kernel_shape": [7, 7],
    "strides": [2, 2],
    "pads": [3, 3, 3, 3],
    "dilations": [1, 1],
    "group": 1,
}


def _network(*, height: int = 12, width: int = 8, **changes: Any) -> onnx.ModelProto:
    settings = USUAL | changes
    kernel = settings["kernel_shape"]
    weights = np.random.default_rng(0).standard_normal((4, 3, *kernel)).astype(np.float32)
    nodes = [
        helper.make_node("Neg", ["pixels"], ["image"], name="neg"),
        helper.make_node("Conv", ["image", "w"], ["out"], name="stem", **settings),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", 3, height, width])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 4, None, None])
    graph = helper.make_graph(nodes, "stem", [pixels], [out], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _run(model: onnx.ModelProto, *, height: int, width: int) -> NDArray[np.float32]:
    pixels = np.random.default_rng(1).standard_normal((2, 3, height, width)).astype(np.float32)
    result: NDArray[np.float32] = ReferenceEvaluator(model).run(None, {"pixels": pixels})[0]
    return result


@pytest.mark.parametrize(("height", "width"), [(12, 8), (2, 2), (8, 14)])
def test_the_function_stays_border_included(height: int, width: int) -> None:
    """Only the order of the sum may differ."""
    before = _network(height=height, width=width)
    after = convolve_stem_in_blocks(_network(height=height, width=width))
    assert [node.op_type for node in after.graph.node] == ["Neg", "SpaceToDepth", "Conv"]
    expected = _run(before, height=height, width=width)
    np.testing.assert_allclose(_run(after, height=height, width=width), expected, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        {"strides": [1, 1]},
        {"pads": [0, 0, 0, 0]},
        {"height": 13},
        {"dilations": [2, 2], "pads": [6, 6, 6, 6]},
    ],
)
def test_other_stems_stay(changes: dict[str, Any]) -> None:
    """Their weights would not fit the blocks."""
    after = convolve_stem_in_blocks(_network(**changes))
    assert [node.op_type for node in after.graph.node] == ["Neg", "Conv"]
