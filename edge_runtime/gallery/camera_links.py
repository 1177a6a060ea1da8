"""Which camera sees a person after which, and how much later: learnt from the joins themselves."""

import numpy as np
from numpy.typing import NDArray

OVERLAP_S = 10.0
"""A person may be seen by a second camera as long before the first one lets go, where cameras overlap."""
LEAST_LOG_DENSITY = -20.0
"""Of a transit that nobody can make, in a walk that was joined all the same."""
_EDGES_S = np.concatenate([[-OVERLAP_S, 0.0, 2.0], np.geomspace(4.0, 14_400.0, 36)])
_PAIR_JOINS = 10.0  # what is assumed of a pair of cameras counts as much as so many joins
_LEAVES = 0.3  # assumed share of the sightings after which the person is not seen again
_OVERLAPS = 0.02  # assumed share of the joins that overlap in time; where views do not, that is soon unlearnt
_BIRTHS_S = 60.0  # assumed seconds between two new people at one camera


class CameraLinks:
    """Histograms of transit times per ordered pair of cameras, and how often new people appear at each.

    A transit is the time from the end of one track to the start of the next one of the same person. Joins count by
    their probability. What is not learnt yet is assumed: any camera may follow, early transits more likely.
    """

    def __init__(self) -> None:
        self.joins = np.zeros((0, 0, len(_EDGES_S) - 1))
        """(from, to, bin): sum of the joins' probabilities."""
        self.births = np.zeros(0)
        """(camera): sum of the probabilities that a track was of a person not seen before."""
        self.tracks = np.zeros(0)
        self.seconds = 0.0
        self._log_densities: NDArray[np.float64] | None = None

    def grow(self, cameras: int) -> None:
        """Make room for further cameras."""
        missing = cameras - len(self.births)
        if missing > 0:
            self.joins = np.pad(self.joins, ((0, missing), (0, missing), (0, 0)))
            self.births = np.pad(self.births, (0, missing))
            self.tracks = np.pad(self.tracks, (0, missing))
            self._log_densities = None

    def learn(
        self, before: NDArray[np.intp], camera: int, *, transit_s: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> None:
        """Learn from one track. before: (N,) cameras it may have been joined from, with the joins' probabilities."""
        bins = np.searchsorted(_EDGES_S, transit_s, "right") - 1
        usable = (bins >= 0) & (bins < len(_EDGES_S) - 1)
        np.add.at(self.joins, (before[usable], np.full(usable.sum(), camera), bins[usable]), weights[usable])
        self.births[camera] += max(0.0, 1.0 - float(weights.sum()))
        self.tracks[camera] += 1.0

    def refresh(self, seconds: float) -> None:
        """Use what was learnt in `seconds` of time so far."""
        self.seconds = seconds
        self._log_densities = None

    def log_births(self) -> NDArray[np.float64]:
        """(cameras,): log of new people per second."""
        return np.asarray(np.log((self.births + 1.0) / (self.seconds + _BIRTHS_S)))

    def log_densities(self) -> NDArray[np.float64]:
        """(from, to, bin): log of the probability per second that the next sighting is there and then."""
        if self._log_densities is None:
            self._log_densities = np.log(self._densities())
        return self._log_densities

    def log_transits(
        self, before: NDArray[np.intp], after: NDArray[np.intp], *, transit_s: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log densities of transits between cameras; minus infinity where they are impossible."""
        bins = np.searchsorted(_EDGES_S, transit_s, "right") - 1
        inside = (bins >= 0) & (bins < len(_EDGES_S) - 1)
        density = self.log_densities()[before, after, np.clip(bins, 0, len(_EDGES_S) - 2)]
        return np.where(inside, density, -np.inf)

    def _densities(self) -> NDArray[np.float64]:
        cameras = len(self.births)
        widths = np.diff(_EDGES_S)
        assumed = np.where(_EDGES_S[1:] > 0, np.log((_EDGES_S[1:] + 30.0) / (np.maximum(_EDGES_S[:-1], 0) + 30.0)), 0.0)
        assumed = (1.0 - _OVERLAPS) * assumed / assumed.sum() + _OVERLAPS * (_EDGES_S[1:] <= 0)
        anywhere = (self.joins.sum((0, 1)) + _PAIR_JOINS * assumed) / (self.joins.sum() + _PAIR_JOINS)
        joins = self.joins + _PAIR_JOINS / max(cameras, 1) * anywhere
        same = np.arange(cameras)
        joins[same, same, 0] = 0.0
        left = np.maximum(self.tracks - self.joins.sum((1, 2)), 0.0) + _PAIR_JOINS * _LEAVES
        total = joins.sum((1, 2)) + left
        return np.asarray(np.maximum(joins / total[:, None, None] / widths, 1e-300))
