"""The files of a spool: opening, locking, transactions, the `.seq` file, the age of messages, and errors as sentences.

All functions are called with the spool's mutex held, or before the spool is shared between threads.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.contract.settings import FilePath

PAGE_BYTES = 4096
WAL_BYTES = 1 << 20
_DIGITS = 20
_LOCKED_S = 0.5  # another program may hold the file for hours: nobody waits for it, the caller tries again
PRAGMAS = (
    f"page_size = {PAGE_BYTES}",
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    f"wal_autocheckpoint = {WAL_BYTES // PAGE_BYTES}",
    f"journal_size_limit = {WAL_BYTES}",
)


@dataclass(frozen=True)
class SpoolSettings:
    """The file of unsent messages, and its limits. Its folder is made if it does not exist.

    max_mib: how much of the disk messages may take (the write-ahead log adds about 1 MiB).
    max_age_h: messages older than this are erased.
    min_free_mib: how much of the disk the file leaves free; its first MiB is not bound by this.
    """

    path: FilePath
    max_mib: Annotated[float, Field(gt=0)] = 512.0
    max_age_h: Annotated[float, Field(gt=0, le=87_600)] = 72.0
    min_free_mib: Annotated[float, Field(ge=0)] = 64.0


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, or create one that only its owner can read.

    Raises:
        OSError: it cannot be opened or created.
    """
    # Created here, because SQLite would make it readable for everybody, and descriptors of people are private.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_LOCKED_S)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit what happens inside, or nothing of it if it raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        # On some errors (a full disk) SQLite rolls back itself, on others it does not.
        if db.in_transaction:
            db.execute("ROLLBACK")


def lock(path: Path) -> int:
    """Lock the spool for this process, as long as the returned file descriptor is open.

    Raises:
        ConfigError: another process holds the lock, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(companion(path, ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise ConfigError(
            f"the spool {path} cannot be created: {error.strerror}; name a folder that is writable"
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


def companion(path: Path, suffix: str) -> Path:
    """The path of another file of the spool: its name with `suffix` appended."""
    return path.with_name(path.name + suffix)


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is damaged, so that retrying cannot help."""
    # Python 3.10 gives no error codes. Errors of a full or failing disk have other texts.
    return any(text in str(error) for text in ("malformed", "not a database", "Could not decode"))


def to_publish_error(error: sqlite3.DatabaseError, path: Path) -> PublishError:
    """The same as one sentence with a remedy."""
    hint = "free some space" if "full" in str(error) else "check the disk and who may write there"
    if is_locked(error):
        hint = "close the other program that has this file open"
    return PublishError(f"the spool {path} cannot be written: {error}; {hint}, what was stored before is kept")


def is_locked(error: sqlite3.DatabaseError) -> bool:
    """Whether another program holds the file, so that retrying helps as soon as it lets go."""
    return "locked" in str(error)


def read_number(path: Path) -> int:
    """Read a number from a file; 0 if there is no such file, or the number in it is damaged."""
    try:
        content = path.read_bytes()
        number = int(content[:_DIGITS])
    except (OSError, ValueError):
        return 0
    is_old = len(content) == _DIGITS + 1  # written without a checksum
    return number if is_old or content == _with_checksum(number) else 0


def _with_checksum(number: int) -> bytes:
    digits = f"{number:0{_DIGITS}d}".encode()
    return b"%b %08x\n" % (digits, zlib.crc32(digits))


def write_number(path: Path, number: int) -> None:
    """Write a number to a file in place, which needs no room on a full disk. It is on the disk when this returns.

    Raises:
        PublishError: the disk is full, or fails.
    """
    try:
        file = os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)
        try:
            # One write of a few bytes of one sector: a power cut leaves the old number or the new one.
            os.pwrite(file, _with_checksum(number), 0)
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise PublishError(
            f"cannot write {path}: {error.strerror}; free some space, nothing in the spool is lost"
        ) from error


MACHINE_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (first INTEGER PRIMARY KEY, boot TEXT NOT NULL, clock_ns INTEGER NOT NULL);
"""
# Messages are stamped with the uptime of the machine, because the wall clock may be set. The table `machine` has one
# row for each boot of the machine: the first sequence number stored in it, and what to add to the uptime to get UTC.
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STEP_NS = 1_000_000_000  # smaller changes of the clock are not recorded
_READ_AT_ONCE = 8


def uptime_ns() -> int:
    """Time since the machine was started, sleep included. Nobody can set this clock."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def clock_ns() -> int:
    """What to add to the uptime to get UTC, by the wall clock as it is set now."""
    return time.time_ns() - uptime_ns()


def machine_boot() -> str:
    """An id of this boot of the machine."""
    return _BOOT.read_text().strip()


def record_boot(db: sqlite3.Connection, next_seq: int) -> None:
    """Record, inside a transaction, that messages from `next_seq` on are stored in this boot of the machine."""
    boot = machine_boot()
    latest = db.execute("SELECT boot FROM machine ORDER BY first DESC LIMIT 1").fetchone()
    if latest is None or latest[0] != boot:
        db.execute("INSERT OR REPLACE INTO machine VALUES (?, ?, ?)", (next_seq, boot, clock_ns()))
        oldest = "SELECT coalesce(min(seq), ?) FROM message"
        outlived = f"first < (SELECT max(first) FROM machine WHERE first <= ({oldest}))"
        db.execute(f"DELETE FROM machine WHERE {outlived}", (next_seq,))


def record_clock_step(db: sqlite3.Connection) -> None:
    """Record, inside a transaction, that the wall clock was set, so that the messages of this boot keep their age."""
    now_ns = clock_ns()
    latest = "first = (SELECT max(first) FROM machine)"
    db.execute(f"UPDATE machine SET clock_ns = ? WHERE {latest} AND abs(clock_ns - ?) > {_STEP_NS}", [now_ns] * 2)


def read_clocks(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """First sequence number of each boot of the machine, and what to add to that boot's uptime to get UTC."""
    boots = db.execute("SELECT first, clock_ns FROM machine ORDER BY first").fetchall()
    return [*boots[:-1], (boots[-1][0], clock_ns())]


def find_expired(db: sqlite3.Connection, max_age_s: float) -> list[int]:
    """Sequence numbers of some messages that are older than `max_age_s`; call it until it returns none."""
    boots = db.execute("SELECT first, clock_ns FROM machine ORDER BY first").fetchall()
    oldest_ns = uptime_ns() + boots[-1][1] - int(max_age_s * 1e9)
    stops = [first for first, _ in boots[1:]] + [1 << 62]
    found: list[int] = []
    for (first, offset_ns), stop in zip(boots, stops, strict=True):
        # Within a boot, numbers and times grow together: the oldest messages have the lowest numbers.
        query = "SELECT seq, created_ns FROM message WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        rows = db.execute(query, (first, stop, _READ_AT_ONCE)).fetchall()
        found += [seq for seq, created_ns in rows if created_ns + offset_ns < oldest_ns]
    return found
