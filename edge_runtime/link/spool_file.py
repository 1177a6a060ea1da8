"""The files of a spool: opening, locking, transactions, the age of messages, and errors as sentences.

All functions are called with the spool's mutex held, or before the spool is shared between threads.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.contract.settings import FilePath
from edge_runtime.link.entries import text_crc

PAGE_BYTES = 4096
WAL_BYTES = 1 << 20
_VERSIONS_AT = 18  # where the head of an SQLite file says which versions may write and read it
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
        sqlite3.DatabaseError: the file is damaged where it says who may write it; SQLite would call it read-only.
    """
    # Created here, because SQLite would make it readable for everybody, and descriptors of people are private.
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        versions = os.pread(file, 2, _VERSIONS_AT)
    finally:
        os.close(file)
    if versions not in (b"", b"\1\1", b"\2\2"):
        raise sqlite3.DatabaseError(f"malformed: versions {versions.hex()} in its head")
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
    return any(
        text in str(error) for text in ("malformed", "not a database", "unsupported file format", "Could not decode")
    )


def to_publish_error(error: sqlite3.DatabaseError, path: Path) -> PublishError:
    """The same as one sentence with a remedy."""
    hint = "free some space" if "full" in str(error) else "check the disk and who may write there"
    if is_locked(error):
        hint = "close the other program that has this file open"
    return PublishError(f"the spool {path} cannot be written: {error}; {hint}, what was stored before is kept")


def is_locked(error: sqlite3.DatabaseError) -> bool:
    """Whether another program holds the file, so that retrying helps as soon as it lets go."""
    return "locked" in str(error)


MACHINE_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (
    first INTEGER PRIMARY KEY, boot TEXT NOT NULL, clock_ns INTEGER NOT NULL, crc INTEGER NOT NULL
);
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


@dataclass(frozen=True)
class MachineBoot:
    """A row of the table `machine`."""

    first: int
    boot: str
    clock_ns: int

    def put(self, db: sqlite3.Connection) -> None:
        """Write it, inside a transaction, in the place of one with the same first number."""
        values = astuple(self)
        db.execute("INSERT OR REPLACE INTO machine VALUES (?, ?, ?, ?)", (*values, text_crc(*values)))


def read_boots(db: sqlite3.Connection) -> list[MachineBoot]:
    """All boots of the machine that messages may be of, in order.

    Raises:
        sqlite3.DatabaseError: a CRC is wrong: the file is damaged.
    """
    boots = []
    for *values, crc in db.execute("SELECT first, boot, clock_ns, crc FROM machine ORDER BY first"):
        if text_crc(*values) != crc:
            raise sqlite3.DatabaseError(f"malformed: the CRC of the boot from number {values[0]} is wrong")
        boots.append(MachineBoot(*values))
    return boots


def record_boot(db: sqlite3.Connection, next_seq: int) -> None:
    """Record, inside a transaction, that messages from `next_seq` on are stored in this boot of the machine."""
    boots, now = read_boots(db), MachineBoot(next_seq, machine_boot(), clock_ns())
    if not boots or boots[-1].boot != now.boot:
        now.put(db)
        oldest = "SELECT coalesce(min(seq), ?) FROM message"
        outlived = f"first < (SELECT max(first) FROM machine WHERE first <= ({oldest}))"
        db.execute(f"DELETE FROM machine WHERE {outlived}", (next_seq,))


def record_clock_step(db: sqlite3.Connection) -> None:
    """Record, inside a transaction, that the wall clock was set, so that the messages of this boot keep their age."""
    latest = read_boots(db)[-1]
    if abs(latest.clock_ns - clock_ns()) > _STEP_NS:
        replace(latest, clock_ns=clock_ns()).put(db)


def read_clocks(db: sqlite3.Connection) -> list[tuple[int, int]]:
    """First sequence number of each boot of the machine, and what to add to that boot's uptime to get UTC."""
    boots = read_boots(db)
    return [*((boot.first, boot.clock_ns) for boot in boots[:-1]), (boots[-1].first, clock_ns())]


def find_expired(db: sqlite3.Connection, max_age_s: float) -> list[int]:
    """Sequence numbers of some messages that are older than `max_age_s`; call it until it returns none."""
    boots = read_boots(db)
    oldest_ns = uptime_ns() + boots[-1].clock_ns - int(max_age_s * 1e9)
    stops = [boot.first for boot in boots[1:]] + [1 << 62]
    found: list[int] = []
    for boot, stop in zip(boots, stops, strict=True):
        # Within a boot, numbers and times grow together: the oldest messages have the lowest numbers.
        query = "SELECT seq, created_ns FROM message WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        rows = db.execute(query, (boot.first, stop, _READ_AT_ONCE)).fetchall()
        found += [seq for seq, created_ns in rows if created_ns + boot.clock_ns < oldest_ns]
    return found
