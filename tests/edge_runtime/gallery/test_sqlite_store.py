"""What only the embedded store can meet: files, locks, full disks and damage."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.measuring.small_disk import fill_disk, mount_small_disk
from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Where
from edge_runtime.gallery.sqlite_store import SqliteStore
from tests.support.gallery_rows import DAY_NS, SPACE, START_NS, sample_row, vector_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a store is made."""
    return tmp_path / "gallery"


def day_file(folder: Path, day: str = "2027-01-15") -> Path:
    """The file of a day."""
    return folder / SPACE / f"{day}.sqlite"


def test_nobody_else_can_read_the_files(folder: Path) -> None:
    """Files 0600, folders 0700, also the journals."""
    with SqliteStore(folder) as store:
        store.add([sample_row(0)])
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {path.name for path in files} >= {".lock", "2027-01-15.sqlite", "2027-01-15.sqlite-wal"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / SPACE)} == {0o700}


def test_one_process_uses_a_folder(folder: Path) -> None:
    """Two would not see what the other erased."""
    with SqliteStore(folder), pytest.raises(GalleryError, match=r"used by another process; stop that one first"):
        SqliteStore(folder)
    SqliteStore(folder).close()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "gallery").write_text("")
    with pytest.raises(GalleryError, match=r"cannot be used: .*; name one that is writable"):
        SqliteStore(tmp_path / "gallery")


def test_days_beyond_the_open_files_are_found(folder: Path) -> None:
    """Files are closed and opened again as needed."""
    rows = [sample_row(seq, capture_ns=START_NS + seq * DAY_NS) for seq in range(20)]
    with SqliteStore(folder) as store:
        store.add(rows)
        assert len(store.days()) == 20
        assert {match.row.seq for match in store.search(vector_of(0), where=Where(space=SPACE), count=20)} == set(
            range(20)
        )
        assert list(store.rows(Where())) == rows


def test_a_locked_file_is_one_sentence_and_loses_nothing(folder: Path) -> None:
    """A backup holds it for longer than we wait; the same batch is stored when it is done."""
    with SqliteStore(folder, busy_timeout_s=0.1) as store:
        store.add([sample_row(0)])
        other = sqlite3.connect(day_file(folder), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(GalleryError, match=r"is locked; another program holds it; nothing was changed"):
            store.add([sample_row(1)])
        other.execute("ROLLBACK")
        other.close()
        assert store.add([sample_row(0), sample_row(1)]) == 1


def test_an_erasure_is_not_done_while_another_program_reads_the_old_rows(folder: Path) -> None:
    """They would stay in the journal: it is an error, and asking again finishes it."""
    with SqliteStore(folder, busy_timeout_s=0.1) as store:
        store.add([sample_row(0), sample_row(1)])
        other = sqlite3.connect(day_file(folder), isolation_level=None)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM descriptor").fetchone()
        with pytest.raises(GalleryError, match="another program holds it"):
            store.erase(Where(kind="track"))
        other.close()
        store.erase(Where(kind="track"))
        assert day_file(folder).with_name("2027-01-15.sqlite-wal").stat().st_size == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """A disk of four mebibytes; None where we may not mount one."""
    folder = tmp_path / "disk"
    with mount_small_disk(folder, size="4m") as is_mounted:
        yield folder if is_mounted else None


def test_a_full_disk_is_one_sentence_and_loses_nothing(small_disk: Path | None, folder: Path) -> None:
    """The batch that did not fit is not there in part, the others are, and it is stored when there is room."""
    with SqliteStore((small_disk or folder) / "gallery") as store:
        store.add([sample_row(seq) for seq in range(100)])
        batch = [sample_row(seq) for seq in range(100, 3_000)]
        if small_disk:
            fill_disk(small_disk)
        else:
            store._file((SPACE, "2027-01-15"))._db.execute("PRAGMA max_page_count = 20")
        with pytest.raises(GalleryError, match=r"full; nothing was changed, so free some space"):
            store.add(batch)
        assert store.digest(Where()).rows == 100
        if small_disk:
            (small_disk / "hog").unlink()
        else:
            store._file((SPACE, "2027-01-15"))._db.execute("PRAGMA max_page_count = 100000")
        assert store.add(batch) == len(batch)


def test_a_damaged_day_is_one_sentence_and_leaves_the_others(folder: Path) -> None:
    """It names the file; other days are stored and found as before."""
    with SqliteStore(folder) as store:
        store.add([sample_row(0), sample_row(1, capture_ns=START_NS + DAY_NS)])
    day_file(folder).write_bytes(b"not a database" * 1_000)
    with SqliteStore(folder) as store:
        with pytest.raises(GalleryError, match=r"2027-01-15.sqlite cannot be used: .*damaged: move it away"):
            store.add([sample_row(2)])
        later = Where(space=SPACE, since_ns=START_NS + DAY_NS)
        assert store.add([sample_row(3, capture_ns=START_NS + DAY_NS)]) == 1
        assert {row.seq for row in store.rows(later)} == {1, 3}
        day_file(folder).unlink()
        assert store.add([sample_row(2)]) == 1


def test_an_erasure_that_was_killed_is_finished_when_the_file_is_opened(folder: Path) -> None:
    """The rows were deleted, but the journal still had their pages."""
    store = SqliteStore(folder)
    store.add([sample_row(0), sample_row(1)])
    wal = day_file(folder).with_name("2027-01-15.sqlite-wal")
    left_over = wal.read_bytes(), day_file(folder).read_bytes()
    assert sample_row(0).vector.data in left_over[0]
    store.close()
    day_file(folder).write_bytes(left_over[1])
    wal.write_bytes(left_over[0])
    with SqliteStore(folder) as again:
        assert again.digest(Where()).rows == 2
        assert wal.stat().st_size == 0
