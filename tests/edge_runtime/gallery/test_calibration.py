"""Cosines become likelihood ratios."""

import math

import numpy as np
import pytest

from edge_runtime.gallery.calibration import CosineCalibration, Figures

BORROWED = Figures(same_mean=0.5, same_deviation=0.2, other_mean=0.0, other_deviation=0.1)


def log_normal(value: float, mean: float, variance: float) -> float:
    """Log of a normal density."""
    return -0.5 * math.log(2 * math.pi * variance) - (value - mean) ** 2 / (2 * variance)


def fill(calibration: CosineCalibration, *, same: float, other: float) -> None:
    """Ten thousand pairs of two cameras, of one person and of two."""
    rng = np.random.default_rng(0)
    pairs, weights = np.tile([0, 1], (10_000, 1)), np.ones(10_000)
    calibration.grow(2)
    calibration.same.add(rng.normal(same, 0.15, 10_000), pairs, weights=weights)
    calibration.other.add(rng.normal(other, 0.1, 10_000), pairs, weights=weights)
    calibration.refresh()


def test_the_ratio_is_that_of_two_normal_densities() -> None:
    """With the borrowed figures before anything is learnt, their variances larger by the uncertainty of the mean."""
    calibration = CosineCalibration(BORROWED)
    calibration.grow(1)
    [[found]] = calibration.log_ratios(np.array([[0.3]], np.float32), np.array([0]), second=np.array([0]))
    wider = 1 + 1 / 100
    expected = log_normal(0.3, 0.5, 0.04 * wider) - log_normal(0.3, 0.0, 0.01 * wider)
    assert found == pytest.approx(expected, abs=1e-3)


def test_the_ratio_never_falls_with_the_cosine() -> None:
    """Though the ratio of two normal densities of different width does."""
    cosines = np.linspace(-1, 1, 201, dtype=np.float32)[None]
    for borrowed in (BORROWED, Figures(0.5, 0.1, 0.0, 0.2)):
        calibration = CosineCalibration(borrowed)
        calibration.grow(1)
        ratios = calibration.log_ratios(cosines, np.array([0]), second=np.zeros(201, np.intp))
        assert (np.diff(ratios[0]) >= -1e-4).all()


def test_what_a_site_learns_replaces_what_is_borrowed() -> None:
    """A cosine that meant two people elsewhere means one person here."""
    calibration = CosineCalibration(BORROWED)
    calibration.grow(2)
    cosine, cameras = np.array([[0.15]], np.float32), (np.array([0]), np.array([1]))
    assert calibration.log_ratios(cosine, cameras[0], second=cameras[1])[0, 0] < 0
    fill(calibration, same=0.2, other=-0.2)
    assert calibration.log_ratios(cosine, cameras[0], second=cameras[1])[0, 0] > 0
    assert calibration.borrowed_share < 0.01


def test_the_order_of_two_cameras_is_irrelevant() -> None:
    """A pair is a pair."""
    calibration = CosineCalibration(BORROWED)
    fill(calibration, same=0.4, other=0.1)
    cosine = np.array([[0.3]], np.float32)
    one = calibration.log_ratios(cosine, np.array([0]), second=np.array([1]))
    other = calibration.log_ratios(cosine, np.array([1]), second=np.array([0]))
    assert one == pytest.approx(other)
