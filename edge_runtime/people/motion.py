"""How people walk in an image: where each is, how sure that is, and how well a detection fits.

All lengths are in heights of the person and all times in seconds, so nothing here depends on the frame's size or on how
often the camera is looked at.

Source: Uhlenbeck and Ornstein, Phys. Rev. 36, 1930: velocity as a random walk that is pulled back to zero, so that its
variance is the same at any time, and that of the position grows with time as a walker's does. The filter is Kalman's.
"""

from copy import copy
from dataclasses import dataclass
from math import exp, log, pi

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Walking:
    """What is assumed of people and boxes; each may be wrong by a third without much harm.

    speed: standard deviation of a person's velocity, per direction, in heights per second (1.4 m/s is 0.8).
    persistence_s: time after which a person's velocity is no longer the same (by the factor e).
    box_noise: standard deviation of a box's centre and of its height, in heights. shape_noise: of the logarithm of its
    width over its height, mostly by legs and arms. growth: of the logarithm of the height after one second.
    crowding: detections of other people to expect per height x height of the image and unit of size and shape.
    """

    speed: float = 0.8
    persistence_s: float = 5.0
    box_noise: float = 0.1
    shape_noise: float = 0.35
    growth: float = 0.05
    crowding: float = 0.7


class Walkers:
    """The people that are followed: one row of every array for each, in the order they were added."""

    def __init__(self, walking: Walking) -> None:
        self._walking = walking
        self._centre = np.zeros((0, 2))  # pixels
        self._velocity = np.zeros((0, 2))  # pixels per second
        self._log_size = np.zeros((0, 2))  # logarithm of width and height in pixels
        # Variance of the position, its covariance with the velocity, variance of the velocity: the same for x and y.
        self._spread = np.zeros((0, 3))
        self._size_spread = np.zeros(0)  # variance of the logarithm of the height

    def add(self, boxes: Floats) -> None:
        """Follow more people. boxes: (N, 4), pixels."""
        count, noise = len(boxes), self._walking.box_noise**2
        centre, log_size = _centre_and_log_size(boxes)
        self._centre = np.concatenate([self._centre, centre])
        self._velocity = np.concatenate([self._velocity, np.zeros((count, 2))])
        self._log_size = np.concatenate([self._log_size, log_size])
        self._spread = np.concatenate([self._spread, np.tile([noise, 0.0, self._walking.speed**2], (count, 1))])
        self._size_spread = np.concatenate([self._size_spread, np.full(count, noise)])

    def keep(self, rows: list[int]) -> None:
        """Follow only these people from now on; they get new rows, in this order."""
        self._centre, self._velocity = self._centre[rows], self._velocity[rows]
        self._log_size, self._spread, self._size_spread = (
            self._log_size[rows],
            self._spread[rows],
            self._size_spread[rows],
        )

    def part(self, rows: list[int]) -> "Walkers":
        """A copy of these people only; later changes of one do not change the other."""
        part = copy(self)  # every method replaces or copies its arrays, so nothing is shared that changes
        part.keep(rows)
        return part

    def predict(self, step_s: float) -> None:
        """Predict where everybody is `step_s` >= 0 seconds later."""
        time_s, variance = self._walking.persistence_s, self._walking.speed**2
        kept = exp(-step_s / time_s)  # share of the velocity that is left at the end of the step
        reach_s = time_s * (1 - kept)  # way of the step for each unit of velocity
        self._centre = self._centre + reach_s * self._velocity
        self._velocity = kept * self._velocity
        place, both, pace = self._spread.T
        added_place = variance * time_s**2 * (2 * step_s / time_s - 3 + 4 * kept - kept**2)
        self._spread = np.stack(
            [
                place + 2 * reach_s * both + reach_s**2 * pace + max(0.0, added_place),
                kept * (both + reach_s * pace) + variance * time_s * (1 - kept) ** 2,
                kept**2 * pace + variance * (1 - kept**2),
            ],
            axis=1,
        )
        self._size_spread = self._size_spread + self._walking.growth**2 * step_s

    def correct(self, rows: list[int], boxes: Floats) -> None:
        """Take in what was detected of some people. boxes: (len(rows), 4), pixels."""
        noise = self._walking.box_noise**2
        centre, log_size = _centre_and_log_size(boxes)
        place, both, pace = self._spread[rows].T
        gain, velocity_gain = place / (place + noise), both / (place + noise)
        residual = centre - self._centre[rows]
        self._centre[rows] += gain[:, None] * residual
        self._velocity[rows] += velocity_gain[:, None] * residual
        self._spread[rows] = np.stack([(1 - gain) * place, (1 - gain) * both, pace - velocity_gain * both], axis=1)
        size_gain = self._size_spread[rows] / (self._size_spread[rows] + noise)
        self._log_size[rows] += size_gain[:, None] * (log_size - self._log_size[rows])
        self._size_spread[rows] *= 1 - size_gain

    def boxes(self) -> Floats:
        """Where everybody is. Returns (N, 4), pixels."""
        half = np.exp(self._log_size) / 2
        return np.concatenate([self._centre - half, self._centre + half], axis=1)

    def evidence(self, boxes: Floats, *, least_at_best: Floats) -> Floats:
        """How much speaks for each box being each person, rather than somebody else.

        boxes: (M, 4), pixels. least_at_best: (N,), evidence that a box exactly where the person is expected has at
        least, however little is known of where that is. Returns (N, M): logarithms of likelihood ratios.
        """
        noise = self._walking.box_noise**2
        centre, log_size = _centre_and_log_size(boxes)
        height = np.exp((self._log_size[:, None, 1] + log_size[None, :, 1]) / 2)
        place, size = self._spread[:, :1] + noise, self._size_spread[:, None] + noise
        shift = ((centre[None] - self._centre[:, None]) ** 2).sum(axis=-1) / height**2
        change = log_size[None] - self._log_size[:, None]
        shape = (change[..., 0] - change[..., 1]) ** 2 / self._walking.shape_noise**2
        off = shift / place + change[..., 1] ** 2 / size + shape
        at_best = -np.log(place) - np.log(size) / 2 - self._log_of_others()
        return np.asarray(np.maximum(at_best, least_at_best[:, None]) - off / 2, np.float64)

    def _log_of_others(self) -> float:
        """Logarithm of the density of others' boxes, with the constants of the four normal distributions."""
        return log(self._walking.crowding) + 2 * log(2 * pi) + log(self._walking.shape_noise)


def _centre_and_log_size(boxes: Floats) -> tuple[Floats, Floats]:
    left_top, right_bottom = boxes[:, :2], boxes[:, 2:]
    return (left_top + right_bottom) / 2, np.log(np.maximum(right_bottom - left_top, 1.0))
