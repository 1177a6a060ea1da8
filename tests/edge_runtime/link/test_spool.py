"""The spool: numbers, order, limits, and a damaged file."""

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.link.spool import Entry, Gap, Priority, Spool
from edge_runtime.link.spool_file import SpoolSettings
from tests.conftest import ROOT
from tests.support.sample_messages import open_spool
from tests.support.spool_entries import EVERYTHING, entries, numbers, store


def test_what_is_appended_comes_back_in_order(spool: Spool) -> None:
    """Topic, payload and boot are kept as they are; numbers count from 0."""
    some = entries(5)
    assert store(spool, some) == range(5)
    rows = spool.pending(**EVERYTHING)
    assert [(row.seq, row.topic, row.payload, row.boot) for row in rows] == [
        (seq, entry.topic, entry.payload, spool.boot) for seq, entry in enumerate(some)
    ]


def test_the_oldest_is_the_oldest_that_is_not_delivered(spool: Spool) -> None:
    """Also before the database has deleted what was: a receiver expects all numbers from there on."""
    store(spool, entries(5))
    spool.acknowledge([0, 1])
    assert spool.oldest() == 2
    spool.acknowledge([2, 3, 4])
    assert spool.oldest() == 5
    spool.append(entries(1))
    assert spool.oldest() == 5


def test_pending_can_be_asked_in_parts(spool: Spool) -> None:
    """A stretch of numbers, a limit, and topics to leave out."""
    store(spool, entries(5, topic="a"))
    store(spool, entries(5, topic="b"))
    assert [row.seq for row in spool.pending(first=2, stop=8, limit=4)] == [2, 3, 4, 5]
    assert [row.seq for row in spool.pending(first=0, stop=8, limit=9, without_topics=["a"])] == [5, 6, 7]


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    """Not after everything was acknowledged, and not in the next run, which has another boot."""
    with open_spool(tmp_path) as spool:
        first_boot = spool.boot
        store(spool, entries(7))
        spool.acknowledge(range(7))
        assert spool.count() == 0
    with open_spool(tmp_path) as spool:
        assert store(spool, entries(1)) == range(7, 8)
        assert spool.boot != first_boot
        assert not spool.gaps()


def test_crops_are_dropped_before_track_ends_and_the_oldest_first(tmp_path: Path) -> None:
    """When there is no room, what is worth least goes first; what went is a gap, joined where numbers adjoin."""
    with open_spool(tmp_path, max_bytes=160 << 10) as spool:
        store(spool, entries(10))
        store(spool, entries(10, priority=Priority.TRACK_END))
        store(spool, entries(10, priority=Priority.TRACK))
        store(spool, entries(100))
        kept = numbers(spool)
        assert set(range(10, 30)) <= set(kept), "tracks outlive crops"
        crops = [seq for seq in kept if seq >= 30]
        assert crops == list(range(crops[0], 130)), "the newest crops stay"
        assert spool.gaps() == [Gap(0, 9, "overflow"), Gap(30, crops[0] - 1, "overflow")]
        assert spool.dropped["overflow"] == 130 - len(kept)
        assert spool.used_bytes() <= 160 << 10


def test_younger_crops_are_dropped_before_older_tracks(tmp_path: Path) -> None:
    """What a message is worth comes first, its age second."""
    with open_spool(tmp_path) as spool:
        store(spool, entries(10, priority=Priority.TRACK))
        store(spool, entries(10))
        spool.store.max_bytes = spool.used_bytes() + 4096
        store(spool, entries(3, priority=Priority.TRACK_END))
        assert [gap.first for gap in spool.gaps()] == [10]
        assert set(range(10)) < set(numbers(spool))


def test_a_crop_that_finds_only_track_ends_is_dropped_itself(tmp_path: Path) -> None:
    """The more important ones stay, its number becomes a gap, and the node goes on: a broker may be away for long."""
    with open_spool(tmp_path, max_bytes=60 << 10) as spool:
        store(spool, entries(10, priority=Priority.TRACK_END))
        spool.store.max_bytes = spool.used_bytes()
        assert store(spool, entries(2)) == range(10, 12)
        assert numbers(spool) == list(range(10))
        assert spool.gaps() == [Gap(10, 11, "overflow")]
        assert spool.dropped["overflow"] == 2
        assert store(spool, entries(1, priority=Priority.TRACK_END)) == range(12, 13)
        assert numbers(spool)[-1] == 12


def test_a_limit_below_one_message_is_one_sentence(tmp_path: Path) -> None:
    """A spool that drops every message would look as if it worked."""
    with (
        open_spool(tmp_path, max_bytes=8 << 10) as spool,
        pytest.raises(PublishError, match="is empty and yet has no room"),
    ):
        store(spool, entries(1))


def test_the_file_stays_within_its_limit(tmp_path: Path) -> None:
    """However much is appended, the file does not outgrow `max_bytes`."""
    with open_spool(tmp_path, max_bytes=200 << 10) as spool:
        for _ in range(100):
            store(spool, entries(10))
        assert 100 << 10 < spool.used_bytes() <= 200 << 10
    assert spool.path.stat().st_size <= 200 << 10


def test_a_gap_that_grew_is_reported_again(tmp_path: Path) -> None:
    """An acknowledgement of a gap that is longer by now does not make it forgotten."""
    with open_spool(tmp_path, max_bytes=60 << 10) as spool:
        store(spool, entries(40))
        (gap,) = spool.gaps()
        store(spool, entries(10))
        spool.acknowledge_gap(gap)
        (longer,) = spool.gaps()
        assert longer.last > gap.last
        spool.acknowledge_gap(longer)
        assert not spool.gaps()


def test_old_messages_are_erased_from_the_disk(tmp_path: Path) -> None:
    """After `max_age_s` a message is a gap of reason `age`, and its bytes are nowhere in the files."""
    secret = b"descriptor of a person" * 20
    with open_spool(tmp_path) as spool:
        store(spool, [Entry("t", secret, Priority.TRACK_END)])
    assert any(secret in path.read_bytes() for path in tmp_path.iterdir())
    with open_spool(tmp_path, max_age_s=0.0) as spool:
        spool.flush()
        assert spool.gaps() == [Gap(0, 0, "age")]
        assert spool.dropped["age"] == 1
    assert not any(secret in path.read_bytes() for path in tmp_path.iterdir())


def test_only_the_owner_can_read_it(spool: Spool) -> None:
    """Descriptors of people must not be readable by other users."""
    store(spool, entries(1))
    files = [path for path in spool.path.parent.iterdir() if path.suffix != ".seq"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


@pytest.mark.parametrize("damage", ["header", "middle"])
def test_a_damaged_file_is_put_aside_and_numbers_go_on(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No number is given out twice, what can be read is kept, the rest is a gap, and a message says so.

    With a damaged header nothing can be read; two damaged pages cost at most what is on them.
    """
    with open_spool(tmp_path) as spool:
        given_out = store(spool, entries(300)).stop
        path = spool.path
    content = bytearray(path.read_bytes())
    start = 0 if damage == "header" else 4096
    content[start : start + 8192] = os.urandom(8192)
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR), open_spool(tmp_path) as spool:
        assert "is damaged" in caplog.text
        assert spool.damages == 1
        kept = set(numbers(spool))
        assert len(kept) == 0 if damage == "header" else len(kept) >= 290
        told = {seq for gap in spool.gaps() for seq in range(gap.first, gap.last + 1)}
        assert kept | told >= set(range(given_out))
        assert not kept & told
        assert store(spool, entries(1)).start >= given_out
    assert path.with_name("spool.sqlite.corrupt").read_bytes() == content
    with open_spool(tmp_path) as spool:
        assert spool.damages == 0
        assert spool.count() == len(kept) + 1


def test_damage_while_running_costs_no_new_message(spool: Spool) -> None:
    """The message that meets the damage is stored in the new file, under the very next number."""
    store(spool, entries(500))
    with sqlite3.connect(spool.path) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    with spool.path.open("r+b") as file:
        for page in range(1, 260):
            file.seek(page * 4096)
            file.write(os.urandom(4096))
    # Pages in memory hide the damage until they are needed again.
    spool.store._db.execute("PRAGMA cache_size = 0")
    store(spool, entries(1))
    assert spool.damages == 1
    assert numbers(spool) == [500]
    assert spool.gaps() == [Gap(0, 499, "lost")]


def test_a_topic_that_is_no_text_is_damage(spool: Spool) -> None:
    """SQLite reads such a row again and again in vain, so the file is put aside like any damaged one."""
    store(spool, entries(3))
    spool.store._db.execute("UPDATE message SET topic = CAST(x'61FF62' AS TEXT) WHERE seq = 1")
    assert numbers(spool) == [0, 2]
    assert spool.gaps() == [Gap(1, 1, "lost")]
    assert spool.dropped["lost"] == 1


def test_a_deleted_file_does_not_bring_numbers_back(tmp_path: Path) -> None:
    """The number beside the spool outlives it."""
    with open_spool(tmp_path) as spool:
        given_out = store(spool, entries(3)).stop
    spool.path.unlink()
    with open_spool(tmp_path) as spool:
        assert spool.next_seq >= given_out


def test_an_old_damaged_file_is_erased(tmp_path: Path) -> None:
    """What was put aside holds descriptors too, and is erased when they would have been."""
    damaged = tmp_path / "spool.sqlite.corrupt"
    damaged.write_bytes(b"x")
    os.utime(damaged, (0, 0))
    with open_spool(tmp_path):
        assert not damaged.exists()


def test_a_file_damaged_while_running_is_erased_in_its_time(spool: Spool) -> None:
    """A daemon runs for months: it does not wait for the next start."""
    store(spool, entries(3))
    spool.store._quarantine(sqlite3.DatabaseError("malformed"))
    damaged = spool.path.with_name("spool.sqlite.corrupt")
    spool.flush()
    assert damaged.exists()
    os.utime(damaged, (0, 0))
    spool.flush()
    assert not damaged.exists()


def test_a_second_process_is_refused(spool: Spool) -> None:
    """Two processes of one node would disconnect each other from the broker: the second one says so, and ends."""
    with pytest.raises(ConfigError, match="held by another process"):
        open_spool(spool.path.parent)


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    """After SIGKILL another process may open the spool, and everything is in it for which `append` had returned."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.support.sample_messages import open_spool\n"
        "from tests.support.spool_entries import entries\n"
        "open_spool(Path(sys.argv[1])).append(entries(9)); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    with open_spool(tmp_path) as spool:
        assert numbers(spool) == list(range(9))


def test_a_spool_of_another_node_is_refused(tmp_path: Path) -> None:
    """Its numbers are not ours."""
    open_spool(tmp_path).close()
    with pytest.raises(ConfigError, match="belongs to node 'cam', not to 'other'"):
        Spool(SpoolSettings(tmp_path / "spool.sqlite"), node="other")


@pytest.mark.parametrize("place", ["file/spool.sqlite", "folder"])
def test_a_place_that_cannot_be_written_is_a_mistake_in_the_settings(tmp_path: Path, place: str) -> None:
    """A folder under a file, or a folder in the file's place, is said in one sentence."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="writable"):
        Spool(SpoolSettings(tmp_path / place), node="cam")
