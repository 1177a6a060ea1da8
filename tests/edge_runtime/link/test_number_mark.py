"""The mark above all numbers that were given out, when it is damaged, cannot be raised, or is lost with everything."""

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_runtime.contract.errors import PublishError
from edge_runtime.link import spool_file, spool_store
from edge_runtime.link.entries import Entry
from edge_runtime.link.number_mark import NumberMark
from edge_runtime.link.spool import Spool
from tests.support.sample_messages import open_spool
from tests.support.spool_entries import EVERYTHING, entries, numbers, store

FAR = 1 << 40


def test_a_number_with_a_flipped_bit_is_no_number(tmp_path: Path) -> None:
    """Whichever bit it is: one that is too low would be used twice, one that is far too high fits nowhere."""
    path = tmp_path / "spool.sqlite.seq"
    NumberMark(path).put(4096)
    content = path.read_bytes()
    assert NumberMark(path).value == 4096
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert NumberMark(path).value is None


def test_the_mark_is_raised_before_numbers_reach_it(tmp_path: Path) -> None:
    """It is on the disk then; as long as it is far away, nothing is written."""
    mark = NumberMark(tmp_path / "spool.sqlite.seq")
    assert not mark.is_above(0)
    for number in range(0, 5000, 100):
        mark.raise_above(number)
        assert mark.is_above(number + 500)
        assert NumberMark(tmp_path / "spool.sqlite.seq").value == mark.value
    before = mark.value
    mark.raise_above(number + 1)
    assert mark.value == before


def test_a_new_spool_counts_from_zero(tmp_path: Path) -> None:
    """Nothing was ever written there, so nothing was given out."""
    with open_spool(tmp_path) as spool:
        assert spool.next_seq == 0


def test_without_a_mark_numbers_go_on_far_above(tmp_path: Path) -> None:
    """The database does not know the numbers of messages that never were in it."""
    with open_spool(tmp_path) as spool:
        store(spool, entries(20))
    path = tmp_path / "spool.sqlite.seq"
    path.write_bytes(b"1" + path.read_bytes()[1:])
    with open_spool(tmp_path) as spool:
        far = spool.next_seq
        assert FAR < far < 1 << 50
        (gap,) = spool.gaps()
        assert (gap.first, gap.last, gap.why) == (20, far - 1, "lost")
        assert store(spool, entries(2)) == range(far, far + 2)
        assert numbers(spool) == [*range(20), far, far + 1]
    with open_spool(tmp_path) as spool:
        assert spool.next_seq == far + 2, "once"


def test_numbers_that_no_disk_knows_are_not_given_out(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is dead, and the node goes on for days: the next run, after a power cut, begins at the old mark."""
    mark = spool._mark.value
    assert mark is not None

    def fail(*_: object) -> None:
        raise PublishError("a dead disk")

    with monkeypatch.context() as patch:
        patch.setattr(NumberMark, "put", fail)
        given_out = [seq for _ in range(60) for seq in spool.append(entries(50, size=10))]
    assert len(set(given_out)) == 3000
    assert not [seq for seq in given_out if mark <= seq < FAR]
    (gap,) = [gap for gap in spool.gaps() if gap.why == "lost"]
    assert gap.first <= mark
    assert gap.last + 1 in given_out
    store(spool, entries(1))
    assert NumberMark(spool.path.with_name("spool.sqlite.seq")).value > given_out[-1]


@dataclass(frozen=True)
class Left:
    """The files that a run left, what it was given, and which of its numbers were acknowledged."""

    folder: Path
    given: list[Entry]
    acknowledged: set[int]


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> list[Left]:
    """Of a process that was killed, and of one that was stopped."""
    root = tmp_path_factory.mktemp("left")
    given: list[Entry] = []
    acknowledged: set[int] = set()

    def some(count: int) -> list[Entry]:
        given.extend(entries(count, size=300))
        return given[-count:]

    with open_spool(root / "live") as spool:
        store(spool, some(60))
        spool.acknowledge(done := range(0, 60, 7))
        acknowledged.update(done)
        spool.flush()
        spool.is_online = True
        for count in (30, 700):
            spool.acknowledge(done := spool.append(some(count)))
            acknowledged.update(done)
            store(spool, some(40))
        spool.acknowledge(done := spool.append(some(20))[::3])
        acknowledged.update(done)
        shutil.copytree(root / "live", root / "killed")
    return [Left(folder, given, acknowledged) for folder in (root / "killed", root / "live")]


@pytest.fixture
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of spools are opened, and none of them meets a power cut: nobody has to wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(spool_store, "PRAGMAS", (*spool_store.PRAGMAS, "synchronous = OFF"))


@pytest.fixture
def other_boot(tmp_path: Path) -> Path:
    """The id of another boot of the machine."""
    path = tmp_path / "boot_id"
    path.write_text("another boot")
    return path


def flip(folder: Path, draw: random.Random) -> None:
    """Flip some bits in some of the spool's files, often near their beginning, where most depends on them."""
    files = [path for path in sorted(folder.iterdir()) if path.stat().st_size and not path.name.endswith("-shm")]
    for path in draw.sample(files, draw.randint(1, len(files))):
        content = bytearray(path.read_bytes())
        for _ in range(draw.choice((1, 3, 10))):
            end = draw.choice((len(content), min(200, len(content))))
            content[draw.randrange(end)] ^= 1 << draw.randrange(8)
        path.write_bytes(content)


def faults_after(left: Left, folder: Path) -> Iterator[str]:
    """What a run that finds these files does wrong."""
    with open_spool(folder) as spool:
        rows = spool.pending(**EVERYTHING)
        told = [range(gap.first, gap.last + 1) for gap in spool.gaps()]
        known = {row.seq for row in rows} | left.acknowledged
        if spool.next_seq < len(left.given):
            yield f"begins at {spool.next_seq}"
        if any(row.payload != left.given[row.seq].payload for row in rows):
            yield "gives out what was not handed in"
        if silent := [n for n in range(len(left.given)) if n not in known and not any(n in gap for gap in told)]:
            yield f"says nothing of {silent}"
        store(spool, entries(1))


@pytest.mark.usefixtures("without_fsync")
def test_flips_in_any_files_cost_gaps_and_no_number_twice(
    left_behind: list[Left], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_boot: Path
) -> None:
    """In several files at once too: each message is delivered, waits as it was, or is told as lost."""
    for seed in range(200):
        draw = random.Random(seed)
        left = draw.choice(left_behind)
        folder = Path(shutil.copytree(left.folder, tmp_path / str(seed)))
        flip(folder, draw)
        with monkeypatch.context() as patch:
            if draw.random() < 0.3:
                patch.setattr(spool_file, "_BOOT", other_boot)
            assert list(faults_after(left, folder)) == [], f"seed {seed}"
        shutil.rmtree(folder)


@pytest.mark.usefixtures("without_fsync")
def test_the_head_of_the_database_may_be_damaged_anywhere(tmp_path: Path) -> None:
    """Each byte: the spool takes messages, and tells what it lost. SQLite calls such a file read-only at times."""
    with open_spool(tmp_path / "made") as spool:
        store(spool, entries(5))
    content = (tmp_path / "made" / "spool.sqlite").read_bytes()
    for byte in range(0, 100, 2):
        folder = Path(shutil.copytree(tmp_path / "made", tmp_path / str(byte)))
        flipped = bytes([content[byte] ^ 1 << byte % 8])
        (folder / "spool.sqlite").write_bytes(content[:byte] + flipped + content[byte + 1 :])
        with open_spool(folder) as spool:
            store(spool, entries(1))
            told = {seq for gap in spool.gaps() for seq in range(gap.first, gap.last + 1)}
            assert told | set(numbers(spool)) >= set(range(6))
