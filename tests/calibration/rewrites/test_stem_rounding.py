"""Weights that meet pixels, rounded so that their errors cancel."""

import copy
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime import InferenceSession

from calibration.precision_plan import PrecisionPlan
from calibration.quantization import calibrate
from calibration.rewrites.stem_rounding import round_stem
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, tiny_graph

_STEM = next(node for node in tiny_graph().graph.node if node.op_type == "Conv")


def _smooth(seed: int) -> NDArray[np.uint8]:
    """Pictures whose neighbouring pixels are alike, as those of people are."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, HEIGHT_PX // 8 + 1, WIDTH_PX // 8 + 1, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :HEIGHT_PX, :WIDTH_PX].astype(np.uint8)


def _batches() -> Iterator[NDArray[np.uint8]]:
    yield from (_smooth(seed) for seed in range(8))


def _weights(network: onnx.ModelProto) -> NDArray[np.float32]:
    return next(numpy_helper.to_array(one) for one in network.graph.initializer if one.name == _STEM.input[1])


def _with(weights: NDArray[np.float32]) -> onnx.ModelProto:
    network = copy.deepcopy(tiny_graph())
    constant = next(one for one in network.graph.initializer if one.name == _STEM.input[1])
    constant.CopyFrom(numpy_helper.from_array(weights, constant.name))
    return network


def _nearest(weights: NDArray[np.float32], *, levels: int) -> NDArray[np.float32]:
    scales = np.abs(weights).max(axis=(1, 2, 3), keepdims=True) / levels
    return (np.rint(weights / scales) * scales).astype(np.float32)


def _stem_output(network: onnx.ModelProto, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    network = copy.deepcopy(network)
    del network.graph.output[:]
    network.graph.output.append(onnx.helper.make_empty_tensor_value_info(_STEM.output[0]))
    return InferenceSession(network.SerializeToString()).run(None, {"pixels": pixels})[0]


@pytest.mark.parametrize("levels", [8, 64])
def test_errors_cancel_on_pictures_that_it_has_not_seen(levels: int) -> None:
    """The stem's result is nearer to float's than with each weight rounded by itself."""
    rounded, plain = tiny_graph(), tiny_graph()
    round_stem(rounded, [_STEM.name], batches=_batches, levels=levels)
    pixels = _smooth(99)
    exact = _stem_output(plain, pixels)
    by_itself = _stem_output(_with(_nearest(_weights(plain), levels=levels)), pixels)
    error, usual = (np.square(one - exact).mean() for one in (_stem_output(rounded, pixels), by_itself))
    assert error < 0.7 * usual


@pytest.mark.parametrize("settings", [{}, {"auto_pad": "NOTSET", "dilations": [1, 1], "group": 1}])
def test_a_quantizer_finds_the_same_grid(settings: dict[str, object]) -> None:
    """Each channel keeps its scale, so rounding the rounded weights again changes nothing; said settings do no harm."""
    network = tiny_graph()
    stem = next(node for node in network.graph.node if node.name == _STEM.name)
    said = {attribute.name for attribute in stem.attribute}
    stem.attribute.extend(
        onnx.helper.make_attribute(name, value) for name, value in settings.items() if name not in said
    )
    before = _weights(network)
    round_stem(network, [_STEM.name], batches=_batches, levels=64)
    after = _weights(network)
    assert not np.array_equal(after, before)
    np.testing.assert_allclose(_nearest(after, levels=64), after, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(np.abs(after).max(axis=(1, 2, 3)), np.abs(before).max(axis=(1, 2, 3)), rtol=1e-6)


def test_a_stem_that_stays_in_float_is_not_touched() -> None:
    """As in the plan for TensorRT, and for detectors."""
    plan = PrecisionPlan(backend="openvino", kept_in_float=("stem",), equalised=False, decided_by="a test")
    found = calibrate(tiny_graph(), _batches, plan=plan)
    np.testing.assert_array_equal(_weights(found.network), _weights(tiny_graph()))
