"""What descriptors are worth for telling people apart, measured on the camera itself while it runs.

People seen in the same frame are different people, and matched detections of one track are the same person. From the
similarities of both, the evidence of one more similarity follows. A network that hardly tells people apart here has
about the same similarities in both; it is found out, and its descriptors are used no more: they cost time and help
nobody.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

_PRIOR_COUNT = 10.0  # so many similarities must be seen until they count for half
_PRIOR_VARIANCE = 0.02
_TRIAL_COUNT = 50  # so many similarities of the same person are seen before a network is judged
MOST_EVIDENCE = 6.0
"""One bad crop must not outweigh everything else."""
USEFUL_SENSITIVITY = 1.0
"""From here on descriptors help to follow people. Measured by benchmarks/tracking.py with ever weaker descriptors."""


class Separation:
    """Cosine similarities of descriptors of the same and of different people: two normal distributions, one width.

    useful_from: sensitivity from which on descriptors help. is_useful: whether they do here; assumed until `is_judged`,
    measured from then on.
    """

    def __init__(self, *, useful_from: float = USEFUL_SENSITIVITY) -> None:
        self._same, self._different = _Sums(), _Sums()
        self._useful_from = useful_from
        self.is_useful = True

    def learn(self, *, same: NDArray[np.float64], different: NDArray[np.float64]) -> None:
        """Take in cosine similarities of pairs that are known to be of the same person, and of different people."""
        self._same.add(same)
        self._different.add(different)
        if self.is_judged:  # apart from each other, so that the verdict does not change to and fro
            self.is_useful = self.sensitivity() >= self._useful_from * (1.0 if self.is_useful else 1.1)

    @property
    def is_judged(self) -> bool:
        """Whether enough was seen to say what descriptors are worth here."""
        return min(self._same.count, self._different.count) >= _TRIAL_COUNT

    def evidence(self, similarities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithm of the likelihood ratio of same to different for each cosine similarity; 0 where nothing is known.

        NaN, for a pair without descriptors, gives 0; so does everything while descriptors do not help.
        """
        same, different, variance = self._estimate()
        if same <= different or not self.is_useful:
            return np.zeros_like(similarities)
        found = (same - different) * (similarities - (same + different) / 2) / variance
        return np.clip(np.nan_to_num(found, nan=0.0), -MOST_EVIDENCE, MOST_EVIDENCE)

    def sensitivity(self) -> float:
        """Distance of the two means in standard deviations (d'), at least 0."""
        same, different, variance = self._estimate()
        return max(0.0, (same - different) / sqrt(variance))

    def _estimate(self) -> tuple[float, float, float]:
        """Means of both, pulled together while few were seen, and their common variance."""
        one, other = self._same, self._different
        count = one.count + other.count
        if min(one.count, other.count) == 0:
            return 0.0, 0.0, _PRIOR_VARIANCE
        middle = (one.total + other.total) / count
        means = [middle + (part.mean - middle) * part.count / (part.count + _PRIOR_COUNT) for part in (one, other)]
        variance = (one.scatter + other.scatter + _PRIOR_COUNT * _PRIOR_VARIANCE) / (count + _PRIOR_COUNT)
        return means[0], means[1], variance


class _Sums:
    """Count, mean and squared deviations of numbers, added up without keeping them."""

    def __init__(self) -> None:
        self.count, self.total, self._squares = 0, 0.0, 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        values = values[np.isfinite(values)]
        self.count += len(values)
        self.total += float(values.sum())
        self._squares += float((values**2).sum())

    @property
    def mean(self) -> float:
        return self.total / self.count

    @property
    def scatter(self) -> float:
        """Sum of the squared distances from the mean."""
        return max(0.0, self._squares - self.total**2 / self.count)
