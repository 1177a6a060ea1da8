"""The sequence: what is missing, which arrived twice, and why, whatever the order in which numbers come."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.receiver.sequence import Missing, Ranges, SequenceTracker

NUMBERS = st.integers(0, 60)
STRETCHES = st.tuples(NUMBERS, st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(STRETCHES))
def test_ranges_are_a_set(stretches: list[tuple[int, int]]) -> None:
    """They hold what a set would, in the fewest stretches."""
    ranges, oracle = Ranges(), set()
    for first, last in stretches:
        ranges.add(first, last)
        oracle |= set(range(first, last + 1))
    assert {number for first, last in ranges for number in range(first, last + 1)} == oracle
    assert [number in ranges for number in range(80)] == [number in oracle for number in range(80)]
    stretches_found = list(ranges)
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(stretches_found))


@given(st.lists(st.tuples(st.sampled_from("ab"), NUMBERS)), st.lists(STRETCHES, max_size=4))
def test_a_sequence_names_every_missing_number(arrivals: list[tuple[str, int]], gaps: list[tuple[int, int]]) -> None:
    """Due is everything from the lowest to the highest number heard of; missing is what of it did not arrive."""
    sequence = SequenceTracker()
    seen: set[tuple[str, int]] = set()
    numbers: set[int] = set()
    for boot, seq in arrivals:
        expected = "duplicate" if (boot, seq) in seen else "reused" if seq in numbers else "new"
        assert sequence.add(boot, seq) == expected
        seen.add((boot, seq))
        numbers.add(seq)
    for first, last in gaps:
        sequence.add_gap(Missing(first, last, "overflow"), boot="a")
    told = {number for first, last in gaps for number in range(first, last + 1)}
    known = numbers | told
    due = set(range(min(known), max(known) + 1)) if known else set()
    missing = {n: hole.why for hole in sequence.missing() for n in range(hole.first, hole.last + 1)}
    assert missing == {n: "overflow" if n in told else None for n in due - numbers}


def test_what_is_due_is_missing_until_it_comes() -> None:
    """A node that says it has given out ten numbers owes ten messages."""
    sequence = SequenceTracker()
    sequence.expect(0, 10)
    assert sequence.missing() == [Missing(0, 9, None)]
    for seq in range(10):
        sequence.add("a", seq)
    assert sequence.missing() == []
    assert (sequence.first, sequence.last) == (0, 9)


def test_a_lost_spool_does_not_make_old_numbers_due() -> None:
    """Who came late is not told of numbers that others may have received long ago."""
    sequence = SequenceTracker()
    sequence.add_gap(Missing(0, 99, "lost"), boot="a")
    assert sequence.missing() == []
    sequence.add("a", 90)
    sequence.add("b", 100)
    assert sequence.missing() == [Missing(91, 99, "lost")]


def test_nothing_heard_is_nothing_missing() -> None:
    """An empty sequence is complete, and has no first and last."""
    assert (SequenceTracker().missing(), SequenceTracker().first, SequenceTracker().last) == ([], None, None)


def test_two_machines_of_one_name_have_an_account_each() -> None:
    """Otherwise the numbers of one would hide what the other lost."""
    sequence = SequenceTracker()
    for seq in (0, 1, 2, 4, 5):
        sequence.add("one", seq)
    for seq in range(1, 6):
        sequence.add("two", seq)
    sequence.add_gap(Missing(3, 3, "disk"), boot="one")
    assert sequence.missing() == []
    assert sequence.is_reused
    assert sequence.accounts() == {"one": (range(6), [Missing(3, 3, "disk")]), "two": (range(1, 6), [])}
