"""The best pairs: checked against all pairings, one by one."""

from itertools import permutations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from edge_runtime.people.assignment import assign, find_contested

GAINS = arrays(
    np.float64,
    st.tuples(st.integers(0, 5), st.integers(0, 5)),
    elements=st.one_of(st.floats(-5, 5), st.sampled_from([-1.0, 0.0, 1.0, 2.0])),
)


def best_sum(gain: NDArray[np.float64]) -> float:
    """The greatest sum of positive gains over every way to pair rows with columns."""
    if gain.shape[0] > gain.shape[1]:
        return best_sum(gain.T)
    ways = permutations(range(gain.shape[1]), gain.shape[0])
    return max(sum(max(0.0, float(gain[row, column])) for row, column in enumerate(way)) for way in ways)


@given(gain=GAINS)
def test_no_other_pairs_have_a_greater_sum(gain: NDArray[np.float64]) -> None:
    """Each row and column at most once, only gains above 0, and the best sum there is."""
    pairs = assign(gain)
    assert pairs == sorted(pairs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(gain[pair] > 0 for pair in pairs)
    assert abs(sum(float(gain[pair]) for pair in pairs) - best_sum(gain)) < 1e-9


def test_the_greatest_gain_is_not_always_taken() -> None:
    """3 + 0 is less than 2 + 2: choosing the greatest first would lose one pair."""
    assert assign(np.array([[3.0, 2.0], [2.0, 0.0]])) == [(0, 1), (1, 0)]


def contested(gain: NDArray[np.float64], pairs: list[tuple[int, int]], *, least_loss: float) -> list[int]:
    """Checked one by one: give each column to each other row, and their partners to each other if that gains."""
    found = set()
    of_row, of_column = dict(pairs), {column: row for row, column in pairs}
    for row in range(gain.shape[0]):
        for column in range(gain.shape[1]):
            if of_row.get(row) == column:
                continue
            partners = of_column.get(column), of_row.get(row)
            lost = sum(float(gain[pair]) for pair in pairs if pair[0] == row or pair[1] == column)
            back = max(0.0, float(gain[partners])) if None not in partners else 0.0
            if lost - float(gain[row, column]) - back < least_loss:
                found |= {column, partners[1]} - {None}
    return sorted(one for one in found if one is not None)


@given(gain=GAINS, least_loss=st.floats(0, 5))
def test_contested_are_those_whose_exchange_costs_little(gain: NDArray[np.float64], least_loss: float) -> None:
    """Against all exchanges, one by one."""
    pairs = assign(gain)
    assert find_contested(gain, pairs, least_loss=least_loss) == contested(gain, pairs, least_loss=least_loss)
