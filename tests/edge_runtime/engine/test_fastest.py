"""Choosing a way by its time."""

import time

from edge_runtime.engine.fastest import find_fastest


def test_the_fastest_way_is_the_one_with_the_lowest_median() -> None:
    """One slow call, such as the first, does not decide."""
    slow_at_first = iter([0.05, *[0.0] * 20])
    calls = [lambda: time.sleep(0.01), lambda: time.sleep(next(slow_at_first)), lambda: time.sleep(0.02)]
    assert find_fastest(calls) == 1
