"""The spool on a disk that is full, slow, locked or damaged, and in a process or machine that dies."""

import contextlib
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.measuring.small_disk import fill_disk, mount_small_disk
from edge_runtime.contract.errors import PublishError
from edge_runtime.link import spool_file
from edge_runtime.link.spool import Gap, Priority, Spool
from edge_runtime.link.spool_file import companion
from edge_runtime.link.spool_store import Changes
from tests.support.sample_messages import open_spool, wait_for
from tests.support.spool_entries import EVERYTHING, entries, numbers, store


def test_a_full_database_is_one_sentence_and_loses_nothing(spool: Spool) -> None:
    """SQLite's own `full` costs no message: new ones stay in memory, and are stored when there is room again."""
    store(spool, entries(20))
    pages = spool.store._db.execute("PRAGMA page_count").fetchone()[0]
    spool.store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(PublishError, match=r"cannot be written: database or disk is full; free some space"):
        store(spool, entries(50))
    assert numbers(spool) == list(range(70))
    assert spool.store.state.count == 20
    spool.store._db.execute("PRAGMA max_page_count = 1000000")
    assert store(spool, entries(1)) == range(70, 71)
    assert spool.store.state.count == 71


@dataclass(frozen=True)
class SmallDisk:
    """A disk of four mebibytes; where we may not mount one, SQLite's own limit stands for it."""

    folder: Path
    is_mounted: bool

    def fill(self, spool: Spool) -> None:
        """Fill the disk, or the database where there is no small disk, to the last byte."""
        if self.is_mounted:
            fill_disk(self.folder)
        else:
            pages = spool.store._db.execute("PRAGMA page_count").fetchone()[0]
            spool.store._db.execute(f"PRAGMA max_page_count = {pages}")

    def clear(self, spool: Spool) -> None:
        """Free the disk again."""
        (self.folder / "hog").unlink(missing_ok=True)
        spool.store._db.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mounted with the test and gone with it."""
    folder = tmp_path / "disk"
    with mount_small_disk(folder, size="4m") as is_mounted:
        yield SmallDisk(folder, is_mounted)


def test_a_full_disk_loses_nothing_and_heals(small_disk: SmallDisk) -> None:
    """Somebody fills the disk: messages stay in memory, all can be acknowledged, and with free space all goes on."""
    with open_spool(small_disk.folder) as spool:
        store(spool, entries(20))
        small_disk.fill(spool)
        with pytest.raises(PublishError, match="free some space"):
            store(spool, entries(10, size=20_000))
        assert numbers(spool) == list(range(30))
        wait_for(lambda: "free some space" in str(spool.fault))
        spool.acknowledge([0, 1, 20, 21])
        assert spool.count() == 26
        small_disk.clear(spool)
        wait_for(lambda: spool.fault is None)
        assert store(spool, entries(1)) == range(30, 31)
        assert numbers(spool) == [*range(2, 20), *range(22, 31)]
        assert spool.store.state.count == 27
        assert not spool.gaps()


def test_a_disk_that_is_almost_full_is_not_filled(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`min_free_bytes` of the disk stay free: the spool drops its oldest instead, with reason `disk`."""
    size = 3 << 20

    def statvfs(_: Path) -> object:
        pages = spool.store._db.execute("PRAGMA page_count").fetchone()[0]
        return SimpleNamespace(f_bavail=(size - pages * 4096) // 512, f_frsize=512)

    monkeypatch.setattr(os, "statvfs", statvfs)
    spool.store.min_free_bytes = 1 << 20
    for _ in range(100):
        store(spool, entries(5, size=5600))
    assert 1900 << 10 < spool.used_bytes() <= 2 << 20
    assert spool.dropped["disk"] > 0
    assert {gap.why for gap in spool.gaps()} == {"disk"}
    assert numbers(spool)[-1] == 499


def test_a_disk_with_less_than_the_reserve_still_lets_messages_through(tmp_path: Path) -> None:
    """A node whose broker is there needs little: a MiB is taken whatever shall stay free, and no more than that."""
    with open_spool(tmp_path, min_free_bytes=1 << 60) as spool:
        for _ in range(10):
            assert store(spool, entries(2))
            spool.acknowledge(numbers(spool))
        assert not spool.gaps()
        store(spool, entries(1000))
        assert spool.used_bytes() <= 1 << 20
        assert {gap.why for gap in spool.gaps()} == {"disk"}


def test_what_memory_cannot_hold_is_a_gap_of_the_disk(small_disk: SmallDisk) -> None:
    """A disk that stays full costs the least worthy messages, the oldest of them first, and never the process."""
    with open_spool(small_disk.folder) as spool:
        ends = store(spool, entries(5, priority=Priority.TRACK_END))
        small_disk.fill(spool)
        for _ in range(30):
            spool.append(entries(20, size=20_000))
        kept = numbers(spool)
        assert kept[:5] == list(ends)
        assert kept[5:] == list(range(kept[5], 605)), "the newest stay"
        assert 300 < len(kept) < 420
        assert spool.gaps() == [Gap(5, kept[5] - 1, "disk")]
        assert spool.dropped["disk"] == kept[5] - 5
        spool.acknowledge(kept[5:])
        small_disk.clear(spool)
        spool.flush()
        assert spool.gaps() == [Gap(5, kept[5] - 1, "disk")]


@pytest.mark.machine
def test_a_spool_opens_on_a_full_disk(small_disk: SmallDisk) -> None:
    """A restart does not help against a full disk, so nothing ends: the database is opened when there is room."""
    if not small_disk.is_mounted:
        pytest.skip("needs the right to mount a small disk")
    with open_spool(small_disk.folder) as spool:
        store(spool, entries(5))
    small_disk.fill(spool)
    with open_spool(small_disk.folder) as spool:
        assert spool.append(entries(3)) == range(5, 8)
        assert set(numbers(spool)) >= {5, 6, 7}
        (small_disk.folder / "hog").unlink()
        wait_for(lambda: spool.fault is None)
        spool.flush()
        assert numbers(spool) == list(range(8))
        assert not spool.gaps()


@contextlib.contextmanager
def locked(path: Path, how: str = "IMMEDIATE") -> Iterator[None]:
    """Another program has the database open and keeps it locked."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"BEGIN {how}")
        yield
        other.execute("ROLLBACK")


def test_a_lock_of_another_program_holds_nothing_up(spool: Spool) -> None:
    """As long as it lasts, messages are taken, read and acknowledged in memory; then they are stored."""
    store(spool, entries(3))
    with locked(spool.path):
        spool.append(entries(5))
        assert numbers(spool) == list(range(8))
        wait_for(lambda: "close the other program" in str(spool.fault))
        spool.acknowledge([0, 4])
        assert spool.count() == 6
        with pytest.raises(PublishError, match="locked"):
            spool.flush()
    wait_for(lambda: spool.fault is None)
    spool.flush()
    assert numbers(spool) == [1, 2, 3, 5, 6, 7]
    assert spool.store.state.count == 6


def test_a_spool_that_is_locked_at_the_start_is_opened_later(tmp_path: Path) -> None:
    """Meanwhile it numbers messages on, and what it held before is read when the lock is gone."""
    with open_spool(tmp_path) as spool:
        store(spool, entries(3))
    with locked(spool.path, "EXCLUSIVE"):
        spool = open_spool(tmp_path)
        assert "locked" in str(spool.fault)
        assert spool.append(entries(2)) == range(3, 5)
    wait_for(lambda: spool.fault is None)
    assert numbers(spool) == list(range(5))
    assert not spool.gaps()
    spool.close()


def test_nobody_waits_for_a_slow_disk(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a commit hangs, messages are taken, read and acknowledged; what was acknowledged meanwhile is not kept."""
    commit, began, ends = spool.store.commit, threading.Event(), threading.Event()

    def commit_slowly(changes: Changes) -> None:
        began.set()
        assert ends.wait(10)
        commit(changes)

    with monkeypatch.context() as patch:
        patch.setattr(spool.store, "commit", commit_slowly)
        spool.append(entries(3))
        assert began.wait(10)
        assert spool.append(entries(2)) == range(3, 5)
        assert numbers(spool) == list(range(5))
        spool.acknowledge([1, 3])
        assert numbers(spool) == [0, 2, 4]
        assert spool.count() == 3
        ends.set()
        spool.flush()
    assert spool.count() == 3
    spool.flush()
    assert numbers(spool) == [0, 2, 4]
    assert spool.store.state.count == 3


def test_what_is_acknowledged_in_time_is_never_written_to_the_database(spool: Spool) -> None:
    """A node whose broker is there does not wear its flash memory: the journal is emptied again and again."""
    spool.is_online = True
    for _ in range(200):
        spool.acknowledge(spool.append(entries(20)))
    spool.flush()
    assert spool.spooled == spool.store.state.count == 0
    assert companion(spool.path, ".recent").stat().st_size < 4096


def leave_as_killed(spool: Spool, folder: Path) -> Path:
    """The files as a process that is killed now would leave them."""
    return Path(shutil.copytree(spool.path.parent, folder))


def test_a_killed_process_loses_nothing_that_was_not_stored_yet(spool: Spool, tmp_path: Path) -> None:
    """The journal has it: the next process goes on with the very next number, without a gap."""
    spool.is_online = True
    store(spool, entries(3))
    spool.append(entries(4))
    spool.acknowledge([1, 4])
    with open_spool(leave_as_killed(spool, tmp_path / "killed")) as other:
        assert other.next_seq == 7
        assert set(numbers(other)) >= {0, 2, 3, 5, 6}, "those that were acknowledged may come again"
        assert not other.gaps()


def test_numbers_of_delivered_messages_outlive_the_process(spool: Spool, tmp_path: Path) -> None:
    """Also those that were never in the database, and are in no journal any more."""
    spool.is_online = True
    spool.acknowledge(spool.append(entries(50)))
    wait_for(lambda: companion(spool.path, ".recent").stat().st_size < 100)
    with open_spool(leave_as_killed(spool, tmp_path / "killed")) as other:
        assert other.next_seq == 50
        assert not other.gaps()


@pytest.mark.parametrize("journal", ["old", "none", "damaged"])
def test_a_power_cut_costs_a_gap_and_no_number_twice(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: str
) -> None:
    """What was stored is there. The journal may be old, gone or damaged: what it lacks is a gap of reason `lost`."""
    stored = store(spool, entries(10))
    spool.is_online = True
    spool.append(entries(10))
    left = leave_as_killed(spool, tmp_path / "cut")
    recent = left / "spool.sqlite.recent"
    if journal == "none":
        recent.unlink()
    if journal == "damaged":
        recent.write_bytes(recent.read_bytes()[:-100])
    spool.append(entries(100))
    (tmp_path / "boot_id").write_text("another boot")
    monkeypatch.setattr(spool_file, "_BOOT", tmp_path / "boot_id")
    with open_spool(left) as other:
        assert other.next_seq >= 120
        assert set(numbers(other)) >= set(stored)
        (gap,) = other.gaps()
        assert gap == Gap(10, other.next_seq - 1, "lost")
        assert len(numbers(other)) == {"old": 20, "none": 10, "damaged": 19}[journal]


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bits_are_never_given_out(tmp_path: Path, seed: int) -> None:
    """Wherever bits flip: a message is as it was, or its number is told as lost."""
    random_numbers = random.Random(seed)
    with open_spool(tmp_path) as spool:
        some = entries(200)
        store(spool, some)
        spool.acknowledge(range(0, 200, 7))
        spool.flush()
    content = bytearray(spool.path.read_bytes())
    for _ in range(3):
        content[random_numbers.randrange(len(content))] ^= 1 << random_numbers.randrange(8)
    spool.path.write_bytes(content)
    with open_spool(tmp_path) as spool:
        rows = spool.pending(**EVERYTHING)
        assert all(row.payload == some[row.seq].payload and row.topic == "t" for row in rows)
        told = {seq for gap in spool.gaps() for seq in range(gap.first, gap.last + 1)}
        assert {row.seq for row in rows} | told >= {seq for seq in range(200) if seq % 7}
        assert spool.next_seq >= 200
