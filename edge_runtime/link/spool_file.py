"""The files of a spool: opening and locking, transactions, the number beside them, message age, what errors mean."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.contract.errors import ConfigError, PublishError

PAGE_BYTES = 4096
WAL_BYTES = 1 << 20
PRAGMAS = (
    f"page_size = {PAGE_BYTES}",
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    f"wal_autocheckpoint = {WAL_BYTES // PAGE_BYTES}",
    f"journal_size_limit = {WAL_BYTES}",
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, or make one that only we can read.

    Raises:
        OSError: it cannot be opened or made.
    """
    # Made here, because SQLite would make it readable to all; a descriptor of a person is nobody else's business.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        # SQLite rolls back by itself on some errors (a full disk), on others it leaves that to us.
        if db.in_transaction:
            db.execute("ROLLBACK")


def lock(path: Path) -> int:
    """Take the spool for this process, for as long as the returned file is open.

    Raises:
        ConfigError: another process has it, or its folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(beside(path, ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the spool {path} cannot be made: {error.strerror}; name a folder that is writable"
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise ConfigError(
            f"the spool {path} is held by another process: this node already runs; stop it first, or give each node "
            f"its own name and spool"
        ) from error
    return file


def beside(path: Path, suffix: str) -> Path:
    """The path of a file that belongs to the spool."""
    return path.with_name(path.name + suffix)


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is broken, so that trying again cannot help."""
    # Python 3.10 has no error codes. Full disks and failing ones are OperationalErrors with texts of their own.
    return any(text in str(error) for text in ("malformed", "not a database", "Could not decode"))


def as_publish_error(error: sqlite3.DatabaseError, path: Path) -> PublishError:
    """Say in one sentence what the disk did to us."""
    hint = "free some space" if "full" in str(error) else "check the disk and who may write there"
    return PublishError(f"the spool {path} cannot be written: {error}; {hint}, what was spooled before is kept")


def read_number(path: Path) -> int:
    """Read a number; 0 if there is none."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0


def write_number(path: Path, number: int) -> None:
    """Write a number so that it is on the disk, whole, when this returns.

    Raises:
        PublishError: the disk is full, or fails.
    """
    partial = beside(path, ".partial")
    try:
        with partial.open("w") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise PublishError(
            f"cannot write {path}: {error.strerror}; free some space, nothing spooled is lost"
        ) from error


MACHINE_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (first INTEGER PRIMARY KEY, boot TEXT NOT NULL, clock_ns INTEGER NOT NULL);
"""
CREATED_NS = "created_ns + (SELECT clock_ns FROM machine WHERE first <= seq ORDER BY first DESC LIMIT 1)"
"""SQL: when a message was spooled, by the wall clock."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STEP_NS = 1_000_000_000  # by how much a clock must have moved to be worth a write
_LOOK_AT = 8


def uptime_ns() -> int:
    """What a message is stamped with: the time since the machine was switched on, sleep included. Nobody sets it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def note_boot(db: sqlite3.Connection, next_seq: int) -> None:
    """Note, inside a transaction, that messages from `next_seq` on are of this boot of the machine."""
    # A spool from before there was this table has stamps of the wall clock.
    db.execute("INSERT OR IGNORE INTO machine VALUES (-1, '', 0)")
    boot = _BOOT.read_text().strip()
    if db.execute("SELECT boot FROM machine ORDER BY first DESC LIMIT 1").fetchone()[0] != boot:
        db.execute("INSERT OR REPLACE INTO machine VALUES (?, ?, ?)", (next_seq, boot, _clock_ns()))
        oldest = "SELECT coalesce(min(seq), ?) FROM message"
        outlived = f"first < (SELECT max(first) FROM machine WHERE first <= ({oldest}))"
        db.execute(f"DELETE FROM machine WHERE {outlived}", (next_seq,))


def note_clock_step(db: sqlite3.Connection) -> None:
    """Note, inside a transaction, that the wall clock was set; the messages of this boot keep their age."""
    clock_ns = _clock_ns()
    latest = "first = (SELECT max(first) FROM machine)"
    db.execute(f"UPDATE machine SET clock_ns = ? WHERE {latest} AND abs(clock_ns - ?) > {_STEP_NS}", [clock_ns] * 2)


def find_aged(db: sqlite3.Connection, max_age_s: float) -> list[int]:
    """Some of the messages that are older than `max_age_s`, none if there are none."""
    boots = db.execute("SELECT first, clock_ns FROM machine ORDER BY first").fetchall()
    oldest_ns = uptime_ns() + boots[-1][1] - int(max_age_s * 1e9)
    stops = [first for first, _ in boots[1:]] + [1 << 62]
    found: list[int] = []
    for (first, clock_ns), stop in zip(boots, stops, strict=True):
        # Within a boot numbers and times grow together, so that looking from its front is enough.
        query = "SELECT seq, created_ns FROM message WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        rows = db.execute(query, (first, stop, _LOOK_AT)).fetchall()
        found += [seq for seq, created_ns in rows if created_ns + clock_ns < oldest_ns]
    return found


def _clock_ns() -> int:
    return time.time_ns() - uptime_ns()
