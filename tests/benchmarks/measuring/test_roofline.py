"""Arithmetic and memory traffic of networks, and the least time that follows from them."""

import pytest
import torch
from torch import nn

from benchmarks.measuring.baselines import count_cost
from benchmarks.measuring.peaks import measure_cpu_peaks
from benchmarks.measuring.roofline import Peaks, arithmetic_ms, layerwise_ms
from train.models.catalog import build


@pytest.mark.parametrize(("name", "weights", "values"), [("osnet_x0_25", 0.20, 5.7), ("osnet_x1_0", 2.17, 22.5)])
def test_osnet_costs_what_was_counted_by_hand(name: str, weights: float, values: float) -> None:
    """Millions of weights, and of inputs and outputs, of convolutions and linear layers, at 256x128."""
    cost = count_cost(build(name, classes=1), height_px=256, width_px=128)
    assert cost.values / 1e6 == pytest.approx(values, abs=0.06)
    # The gate is counted at each of its four uses, which adds a little to the weights that are stored.
    assert weights - 0.01 <= cost.weights / 1e6 <= 1.3 * weights


def test_each_layer_is_counted_as_its_shape_says() -> None:
    """A 3x3 convolution of 2 on 5 channels over 4x4 pixels, then a linear layer: counted by hand."""
    network = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(32, 7, bias=False))
    cost = count_cost(network.eval(), height_px=4, width_px=4)
    convolution, linear = cost.layers
    assert (convolution.mult_adds, convolution.weights, convolution.values) == (2 * 16 * 27, 54, 48 + 32)
    assert (linear.mult_adds, linear.weights, linear.values) == (32 * 7, 32 * 7, 32 + 7)
    assert cost.mult_adds == 2 * 16 * 27 + 32 * 7


def test_the_slower_of_arithmetic_and_traffic_decides_in_each_layer() -> None:
    """On a machine with infinitely fast memory only arithmetic is left; half the bytes take half the time."""
    cost = count_cost(build("osnet_x0_25", classes=1), height_px=64, width_px=32)
    fast = Peaks(gops={"fp32": 100.0}, copy_gb_s=1e12)
    slow = Peaks(gops={"fp32": 1e12, "fp16": 1e12}, copy_gb_s=1.0)
    summed = sum(layer.mult_adds for layer in cost.layers) * 2 / 100 / 1e6
    assert layerwise_ms(cost, fast, precision="fp32", batch=1) == pytest.approx(summed)
    whole, half = (layerwise_ms(cost, slow, precision=precision, batch=4) for precision in ("fp32", "fp16"))
    assert whole is not None
    assert half == pytest.approx(whole / 2)
    assert whole == pytest.approx(4 * (4 * cost.values + cost.weights) / 1e6)  # weights are read once per batch
    once, four = (arithmetic_ms(cost, fast, precision="fp32", batch=batch) for batch in (1, 4))
    assert once is not None
    assert four == pytest.approx(4 * once)


def test_this_machine_has_peaks() -> None:
    """Of every precision its engines compute in; torch keeps its threads."""
    threads = torch.get_num_threads()
    peaks = measure_cpu_peaks()
    assert set(peaks.gops) == {"fp32", "bf16", "int8"}
    assert min(*peaks.gops.values(), peaks.copy_gb_s) > 0
    assert torch.get_num_threads() == threads
