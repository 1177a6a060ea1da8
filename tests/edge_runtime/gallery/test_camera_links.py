"""Which camera follows which, and when."""

import numpy as np
import pytest

from edge_runtime.gallery.camera_links import CameraLinks

HOUR_S = 3600.0


def learnt() -> CameraLinks:
    """Two hundred people who went from camera 0 to camera 1 in about twenty seconds."""
    links = CameraLinks()
    links.grow(3)
    for number in range(200):
        links.learn(np.array([0]), 1, transit_s=np.array([18.0 + number % 5]), weights=np.array([0.95]))
    links.refresh(HOUR_S)
    return links


def look_up(links: CameraLinks, before: int, after: int, *, transit_s: float) -> float:
    """Log density of one transit."""
    return float(links.log_transits(np.array([before]), np.array([after]), transit_s=np.array([transit_s]))[0])


def test_a_learnt_transit_is_more_probable_than_any_other() -> None:
    """By its direction, its camera and its time."""
    links = learnt()
    seen = look_up(links, 0, 1, transit_s=20.0)
    assert seen > look_up(links, 1, 0, transit_s=20.0)
    assert seen > look_up(links, 0, 2, transit_s=20.0)
    assert seen > look_up(links, 0, 1, transit_s=200.0)


def test_probabilities_of_what_comes_next_do_not_exceed_one() -> None:
    """Over all cameras and times; the rest is that the person is not seen again."""
    edges = np.concatenate([[-10.0, 0.0, 2.0], np.geomspace(4.0, 14_400.0, 36)])
    total = (np.exp(learnt().log_densities()) * np.diff(edges)).sum((1, 2))
    assert (total < 1.0).all()
    assert total[0] > 0.9


def test_one_camera_does_not_see_a_person_twice_at_once() -> None:
    """Whereas two cameras may overlap."""
    links = learnt()
    assert look_up(links, 0, 0, transit_s=-1.0) < -100
    assert look_up(links, 0, 1, transit_s=-1.0) > -20
    assert look_up(links, 0, 1, transit_s=-11.0) == -np.inf


def test_what_is_left_of_one_is_a_new_person() -> None:
    """The part of each join's probability that no earlier track has counts as a new person; the rate is per second."""
    links = learnt()
    assert np.exp(links.log_births()[1]) == pytest.approx((200 * 0.05 + 1) / (HOUR_S + 60))
