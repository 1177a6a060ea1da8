"""The clock that erasing goes by."""

import pytest

from edge_runtime.gallery.checked_clock import MOST_AHEAD_S, CheckedClock

SECOND_NS = 1_000_000_000
HOUR_NS, YEAR_NS = 3600 * SECOND_NS, 31_536_000 * SECOND_NS
NOON_NS = 1_795_780_800 * SECOND_NS


class Machine:
    """A clock that can be set, and one that only runs."""

    def __init__(self) -> None:
        self.wall_ns, self.steady_ns = NOON_NS, 5 * SECOND_NS

    def clock(self, newest_ns: int | None = None) -> CheckedClock:
        """A checked clock of this machine."""
        return CheckedClock(newest_ns, wall_ns=lambda: self.wall_ns, steady_ns=lambda: self.steady_ns)

    def run(self, duration_ns: int) -> None:
        """Let time pass."""
        self.wall_ns += duration_ns
        self.steady_ns += duration_ns


@pytest.fixture
def machine() -> Machine:
    """At noon."""
    return Machine()


def test_a_clock_that_is_set_far_ahead_is_not_used(machine: Machine) -> None:
    """The time goes on as messages and the steady clock say, and the fault is one sentence with the hours."""
    clock = machine.clock()
    clock.hear(machine.wall_ns)
    assert clock.fault() is None
    machine.wall_ns += YEAR_NS
    machine.run(HOUR_NS)
    assert clock.now_ns() == NOON_NS + HOUR_NS
    assert "8760.0 h ahead of the newest message" in str(clock.fault())
    machine.wall_ns -= YEAR_NS
    assert (clock.now_ns(), clock.fault()) == (NOON_NS + HOUR_NS, None)


def test_a_quiet_site_goes_on_erasing(machine: Machine) -> None:
    """A shop that is closed for weeks sends nothing, and its descriptors have to go all the same."""
    clock = machine.clock()
    clock.hear(machine.wall_ns)
    machine.run(1000 * HOUR_NS)
    assert clock.now_ns() == machine.wall_ns
    assert clock.fault() is None


def test_after_a_start_the_newest_known_time_counts_until_a_message_comes(machine: Machine) -> None:
    """The clock of a machine that has just started may be the wrong one; a pause of a night is no fault."""
    clock = machine.clock(NOON_NS - 10 * HOUR_NS)
    machine.run(SECOND_NS)
    assert clock.now_ns() == NOON_NS - 10 * HOUR_NS + SECOND_NS
    assert clock.fault() is None
    clock.hear(machine.wall_ns)
    assert clock.now_ns() == machine.wall_ns


@pytest.mark.parametrize("ahead_ns", [0, SECOND_NS, MOST_AHEAD_S * SECOND_NS])
def test_a_small_difference_is_no_fault(machine: Machine, ahead_ns: int) -> None:
    """Nodes without a good clock, messages on their way."""
    clock = machine.clock()
    clock.hear(machine.wall_ns - ahead_ns)
    assert clock.now_ns() == machine.wall_ns
    assert clock.fault() is None


def test_a_clock_that_is_set_far_back_is_not_used_once_a_message_says_so(machine: Machine) -> None:
    """Also by a restart, as on a machine whose clock has no battery; until a message comes nothing is erased early."""
    clock = machine.clock()
    clock.hear(machine.wall_ns)
    machine.wall_ns -= YEAR_NS
    assert clock.now_ns() == machine.wall_ns
    for known in (clock, machine.clock(NOON_NS)):
        known.hear(NOON_NS)
        machine.run(HOUR_NS)
        assert known.now_ns() == machine.wall_ns + YEAR_NS
        assert "8760.0 h behind" in str(known.fault())
    machine.wall_ns += YEAR_NS
    assert (clock.now_ns(), clock.fault()) == (machine.wall_ns, None)


def test_a_clock_that_is_set_right_with_those_of_all_nodes_is_used(machine: Machine) -> None:
    """They were all ahead; no message says any more that this one is behind. Nor does a node that was always ahead."""
    clock = machine.clock()
    clock.hear(machine.wall_ns)
    machine.wall_ns -= YEAR_NS
    clock.hear(machine.wall_ns)
    assert (clock.now_ns(), clock.fault()) == (machine.wall_ns, None)
    fresh = machine.clock()
    fresh.hear(machine.wall_ns + YEAR_NS)
    assert (fresh.now_ns(), fresh.fault()) == (machine.wall_ns, None)


def test_no_message_tells_more_than_the_clock_said_when_it_came(machine: Machine) -> None:
    """A node in the next century must not switch the check off."""
    clock = machine.clock()
    clock.hear(machine.wall_ns + 100 * YEAR_NS)
    machine.wall_ns += YEAR_NS
    assert clock.now_ns() == NOON_NS


def test_a_node_that_is_behind_does_not_hold_the_others_up(machine: Machine) -> None:
    """The newest time counts."""
    clock = machine.clock()
    clock.hear(machine.wall_ns)
    clock.hear(machine.wall_ns - YEAR_NS)
    assert clock.now_ns() == machine.wall_ns


def test_without_any_message_ever_the_machine_is_believed(machine: Machine) -> None:
    """There is nothing to erase."""
    assert machine.clock().now_ns() == machine.wall_ns
