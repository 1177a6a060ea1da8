"""Ranges by what they cost the descriptor."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime import InferenceSession

from calibration.precision_plan import PrecisionPlan
from calibration.quantization import Calibrated, calibrate, quantize_network
from calibration.range_search import cut_ranges
from edge_runtime.contract.descriptor import normalise
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, tiny_graph

_PLAN = PrecisionPlan(backend="openvino", kept_in_float=(), equalised=False, decided_by="a test")


def _batches() -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    yield from (rng.integers(0, 256, (2, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8) for _ in range(4))


@pytest.fixture(scope="module")
def calibrated() -> Calibrated:
    """The tiny network with the ranges that keep everything."""
    return calibrate(tiny_graph(), _batches, plan=_PLAN)


def _cut(calibrated: Calibrated) -> Calibrated:
    quantized = quantize_network(calibrated, activations="uint8", kept_in_float=())
    ranges = cut_ranges(quantized, calibrated.ranges, plain=calibrated.network, batches=_batches)
    return replace(calibrated, ranges=ranges)


def _cost(calibrated: Calibrated) -> float:
    """Mean of 1 - cosine to float."""
    quantized = quantize_network(calibrated, activations="uint8", kept_in_float=())
    pixels = {"pixels": np.concatenate(list(_batches()))}
    sessions = [InferenceSession(each.SerializeToString()) for each in (calibrated.network, quantized)]
    plain, after = (normalise(session.run(None, pixels)[0]) for session in sessions)
    return float(1 - (plain * after).sum(axis=1).mean())


def test_a_range_that_is_much_too_wide_is_cut(calibrated: Calibrated) -> None:
    """Values that never come take levels away from those that do."""
    wide = replace(calibrated, ranges=calibrated.ranges | {"x": (0.0, 64 * calibrated.ranges["x"][1])})
    cut = _cut(wide)
    assert cut.ranges["x"][1] == pytest.approx(0.4 * wide.ranges["x"][1])
    assert _cost(cut) < _cost(wide)


def test_both_ends_are_cut_alike_and_never_widened(calibrated: Calibrated) -> None:
    """So the zero point stays where it was."""
    for name, (low, high) in _cut(calibrated).ranges.items():
        before = calibrated.ranges[name]
        assert before[0] <= low <= 0 <= high <= before[1]
        assert low * before[1] == pytest.approx(high * before[0])


def test_the_method_of_a_plan_asks_for_it(calibrated: Calibrated) -> None:
    """`descriptor` gives the ranges of `max` after the search."""
    found = calibrate(tiny_graph(), _batches, plan=_PLAN.model_copy(update={"method": "descriptor"}))
    searched = _cut(calibrated).ranges
    for name, both_ends in found.ranges.items():
        assert both_ends == pytest.approx(searched[name]), name


@pytest.mark.parametrize(("activations", "largest"), [("uint8", 64), ("uint8 inputs", 64), ("int8", 127)])
def test_weights_that_meet_pixels_have_seven_bits_where_a_sum_could_overflow(
    calibrated: Calibrated, activations: str, largest: int
) -> None:
    """255 x 64 + 255 x 64 fits into 16 bits, which a CPU without VNNI adds in. TensorRT has no such sums."""
    network = quantize_network(calibrated, activations=activations, kept_in_float=())  # type: ignore[arg-type]
    stem = next(node for node in calibrated.network.graph.node if node.op_type == "Conv").input[1]
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.graph.initializer}
    if activations == "int8":
        scale = next(values for name, values in constants.items() if name.startswith(stem) and name.endswith("_scale"))
        weights = np.round(constants[stem] / scale.reshape(-1, 1, 1, 1))
    else:
        weights = constants[f"{stem}_quantized"]
    assert np.abs(weights.astype(int)).max() == largest
    onnx.checker.check_model(network, full_check=True)
