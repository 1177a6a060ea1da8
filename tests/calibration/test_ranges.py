"""Extremes and histograms of a network's tensors."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from onnx import helper, shape_inference
from onnx.reference import ReferenceEvaluator

from calibration.ranges import BINS, Histogram, extremes_of, histograms_of
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
    found = extremes_of(shape_inference.infer_shapes(tiny_graph()), _NAMES, _batches)
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
    found = histograms_of(tiny_graph(), limits, _batches)["stem_out"]
    expected, _ = np.histogram(values, BINS, limits["stem_out"])
    assert np.abs(found.counts - expected).sum() < 0.01 * values.size
