"""How well attributes of people are recognised: the five usual figures."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class AttributeScores:
    """Shares of 1.

    mean_accuracy (mA) averages over attributes, the mean of the shares of positives and of negatives that are
    recognised; accuracy, precision and recall average over images; f1 is the harmonic mean of those two averages.
    """

    mean_accuracy: float
    accuracy: float
    precision: float
    recall: float
    f1: float


def score_attributes(predicted: NDArray[np.bool_], actual: NDArray[np.bool_]) -> AttributeScores:
    """Compare the attributes predicted for each image with those it has.

    predicted, actual: (N, A) bool. An image with a denominator of 0 counts 0 (no attribute predicted: precision 0). For
    an attribute that all images have, or none, only the positives or only the negatives count.
    Source: Li et al., IEEE TIP 2019 (RAP), section V; OSNet, section 4.2.
    """
    both = (predicted & actual).sum(axis=1)
    precision = float(_share(both, predicted.sum(axis=1)).mean())
    recall = float(_share(both, actual.sum(axis=1)).mean())
    return AttributeScores(
        mean_accuracy=float(accuracy_per_attribute(predicted, actual).mean()),
        accuracy=float(_share(both, (predicted | actual).sum(axis=1)).mean()),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    )


def accuracy_per_attribute(predicted: NDArray[np.bool_], actual: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean of the shares of positives and of negatives that are recognised, (A,); their mean is mA."""
    positives, negatives = actual.sum(axis=0), (~actual).sum(axis=0)
    right = _share((predicted & actual).sum(axis=0), positives) + _share((~predicted & ~actual).sum(axis=0), negatives)
    return _share(right, (positives > 0) * 1 + (negatives > 0) * 1)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    """part / whole, 0 where whole is 0."""
    share = np.zeros(len(whole))
    np.divide(part, whole, out=share, where=whole != 0)
    return share
