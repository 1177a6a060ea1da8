"""Where people may be: the filter against its definition, and what a longer step changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.people.motion import Walkers, Walking

BOX = np.array([[80.0, 50.0, 120.0, 150.0]])
ALWAYS = np.array([-np.inf])
STEPS = st.floats(0.01, 3)


def walker(walking: Walking | None = None) -> Walkers:
    walkers = Walkers(walking or Walking())
    walkers.add(BOX)
    return walkers


@given(first=STEPS, second=STEPS)
def test_two_steps_are_one_long_step(first: float, second: float) -> None:
    """How often one looks does not change what is known: mean and spread depend on the time that passed alone."""
    many, one = walker(), walker()
    for walkers in (many, one):
        walkers.predict(0.2)
        walkers.correct([0], BOX + 10)
    many.predict(first)
    many.predict(second)
    one.predict(first + second)
    for name in ("_centre", "_velocity", "_spread", "_size_spread"):
        assert getattr(many, name) == pytest.approx(getattr(one, name), rel=1e-9, abs=1e-9)


def test_the_spread_is_that_of_random_walkers() -> None:
    """Against 100,000 simulated people whose velocity is drawn anew, bit by bit, as the model says."""
    walking, step_s, steps = Walking(), 0.01, 100
    random = np.random.default_rng(0)
    velocity = random.normal(0, walking.speed, 100_000)
    place = random.normal(0, walking.box_noise, 100_000)
    kept = np.exp(-step_s / walking.persistence_s)
    for _ in range(steps):
        place += velocity * step_s
        velocity = kept * velocity + random.normal(0, walking.speed * np.sqrt(1 - kept**2), 100_000)
    walkers = walker(walking)
    walkers.predict(step_s * steps)
    expected = [place.var(), np.cov(place, velocity)[0, 1], velocity.var()]
    assert walkers._spread[0] == pytest.approx(expected, rel=0.03)  # of 100,000 samples, and of steps of 10 ms


def test_a_person_is_followed_into_the_direction_of_two_detections() -> None:
    """Half a height in half a second, so about as much in the next half; a little less, as people stop."""
    walkers = walker()
    walkers.predict(0.5)
    walkers.correct([0], BOX + np.array([50.0, 0, 50, 0]))
    walkers.predict(0.5)
    moved = walkers.boxes()[0] - BOX[0]
    assert 80 < moved[0] < 100
    assert moved[1] == pytest.approx(0)


def test_evidence_falls_with_distance_and_size() -> None:
    """The same box is best; one beside it, one of another size and one of another shape are worse."""
    walkers = walker()
    walkers.predict(0.2)
    boxes = np.concatenate([BOX, BOX + 10, BOX + 40, BOX * [0.9, 0.9, 1.1, 1.1], BOX * [0.5, 1, 1.5, 1]])
    evidence = walkers.evidence(boxes, least_at_best=ALWAYS)[0]
    assert evidence[0] > max(evidence[1:])
    assert evidence[0] > 0 > evidence[2]
    assert evidence[1] > evidence[2]


def test_the_longer_the_step_the_wider_the_search() -> None:
    """A box one height away is impossible after 0.1 s and possible after 1 s."""
    walkers = walker()
    far = BOX + np.array([70.0, 0, 70, 0])
    walkers.predict(0.1)
    assert walkers.evidence(far, least_at_best=ALWAYS)[0, 0] < 0
    walkers.predict(0.9)
    assert walkers.evidence(far, least_at_best=np.array([1.0]))[0, 0] > 0


def test_rows_are_kept_in_the_order_asked_for() -> None:
    """Whoever leaves, the others stay who they are."""
    walkers = Walkers(Walking())
    boxes = np.concatenate([BOX, BOX + 100, BOX + 200])
    walkers.add(boxes)
    walkers.keep([2, 0])
    assert walkers.boxes() == pytest.approx(boxes[[2, 0]])
