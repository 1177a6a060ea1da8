"""Ranges by maximum, percentile, squared error and entropy."""

from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.precision_plan import Method
from calibration.range_rules import Range, choose_range
from calibration.ranges import BINS, Histogram


def _histogram(values: NDArray[np.float32]) -> Histogram:
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    histogram = Histogram(low, high, np.zeros(BINS, np.int64))
    histogram.add(values)
    return histogram


def _normal(size: int = 100_000) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(size).astype(np.float32)


def _error(values: NDArray[np.float32], limits: Range) -> float:
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
