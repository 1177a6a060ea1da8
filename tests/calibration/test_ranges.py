"""Extremes and histograms of a network's tensors."""

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper, shape_inference
from onnx.reference import ReferenceEvaluator

from calibration.precision_plan import Method
from calibration.ranges import BINS, ActivationRange, Histogram, choose_range, observe_extremes, observe_histograms
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, tiny_graph

_NAMES = ("stem_out", "a_gate", "vector")


def _batches() -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    yield from (rng.integers(0, 256, (2, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8) for _ in range(3))


def _values(name: str) -> NDArray[np.float32]:
    """All values of a tensor by ONNX's own slow evaluator, (N, C, ...)."""
    model = tiny_graph()
    model.graph.output.append(helper.make_empty_tensor_value_info(name))
    evaluator = ReferenceEvaluator(model)
    return np.concatenate([evaluator.run([name], {"pixels": batch})[0] for batch in _batches()])


def test_extremes_are_those_of_each_channel_over_all_images() -> None:
    """For maps as well as for vectors."""
    found = observe_extremes(shape_inference.infer_shapes(tiny_graph()), _NAMES, batches=_batches)
    for name in _NAMES:
        values = _values(name)
        axes = (0, *range(2, values.ndim))
        np.testing.assert_allclose(found[name].low, values.min(axis=axes), atol=1e-5)
        np.testing.assert_allclose(found[name].high, values.max(axis=axes), atol=1e-5)


def test_a_histogram_counts_every_value_once_and_zeros_apart() -> None:
    """Zeros are represented exactly by any scale, and half of all values behind a ReLU."""
    values = np.array([[-1.0, 0.0, 0.0, 0.5, 3.0]], np.float32)
    histogram = Histogram(-1.0, 3.0, np.zeros(BINS, np.int64))
    histogram.add(values)
    histogram.add(values)
    assert histogram.zeros == 4
    assert histogram.counts.sum() == 6
    assert histogram.counts[0] == histogram.counts[-1] == 2


def test_histograms_are_those_of_the_tensors() -> None:
    """Compared with numpy's, but for values on the border of two bins."""
    values = _values("stem_out")
    limits = {"stem_out": (float(values.min()), float(values.max()))}
    found = observe_histograms(tiny_graph(), limits, batches=_batches)["stem_out"]
    expected, _ = np.histogram(values, BINS, limits["stem_out"])
    assert np.abs(found.counts - expected).sum() < 0.01 * values.size


def _histogram(values: NDArray[np.float32]) -> Histogram:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    histogram = Histogram(low, high, np.zeros(BINS, np.int64))
    histogram.add(values)
    return histogram


def _normal(size: int = 100_000) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(size).astype(np.float32)


def _error(values: NDArray[np.float32], limits: ActivationRange) -> float:
    """The mean squared error of 8 bits, by rounding every value."""
    step = (limits[1] - limits[0]) / 255
    return float(((np.clip(np.round(values / step) * step, *limits) - values) ** 2).mean())


@pytest.mark.parametrize("method", get_args(Method))
def test_zero_is_always_inside(method: Method) -> None:
    """Padding is zero, so it must be exact."""
    for values in (_normal(), np.abs(_normal()), -np.abs(_normal()), np.zeros(10, np.float32)):
        low, high = choose_range(_histogram(values), method)
        assert low <= 0 <= high


def test_the_maximum_keeps_everything() -> None:
    """Not one value is clipped."""
    values = _normal()
    assert choose_range(_histogram(values), "max") == (pytest.approx(values.min()), pytest.approx(values.max()))


def test_the_percentile_leaves_out_a_ten_thousandth_at_each_end() -> None:
    """One wild value in a hundred thousand does not stretch the range; the zeros of a ReLU count as values."""
    values = np.concatenate([np.maximum(_normal(), 0), [1000]]).astype(np.float32)
    low, high = choose_range(_histogram(values), "percentile")
    assert low == 0
    assert high < 1000 / 100
    signed = _normal()
    low, high = choose_range(_histogram(signed), "percentile")
    assert np.quantile(signed, [0.0001, 0.9999]) == pytest.approx([low, high], abs=0.02)


@pytest.mark.parametrize("method", ["mse", "entropy"])
def test_searching_rules_cut_a_long_tail(method: Method) -> None:
    """Few values far out cost all others their resolution."""
    values = np.concatenate([_normal(), [60, -60]]).astype(np.float32)
    low, high = choose_range(_histogram(values), method)
    assert -60 < low < -2
    assert 2 < high < 60


def test_the_squared_error_is_the_least() -> None:
    """No other share of the range has a smaller error, when every value is really rounded."""
    values = np.concatenate([_normal(), 6 * _normal(300)]).astype(np.float32)
    histogram = _histogram(values)
    chosen = _error(values, choose_range(histogram, "mse"))
    others = [_error(values, (histogram.low * share, histogram.high * share)) for share in np.arange(1, 21) / 20]
    assert chosen <= 1.02 * min(others)  # the estimate sees bins, not values


def test_even_values_are_not_clipped() -> None:
    """Where every value is as likely as any other, there is no tail to cut."""
    values = np.random.default_rng(0).random(100_000, np.float32)
    for method in get_args(Method):
        assert choose_range(_histogram(values), method)[1] > 0.98
