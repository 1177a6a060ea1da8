"""Which moments are described."""

import numpy as np

from edge_runtime.people.best_shot import GOOD_QUALITY, LEAST_QUALITY, Shot, ShotPlan
from edge_runtime.people.shot_quality import ShotQuality

GOOD, FAIR, BAD = (GOOD_QUALITY + 1) / 2, (GOOD_QUALITY + LEAST_QUALITY) / 2, LEAST_QUALITY / 2
S = 1_000_000_000


def shot(value: float) -> Shot:
    """A moment of this quality."""
    quality = ShotQuality(overlap=0, sureness=value, truncation=0, size_px=200, sharpness=1)
    return Shot(quality, np.zeros((2, 1, 3), np.uint8), None, {})


def test_a_good_moment_is_taken_at_once() -> None:
    """And then the next one is due after `every_ns`."""
    plan = ShotPlan(S // 2)
    assert plan.is_due(7)
    assert plan.choose(GOOD, 7) == "now"
    plan.note_described(7)
    assert not plan.is_due(7 + S // 2 - 1)
    assert plan.is_due(7 + S // 2)


def test_a_fair_moment_waits_for_a_better_one() -> None:
    """As long as until the next descriptor, but a second at most; then the best one is taken."""
    for every_ns, patience_ns in ((S // 2, S // 2), (60 * S, S)):
        plan = ShotPlan(every_ns)
        assert plan.choose(FAIR, 0) is None
        plan.held = shot(FAIR)
        assert plan.choose(FAIR - 0.01, patience_ns - 1) is None
        assert plan.choose(FAIR - 0.01, patience_ns) == "held"
        assert plan.choose(FAIR + 0.01, patience_ns) == "now"


def test_a_bad_moment_is_not_taken_however_long_it_waits() -> None:
    """Unless the person is gone and was never described."""
    plan = ShotPlan(S)
    plan.held = shot(BAD)
    assert plan.choose(BAD, 0) is None
    assert plan.choose(BAD, 100 * S) is None
    assert plan.last_call() is plan.held
    plan.note_described(0)
    assert plan.last_call() is None
    plan.held = shot(BAD)
    assert plan.last_call() is None
    plan.held = shot(FAIR)
    assert plan.last_call() is plan.held


def test_with_no_time_between_descriptors_every_fair_moment_is_taken() -> None:
    """`every_s: 0` is for those who want all there is."""
    plan = ShotPlan(0)
    for time_ns in range(3):
        assert plan.is_due(time_ns)
        assert plan.choose(FAIR, time_ns) == "now"
        plan.note_described(time_ns)
