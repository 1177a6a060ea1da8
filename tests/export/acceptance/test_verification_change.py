"""True-positive rate and threshold of an engine beside its parent's."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from export.acceptance.verification_change import Pairs, compare_verification, pairs_needed
from train.scoring.scoring import Described

PEOPLE, PER_CAMERA, LENGTH = 30, 6, 16


def _pairs(*, noise: float, seed: int = 0, pull: float = 0.0) -> Pairs:
    """People at two cameras: 180 queries, 180 gallery images. pull: how far all descriptors go one way."""
    centres = np.random.default_rng(1).normal(size=(PEOPLE, LENGTH))
    random = np.random.default_rng(seed)
    identities = np.repeat(np.arange(1, PEOPLE + 1), PER_CAMERA)

    def side(camera: int) -> Described:
        rows = centres[identities - 1] + random.normal(size=(len(identities), LENGTH)) * noise
        rows[:, 0] += pull
        return Described(normalise(rows), identities, np.full(len(identities), camera))

    return Pairs(side(0), side(1))


def _literal(pairs: Pairs, rate: float) -> tuple[float, float]:
    """True-positive rate and cosine threshold by sorting all pairs."""
    cosines: NDArray[np.float32] = pairs.query.descriptors @ pairs.gallery.descriptors.T
    is_right = pairs.query.identities[:, None] == pairs.gallery.identities
    wrong = np.sort(cosines[~is_right])[::-1]
    threshold = wrong[int(rate * len(wrong))]
    return float((cosines[is_right] > threshold).mean()), float(threshold)


def test_figures_follow_their_definition() -> None:
    """Against all pairs, sorted; a change is the engine's figure minus the parent's and lies in its interval."""
    parent, child = _pairs(noise=0.6), _pairs(noise=0.7, seed=2)
    [found] = compare_verification(parent, child)
    (before, before_threshold), (after, after_threshold) = (_literal(pairs, 1e-3) for pairs in (parent, child))
    assert found.false_positive_rate == 1e-3
    assert found.true_positive_rate.value == pytest.approx(after, abs=1e-9)
    assert found.true_positive_rate_change.value == pytest.approx(after - before, abs=1e-9)
    assert found.threshold == pytest.approx(after_threshold, abs=1e-5)
    assert found.threshold_change.value == pytest.approx(after_threshold - before_threshold, abs=1e-5)
    assert found.true_positive_rate_change.low <= after - before <= found.true_positive_rate_change.high


def test_an_engine_beside_itself_changes_nothing() -> None:
    """Intervals of paired differences have no width then, though the figure's own interval has."""
    pairs = _pairs(noise=0.6)
    [found] = compare_verification(pairs, pairs)
    for change in (found.true_positive_rate_change, found.threshold_change):
        assert (change.value, change.low, change.high) == (0, 0, 0)
    assert found.true_positive_rate.low < found.true_positive_rate.high


def test_descriptors_that_move_together_shift_the_threshold() -> None:
    """All cosines grow: the parent's threshold would let more wrong pairs pass, and the interval excludes zero."""
    [found] = compare_verification(_pairs(noise=0.6), _pairs(noise=0.6, pull=1.0))
    assert found.threshold_change.low > 0
    assert found.threshold_change.low <= found.threshold_change.value <= found.threshold_change.high


def test_the_thresholds_interval_is_that_of_drawn_queries() -> None:
    """Against a literal bootstrap that sorts the pairs of the drawn queries anew each time."""
    parent, child = _pairs(noise=0.6), _pairs(noise=0.8, seed=3)
    [found] = compare_verification(parent, child)
    random, changes = np.random.default_rng(7), []
    for _ in range(200):
        drawn = random.integers(0, len(parent.query.identities), len(parent.query.identities))
        changes.append(np.subtract(*(_literal(_drawn(pairs, drawn), 1e-3)[1] for pairs in (child, parent))))
    low, high = np.percentile(changes, [2.5, 97.5])
    width = high - low  # two runs of a few hundred draws agree on an end to about a tenth of the width
    assert found.threshold_change.low == pytest.approx(low, abs=0.25 * width)
    assert found.threshold_change.high == pytest.approx(high, abs=0.25 * width)


def _drawn(pairs: Pairs, drawn: NDArray[np.int64]) -> Pairs:
    query = pairs.query
    return Pairs(Described(query.descriptors[drawn], query.identities[drawn], query.cameras[drawn]), pairs.gallery)


def test_a_rate_that_hangs_on_a_few_pairs_is_left_out() -> None:
    """Ten wrong pairs must lie above the threshold: 10,000 for one in a thousand, 100,000 for one in ten thousand."""
    assert [pairs_needed(rate) for rate in (1e-3, 1e-4)] == [10_000, 100_000]
    pairs = _pairs(noise=0.6)  # 31,320 wrong pairs
    assert [one.false_positive_rate for one in compare_verification(pairs, pairs)] == [1e-3]
    few = _drawn(pairs, np.arange(0, 180, 6))  # 30 queries: 5,220 wrong pairs
    assert compare_verification(few, few) == ()
