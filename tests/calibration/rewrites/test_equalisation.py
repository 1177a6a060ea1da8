"""Scales that move between layers."""

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from calibration.ranges import observe_extremes
from calibration.rewrites.equalisation import equalise

CHANNELS = 6
_BETWEEN = ("pointwise_out", "depthwise_out", "relu_out")


def _network() -> onnx.ModelProto:
    """Pixels -> 1x1 -> depthwise -> ReLU -> 1x1, with channels of very different size; channel 5 is dead."""
    rng = np.random.default_rng(0)
    sizes = np.array([10, 20, 100, 0.1, 30, 0], np.float32)
    arrays = {
        "w1": rng.standard_normal((CHANNELS, 3, 1, 1)).astype(np.float32) * sizes[:, None, None, None],
        "w2": rng.standard_normal((CHANNELS, 1, 3, 3)).astype(np.float32),
        "b2": rng.standard_normal(CHANNELS).astype(np.float32) * sizes,
        "w3": rng.standard_normal((4, CHANNELS, 1, 1)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w1"], ["pointwise_out"], name="first"),
        helper.make_node(
            "Conv", ["pointwise_out", "w2", "b2"], ["depthwise_out"], name="second", group=CHANNELS, pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["depthwise_out"], ["relu_out"]),
        helper.make_node("Conv", ["relu_out", "w3"], ["out"], name="third"),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", 8, 4, 3])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["batch", 4, 8, 4])
    constants = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "three", [pixels], [out], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return shape_inference.infer_shapes(model, strict_mode=True)


def _batches() -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(1)
    yield from (rng.integers(0, 256, (2, 8, 4, 3), dtype=np.uint8) for _ in range(3))


def _run(model: onnx.ModelProto) -> NDArray[np.float32]:
    session = ReferenceEvaluator(model)
    return np.concatenate([session.run(None, {"pixels": batch})[0] for batch in _batches()])


def test_the_function_stays() -> None:
    """What one layer is divided by, the next is multiplied by."""
    model = _network()
    before = _run(model)
    equalise(model, observe_extremes(model, _BETWEEN, batches=_batches))
    np.testing.assert_allclose(_run(model), before, rtol=1e-4, atol=1e-3 * np.abs(before).max())


def test_channels_before_a_depthwise_convolution_become_equally_large() -> None:
    """Its weights have a scale per channel, so nothing speaks against it."""
    model = _network()
    after = equalise(model, observe_extremes(model, _BETWEEN, batches=_batches))["pointwise_out"]
    largest = np.maximum(-after.low, after.high)
    np.testing.assert_allclose(largest[[0, 1, 2, 4]], largest[2], rtol=1e-5)
    assert 0 < largest[3] < largest[2]  # no more than 64 times larger, or noise would be
    assert largest[5] == 0


def test_the_extremes_are_those_of_the_new_network() -> None:
    """They are computed, not measured again."""
    model = _network()
    after = equalise(model, observe_extremes(model, _BETWEEN, batches=_batches))
    measured = observe_extremes(model, _BETWEEN, batches=_batches)
    for name in _BETWEEN:
        np.testing.assert_allclose(after[name].low, measured[name].low, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(after[name].high, measured[name].high, rtol=1e-4, atol=1e-3)


def test_a_tensor_with_another_reader_keeps_its_scale() -> None:
    """The other reader would see changed values."""
    model = _network()
    model.graph.output.append(helper.make_empty_tensor_value_info("relu_out"))
    model.graph.node.append(helper.make_node("Neg", ["relu_out"], ["negative"]))
    before = {tensor.name: tensor.raw_data for tensor in model.graph.initializer}
    equalise(model, observe_extremes(model, _BETWEEN, batches=_batches))
    after = {tensor.name: tensor.raw_data for tensor in model.graph.initializer}
    assert after["w3"] == before["w3"]
    assert after["w1"] != before["w1"]
