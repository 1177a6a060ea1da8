"""The files of a spool: opening and locking them, transactions, the number beside them, and what their errors mean."""

import contextlib
import fcntl
import os
import sqlite3
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
