"""From what a tensor held to the range that its 8 bits cover."""

import numpy as np
from numpy.typing import NDArray

from calibration.precision_plan import PERCENTILE, Method
from calibration.ranges import BINS, Histogram

_LEVELS = 255
_SHARES = np.arange(16, 129) / 128
"""How much of the whole range the searching rules may keep."""

Range = tuple[float, float]


def choose_range(histogram: Histogram, method: Method) -> Range:
    """The stretch of values that is kept apart by 8 bits; what lies outside becomes its nearest end.

    `percentile` leaves out a 0.01 % tail at each end, `mse` makes the mean squared error least, `entropy` loses the
    least information: the Kullback-Leibler divergence between the values before and after. `max` keeps everything.
    """
    if method == "percentile":
        return _percentile(histogram)
    if method == "max" or not histogram.counts.any():
        return histogram.low, histogram.high
    cost = _squared_error if method == "mse" else _divergence
    costs = [cost(histogram, share) for share in _SHARES]
    share = float(_SHARES[len(costs) - 1 - int(np.argmin(costs[::-1]))])  # of equal costs, the widest range
    return histogram.low * share, histogram.high * share


def _percentile(histogram: Histogram) -> Range:
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
    """Clipping error of what lies outside, and step^2 / 12 for what lies inside."""
    centres = _centres(histogram)
    low, high = histogram.low * share, histogram.high * share
    outside = np.clip(centres, low, high) - centres
    step = (high - low) / _LEVELS
    errors = np.where(outside == 0, step**2 / 12, outside**2)
    return float((histogram.counts * errors).sum())


def _divergence(histogram: Histogram, share: float) -> float:
    """KL(before || after) of the bins inside; what lies outside counts at the ends before, and is lost after."""
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
