"""Evidence of descriptors: as much as they were seen to be worth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.people.appearance import Separation


def taught(same: float, different: float, *, count: int, spread: float = 0.1) -> Separation:
    random = np.random.default_rng(0)
    separation = Separation()
    separation.learn(same=random.normal(same, spread, count), different=random.normal(different, spread, count))
    return separation


def test_nothing_is_known_at_first() -> None:
    """Before any pair was seen, and while only one kind of pair was, a similarity says nothing."""
    separation = Separation()
    assert separation.evidence(np.array([0.9, np.nan])).tolist() == [0.0, 0.0]
    separation.learn(same=np.full(50, 0.9), different=np.array([]))
    assert separation.evidence(np.array([0.9])).tolist() == [0.0]
    assert separation.sensitivity() == 0


def test_evidence_is_the_log_of_the_likelihood_ratio() -> None:
    """Checked against two normal distributions, of many similarities."""
    separation = taught(0.8, 0.4, count=100_000, spread=0.2)
    similarities = np.array([0.3, 0.6, 0.7])
    expected = (-((similarities - 0.8) ** 2) + (similarities - 0.4) ** 2) / (2 * 0.2**2)
    assert separation.evidence(similarities) == pytest.approx(expected, abs=0.05)
    assert separation.sensitivity() == pytest.approx(2, abs=0.02)


@given(same=st.floats(-1, 1), different=st.floats(-1, 1), count=st.integers(0, 200))
def test_a_network_that_tells_nobody_apart_has_no_evidence(same: float, different: float, count: int) -> None:
    """Where different people are as similar as the same one, or more so."""
    separation = taught(min(same, different) - 0.2, different, count=count, spread=0.05)
    assert not separation.evidence(np.linspace(-1, 1, 9)).any()


@given(count=st.integers(1, 400), similarity=st.floats(-1, 1))
def test_evidence_grows_with_what_was_seen_up_to_a_limit(count: int, similarity: float) -> None:
    """A few pairs count for little; and one similarity never outweighs everything else."""
    few, many = (taught(0.9, 0.1, count=number, spread=0.01) for number in (count, 10 * count))
    row = np.array([similarity])
    assert abs(few.evidence(row)[0]) <= abs(many.evidence(row)[0]) + 1
    assert abs(many.evidence(row)[0]) <= 6


def test_missing_similarities_are_left_out() -> None:
    """NaN, of a pair without descriptors, is neither learned nor evidence."""
    separation = taught(0.8, 0.2, count=100)
    before = separation.sensitivity()
    separation.learn(same=np.array([np.nan]), different=np.array([np.nan, np.nan]))
    assert separation.sensitivity() == before
    assert separation.evidence(np.array([np.nan])).tolist() == [0.0]


def test_weak_descriptors_are_used_no_more_once_they_are_found_out() -> None:
    """Assumed to help until enough was seen; their evidence is then nothing, and comes back when they become good."""
    weak = taught(0.55, 0.5, count=40)
    assert not weak.is_judged
    assert weak.is_useful
    assert weak.evidence(np.array([0.9]))[0] > 0
    weak = taught(0.55, 0.5, count=200)
    assert weak.is_judged
    assert not weak.is_useful
    assert weak.evidence(np.array([0.9])).tolist() == [0.0]
    weak.learn(same=np.full(2000, 0.9), different=np.full(2000, 0.2))
    assert weak.is_useful
    assert taught(0.9, 0.5, count=200).is_useful
    assert not Separation(useful_from=0.0).is_judged


def test_the_verdict_does_not_change_to_and_fro() -> None:
    """What was found too weak must become clearly better before it counts again."""
    separation = taught(0.5, 0.5, count=100)
    while separation.sensitivity() < 1.05:
        assert not separation.is_useful
        separation.learn(same=np.full(5, 0.7), different=np.full(5, 0.5))
    assert not separation.is_useful
    while not separation.is_useful:
        separation.learn(same=np.full(5, 0.7), different=np.full(5, 0.5))
    assert separation.sensitivity() >= 1.1
