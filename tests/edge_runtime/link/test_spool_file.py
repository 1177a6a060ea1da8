"""Ages in the spool while clocks are set and machines are switched off."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_runtime.link import spool_file
from edge_runtime.link.spool import Entry, Gap, Priority, Spool
from tests.support.sample_messages import open_spool

HOUR_S = 3600
MAX_AGE_S = 72 * HOUR_S
EVERYTHING = {"first": 0, "stop": 1 << 62, "limit": 1 << 30}


@dataclass
class Machine:
    """A wall clock and an uptime that a test sets, in seconds, and which boot this is."""

    boot: Path
    wall_s: int = 1_800_000_000
    uptime_s: int = 60

    def pass_by(self, seconds: int) -> None:
        """Advance wall clock and uptime by so many seconds."""
        self.wall_s += seconds
        self.uptime_s += seconds

    def switch_on_again(self, *, wall_s: int) -> None:
        """Begin another boot, with such a wall clock."""
        self.boot.write_text(f"{self.boot.read_text()}+")
        self.wall_s, self.uptime_s = wall_s, 60


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine that the spool believes to run on."""
    boot = tmp_path / "boot_id"
    boot.write_text("boot")
    machine = Machine(boot)
    monkeypatch.setattr(spool_file, "_BOOT", boot)
    monkeypatch.setattr(time, "time_ns", lambda: machine.wall_s * 10**9)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda _: machine.uptime_s * 10**9)
    return machine


def append(spool: Spool, count: int = 20) -> None:
    """Spool some messages now."""
    spool.append([Entry("t", b"x", Priority.CROP)] * count)
    spool.flush()


def waiting(spool: Spool) -> int:
    """How many messages wait after a look at their ages."""
    spool.flush()
    return spool.count()


def test_setting_the_clock_makes_no_message_older(tmp_path: Path, machine: Machine) -> None:
    """A node that booted offline with an old time keeps all of that, over a restart of the daemon too."""
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
        machine.pass_by(HOUR_S)
        machine.wall_s += 1000 * HOUR_S
        rows = spool.pending(**EVERYTHING)
        assert {row.created_ns // 10**9 for row in rows} == {machine.wall_s - HOUR_S}
        assert waiting(spool) == 40
        machine.wall_s -= 2000 * HOUR_S
        assert waiting(spool) == 40


def test_a_clock_that_is_set_back_keeps_no_message_for_longer(tmp_path: Path, machine: Machine) -> None:
    """The age of what was spooled since the machine was switched on is that of its uptime."""
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
        machine.wall_s -= 1000 * HOUR_S
        append(spool)
        machine.pass_by(MAX_AGE_S + 1)
        append(spool, 1)
        assert waiting(spool) == 1
        assert spool.gaps() == [Gap(0, 39, "age")]


def test_time_goes_on_while_the_machine_is_off(tmp_path: Path, machine: Machine) -> None:
    """Messages of an earlier boot age by the wall clock, with what that boot's clock was known to be at last."""
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
        machine.wall_s += 1000 * HOUR_S
        spool.flush()
    machine.switch_on_again(wall_s=machine.wall_s + 71 * HOUR_S)
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
        assert waiting(spool) == 40
        machine.pass_by(2 * HOUR_S)
        assert waiting(spool) == 20
        assert spool.gaps() == [Gap(0, 19, "age")]


def test_messages_from_the_future_keep_no_others(tmp_path: Path, machine: Machine) -> None:
    """A boot whose clock was wrong until its end leaves times to come; later messages go in their time all the same."""
    now_s = machine.wall_s
    machine.wall_s += 10_000 * HOUR_S
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
    machine.switch_on_again(wall_s=now_s)
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        append(spool)
    machine.switch_on_again(wall_s=now_s + MAX_AGE_S + HOUR_S)
    with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
        assert waiting(spool) == 20
        assert spool.gaps() == [Gap(20, 39, "age")]


def test_boots_without_messages_are_forgotten(tmp_path: Path, machine: Machine) -> None:
    """The table does not grow for ever on a machine that is switched off each night."""
    for _ in range(5):
        machine.switch_on_again(wall_s=machine.wall_s + HOUR_S)
        with open_spool(tmp_path, max_age_s=MAX_AGE_S) as spool:
            append(spool)
            spool.acknowledge(range(spool.next_seq - 20, spool.next_seq))
            spool.flush()
            assert spool.store._db.execute("SELECT count(*) FROM machine").fetchone()[0] <= 2
