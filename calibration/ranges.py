"""The range of each tensor: first observed over calibration images, then cut to what 8 bits should represent."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from calibration.precision_plan import PERCENTILE, Method

Floats = NDArray[np.float32]
ImageBatches = Callable[[], Iterable[NDArray[Any]]]
"""Each call starts again at the first images. Batches are what the network takes: (N, H, W, channels) uint8 for those
that describe people, (1, 3, H, W) float32 for detectors."""
ActivationRange = tuple[float, float]
"""Lowest and highest value that 8 bits represent; values outside become the nearer end."""

BINS = 2048
_LEVELS = 255
_SHARES = np.arange(16, 129) / 128
"""Fractions of the whole range that `mse` and `entropy` try."""


@dataclass(frozen=True)
class Extremes:
    """The smallest and the largest value of each channel of one tensor, (C,) each."""

    low: Floats
    high: Floats

    def scaled(self, factors: Floats) -> "Extremes":
        """The extremes of the same tensor with its channels multiplied by positive factors (C,)."""
        return Extremes(self.low * factors, self.high * factors)


@dataclass
class Histogram:
    """Counts of a tensor's values in `BINS` equal bins from low to high.

    counts: (BINS,) int64, without zeros, because every scale represents zero exactly. zeros: the number of zeros.
    """

    low: float
    high: float
    counts: NDArray[np.int64]
    zeros: int = 0

    def add(self, values: Floats) -> None:
        """Add the values of the tensor for one more batch."""
        width = (self.high - self.low) / BINS or 1.0
        bins = np.clip((values.ravel() - np.float32(self.low)) * np.float32(1 / width), 0, BINS - 1).astype(np.int32)
        self.counts += np.bincount(bins, minlength=BINS)
        zeros = int(values.size - np.count_nonzero(values))
        self.counts[int(np.clip(-self.low / width, 0, BINS - 1))] -= zeros
        self.zeros += zeros


def observe_extremes(model: onnx.ModelProto, names: Iterable[str], *, batches: ImageBatches) -> dict[str, Extremes]:
    """The extremes per channel of the named tensors, over all images. model: with inferred shapes."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    outputs = {name: _add_maxima(observed.graph, name, rank=rank) for name, rank in _ranks(model, names).items()}
    found: dict[str, Extremes] = {}
    for values in _run(observed, batches):
        for name, (high, minus_low) in outputs.items():
            before = found.get(name)
            low_now, high_now = (-values[minus_low]).min(axis=0).ravel(), values[high].max(axis=0).ravel()
            found[name] = Extremes(
                low_now if before is None else np.minimum(before.low, low_now),
                high_now if before is None else np.maximum(before.high, high_now),
            )
    return found


def observe_histograms(
    model: onnx.ModelProto, limits: dict[str, tuple[float, float]], *, batches: ImageBatches
) -> dict[str, Histogram]:
    """A histogram of each tensor in `limits` over all images. limits: its lowest and highest value."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in limits)
    found = {name: Histogram(low, high, np.zeros(BINS, np.int64)) for name, (low, high) in limits.items()}
    for values in _run(observed, batches):
        for name, histogram in found.items():
            histogram.add(values[name])
    return found


def _ranks(model: onnx.ModelProto, names: Iterable[str]) -> dict[str, int]:
    known = {
        value.name: len(value.type.tensor_type.shape.dim) for value in (*model.graph.value_info, *model.graph.output)
    }
    return {name: known[name] for name in names}


def _add_maxima(graph: onnx.GraphProto, name: str, *, rank: int) -> tuple[str, str]:
    """Add two outputs: the maxima over all positions of a tensor and of its negative. Returns their names."""
    negative = f"{name}_negative"
    graph.node.append(helper.make_node("Neg", [name], [negative]))
    outputs = []
    for source in (name, negative):
        target = f"{source}_maximum" if rank > 2 else source
        if rank > 2:
            graph.node.append(helper.make_node("GlobalMaxPool", [source], [target]))
        graph.output.append(helper.make_empty_tensor_value_info(target))
        outputs.append(target)
    return outputs[0], outputs[1]


def _run(model: onnx.ModelProto, batches: ImageBatches) -> Iterator[dict[str, Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in model.graph.output]
    pixels = session.get_inputs()[0].name
    for images in batches():
        yield dict(zip(names, session.run(names, {pixels: images}), strict=True))


def choose_range(histogram: Histogram, method: Method) -> ActivationRange:
    """Choose the range of values that 8 bits represent.

    `max` keeps everything. `percentile` cuts off 0.01 % of the values at each end. `mse` minimises the mean squared
    error. `entropy` minimises the Kullback-Leibler divergence between the distributions before and after.
    """
    if method == "percentile":
        return _percentile(histogram)
    if method == "max" or not histogram.counts.any():
        return histogram.low, histogram.high
    cost = _squared_error if method == "mse" else _divergence
    costs = [cost(histogram, share) for share in _SHARES]
    share = float(_SHARES[len(costs) - 1 - int(np.argmin(costs[::-1]))])  # the widest of equally good ranges
    return histogram.low * share, histogram.high * share


def _percentile(histogram: Histogram) -> ActivationRange:
    edges = np.linspace(histogram.low, histogram.high, BINS + 1)
    counts = histogram.counts.copy()
    counts[int(np.clip(np.searchsorted(edges, 0.0, side="right") - 1, 0, BINS - 1))] += histogram.zeros
    passed = np.cumsum(counts) / counts.sum()
    tail = 1 - PERCENTILE / 100
    low = edges[int(np.searchsorted(passed, tail, side="right"))]
    high = edges[int(np.searchsorted(passed, 1 - tail)) + 1]
    return float(min(low, 0.0)), float(max(high, 0.0))


def _centres(histogram: Histogram) -> NDArray[np.float64]:
    width = (histogram.high - histogram.low) / BINS
    return np.asarray(histogram.low + width * (np.arange(BINS) + 0.5), np.float64)


def _squared_error(histogram: Histogram, share: float) -> float:
    """Squared clipping error of the values outside the range, and step^2 / 12 for each value inside."""
    centres = _centres(histogram)
    low, high = histogram.low * share, histogram.high * share
    outside = np.clip(centres, low, high) - centres
    step = (high - low) / _LEVELS
    errors = np.where(outside == 0, step**2 / 12, outside**2)
    return float((histogram.counts * errors).sum())


def _divergence(histogram: Histogram, share: float) -> float:
    """KL(before || after) over the bins inside the range.

    Before: with the counts outside added to the end bins. After: without them, and averaged within each level.
    """
    centres = _centres(histogram)
    low, high = histogram.low * share, histogram.high * share
    inside = np.flatnonzero((centres >= low) & (centres <= high))
    first, last = inside[0], inside[-1]
    kept = histogram.counts[first : last + 1].astype(np.float64)
    if not kept.any():
        return float("inf")
    before = kept.copy()
    before[0] += histogram.counts[:first].sum()
    before[-1] += histogram.counts[last + 1 :].sum()
    levels = (np.arange(len(kept)) * (_LEVELS + 1)) // len(kept)
    occupied = (kept > 0).astype(np.float64)
    sums, sizes = (np.bincount(levels, weights=values, minlength=_LEVELS + 1) for values in (kept, occupied))
    after = occupied * (sums / np.maximum(sizes, 1))[levels]
    p, q = before / before.sum(), after / after.sum()
    counted = p > 0
    return float((p[counted] * np.log(p[counted] / np.maximum(q[counted], 1e-12))).sum())
