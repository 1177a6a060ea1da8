"""What a cosine says: how probably two tracks are of one person. Learnt at the site, without labels.

Two tracks that one camera sees at one moment are of two people: their cosines are certain negatives. So are tracks of
two cameras, unless their views overlap: they count by how probably they are two people. The two halves of one track are
of one person: certain positives, but of one camera. Positives over two cameras are learnt from the joins, each by its
probability. Until there are enough, figures of another site are borrowed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BORROWED_PAIRS = 30.0  # borrowed figures count as much as so many pairs of this site
_SPACE_PAIRS = 100.0  # the figures of the whole space count as much as so many pairs of two given cameras
_LEAST_VARIANCE = 1e-4
_MOST_LOG_RATIO = 8.0  # one pair of tracks says no more than that, however clear: cosines have heavy tails


@dataclass(frozen=True)
class Figures:
    """Mean and standard deviation of the cosines of tracks of one person, and of two, without their mean descriptor."""

    same_mean: float
    same_deviation: float
    other_mean: float
    other_deviation: float


BORROWED = Figures(same_mean=0.45, same_deviation=0.18, other_mean=0.0, other_deviation=0.12)
"""Round figures, near what the committed network gives over two cameras on test identities of CUHK03 (0.46, 0.11, 0.00
and 0.12 on the simulated floor), wide enough for other networks."""


class PairMoments:
    """Count, sum and sum of squares of cosines, for each pair of cameras, in either order."""

    def __init__(self) -> None:
        self.sums = np.zeros((0, 0, 3))

    def grow(self, cameras: int) -> None:
        """Make room for further cameras."""
        missing = max(0, cameras - len(self.sums))
        self.sums = np.pad(self.sums, ((0, missing), (0, missing), (0, 0)))

    def add(self, cosines: NDArray[np.float64], cameras: NDArray[np.intp], *, weights: NDArray[np.float64]) -> None:
        """Add cosines (N,) of pairs of cameras (N, 2) to the sums."""
        rows = np.stack([weights, weights * cosines, weights * cosines**2], 1)
        first, second = cameras.min(1), cameras.max(1)
        np.add.at(self.sums, (first, second), rows)
        other = first != second
        np.add.at(self.sums, (second[other], first[other]), rows[other])

    def estimate(self, *, mean: float, deviation: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and variance per pair of cameras, pulled to those of the space, and these to the given ones."""
        assumed = _BORROWED_PAIRS * np.array([1.0, mean, mean**2 + deviation**2])
        within, across = self._within() + assumed, self._across() + assumed
        is_within = np.eye(len(self.sums), dtype=bool)[..., None]
        sums = self.sums + _SPACE_PAIRS * np.where(is_within, within / within[0], across / across[0])
        means = sums[..., 1] / sums[..., 0]
        variances = np.maximum(sums[..., 2] / sums[..., 0] - means**2, _LEAST_VARIANCE)
        return means, variances * (1.0 + 1.0 / sums[..., 0])  # as uncertain as the mean itself

    def count_across(self) -> float:
        """Pairs of two cameras so far."""
        return float(self._across()[0])

    def mean_across(self, *, assumed: float) -> float:
        """Mean cosine of pairs of two cameras, pulled to the given one while there are few."""
        count, total, _ = self._across()
        return float((total + _BORROWED_PAIRS * assumed) / (count + _BORROWED_PAIRS))

    def _within(self) -> NDArray[np.float64]:
        return np.asarray(np.einsum("cck->k", self.sums))

    def _across(self) -> NDArray[np.float64]:
        return np.asarray((self.sums.sum((0, 1)) - self._within()) / 2.0)


class CosineCalibration:
    """Log likelihood ratios of cosines per pair of cameras."""

    def __init__(self, borrowed: Figures = BORROWED) -> None:
        self.borrowed = borrowed
        self.same, self.other = PairMoments(), PairMoments()
        self.refresh()

    def grow(self, cameras: int) -> None:
        """Make room for further cameras."""
        if cameras > len(self.same.sums):
            self.same.grow(cameras)
            self.other.grow(cameras)
            self.refresh()

    def refresh(self) -> None:
        """Use what was learnt so far."""
        figures = self.borrowed
        self._same = self.same.estimate(mean=figures.same_mean, deviation=figures.same_deviation)
        self._other = self.other.estimate(mean=figures.other_mean, deviation=figures.other_deviation)
        self._tables = self._make_tables()

    @property
    def borrowed_share(self) -> float:
        """How much of the figures is borrowed from another site: from 1 at first to 0."""
        return _BORROWED_PAIRS / (_BORROWED_PAIRS + min(self.same.count_across(), self.other.count_across()))

    @property
    def correlation(self) -> float:
        """What two tracks of one person have in common: the mean cosine of them."""
        return float(np.clip(self.same.mean_across(assumed=self.borrowed.same_mean), 0.05, 0.95))

    def log_ratios(
        self, cosines: NDArray[np.float32], first: NDArray[np.intp], *, second: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Log of how much more probable cosines are for one person than for two. Never falls with the cosine.

        cosines: (N, M) between tracks of cameras first (N,) and second (M,).
        """
        ratios = np.empty(cosines.shape, np.float32)
        for camera in np.unique(first):
            rows = first == camera
            pairs = np.stack([np.full(len(second), camera), second], 1)
            ratios[rows] = self.log_ratios_of(cosines[rows], pairs)
        return ratios

    def log_ratios_of(self, cosines: NDArray[np.floating], cameras: NDArray[np.intp]) -> NDArray[np.float32]:
        """The same for given pairs of cameras (M, 2). cosines: (..., M)."""
        low, high, square, slope, constant = (table[cameras[:, 0], cameras[:, 1]] for table in self._tables)
        usable = np.clip(cosines, low, high)
        ratios = (square * usable + slope) * usable + constant
        return np.asarray(np.clip(ratios, -_MOST_LOG_RATIO, _MOST_LOG_RATIO), np.float32)

    def _make_tables(self) -> tuple[NDArray[np.float32], ...]:
        """Per pair of cameras the log ratio of two normal densities, a parabola, and where it turns."""
        m1, v1, m0, v0 = *self._same, *self._other
        turn = (m1 * v0 - m0 * v1) / np.where(v0 == v1, 1e-12, v0 - v1)
        low, high = np.where(v1 > v0, turn, -1.0), np.where(v1 < v0, turn, 1.0)
        square, slope = 0.5 / v0 - 0.5 / v1, m1 / v1 - m0 / v0
        constant = 0.5 * (m0**2 / v0 - m1**2 / v1 + np.log(v0 / v1))
        return tuple(table.astype(np.float32) for table in (low, high, square, slope, constant))
