"""The outgoing queue on disk: messages are stored here before they are sent, and deleted once they are acknowledged.

One SQLite file in WAL mode with `synchronous=FULL`. With NORMAL, a power cut could undo the last commits, and sequence
numbers that the broker has already seen would be used again. FULL costs one fsync per `append`, so a caller hands over
all messages of one step together.

Sequence numbers count from 0, per node, and are never used twice: not after a restart, and not after the file was lost.
For the latter a small file beside it (`<spool>.seq`) holds a number that is at least as high as the next one. After a
loss the numbers continue from there, and a gap of reason `lost` tells receivers not to wait for the others.
Files: `<spool>`, `-wal`, `-shm`, `.seq`, `.lock`, and `.corrupt` (the last damaged file, kept as long as messages are).
"""

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.link.messages import new_boot
from edge_runtime.link.spool_file import (
    CREATED_NS,
    MACHINE_SCHEMA,
    PAGE_BYTES,
    PRAGMAS,
    SpoolSettings,
    companion,
    connect,
    find_expired,
    is_damage,
    lock,
    read_number,
    record_boot,
    record_clock_step,
    to_publish_error,
    transaction,
    uptime_ns,
    write_number,
)
from edge_runtime.link.wire_types import GapReason

logger = logging.getLogger(__name__)

_SCHEMA = f"""
{MACHINE_SCHEMA}
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY, priority INTEGER NOT NULL, created_ns INTEGER NOT NULL,
    boot TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS message_priority ON message (priority, seq);
CREATE TABLE IF NOT EXISTS gap (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, why TEXT NOT NULL);
"""
_RESERVED_NUMBERS = 256
_DROPPED_AT_ONCE = 4
_MINIMUM_BYTES = 1 << 20  # with less, a node could not even send messages to a broker that is connected
Result = TypeVar("Result")


class Priority(IntEnum):
    """Which messages are dropped when the spool is full: those of the lowest priority, the oldest of them first."""

    CROP = 0
    TRACK = 1
    TRACK_END = 2


@dataclass(frozen=True)
class Entry:
    """A message to be spooled. payload: as `encode_message` returns it."""

    topic: str
    payload: bytes
    priority: Priority


@dataclass(frozen=True)
class SpooledMessage:
    """A message in the spool. boot: id of the run of the node that stored it. created_ns: when, by the wall clock."""

    seq: int
    boot: str
    topic: str
    payload: bytes
    created_ns: int


@dataclass(frozen=True)
class Gap:
    """Sequence numbers from `first` to `last`: those that have not been delivered never will be."""

    first: int
    last: int
    why: GapReason


class Spool:
    """Thread-safe. Belongs to one process at a time: a second one is refused.

    node: whose numbers these are; a file of another node is refused.

    Raises:
        ConfigError: the folder cannot be written, another process holds the spool, or it is another node's.
        PublishError: the disk is full.
    """

    def __init__(self, settings: SpoolSettings, *, node: str) -> None:
        self.path, self.node = settings.path, node
        self.max_bytes, self.min_free_bytes = int(settings.max_mib * 2**20), int(settings.min_free_mib * 2**20)
        self.max_age_s = settings.max_age_h * 3600
        self.boot = new_boot()
        self.dropped: dict[GapReason, int] = {"overflow": 0, "age": 0, "disk": 0, "lost": 0}
        self.damages = 0
        self._delivered: set[int] = set()
        self._is_stuck = False
        self.next_seq = 0
        self._reserved = 0
        self._mutex = threading.RLock()
        self._lock_file = lock(self.path)
        try:
            self._open()
        except BaseException:
            os.close(self._lock_file)
            raise

    def append(self, entries: Sequence[Entry]) -> range:
        """Store messages, all or none, and return their sequence numbers. They are on the disk when this returns.

        If there is no room, messages of lower priority, or older ones of the same priority, are dropped and become a
        gap. A new message becomes a gap itself if all others have a higher priority.

        Raises:
            PublishError: the disk is full, or fails; nothing that was stored before is lost.
        """

        def write() -> range:
            self._drop_expired()
            numbers = range(self.next_seq, self.next_seq + len(entries))
            self._reserve(numbers.stop)
            for seq, entry in zip(numbers, entries, strict=True):
                if why := self._make_room(len(entry.payload), entry.priority):
                    self._drop([seq], why)
                    continue
                values = (seq, entry.priority, uptime_ns(), self.boot, entry.topic, entry.payload)
                self._db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)", values)
            self._db.execute("UPDATE meta SET value = ? WHERE key = 'next_seq'", (numbers.stop,))
            return numbers

        with self._mutex:
            numbers = self._transact(write)
            self.next_seq = numbers.stop
            return numbers

    def pending(self, *, first: int, stop: int, limit: int, without_topics: Sequence[str] = ()) -> list[SpooledMessage]:
        """Up to `limit` messages with first <= seq < stop, oldest first, without those of some topics."""
        marks = ", ".join("?" * len(without_topics))
        query = (
            f"SELECT seq, boot, topic, payload, {CREATED_NS} FROM message WHERE seq >= ? AND seq < ? "
            f"AND topic NOT IN ({marks}) ORDER BY seq LIMIT ?"
        )
        values = (first, stop, *without_topics, limit)

        def read() -> list[SpooledMessage]:
            record_clock_step(self._db)
            return [SpooledMessage(*row) for row in self._db.execute(query, values)]

        return self._transact(read)

    def acknowledge(self, numbers: Sequence[int]) -> None:
        """Delete messages that the broker acknowledged, now or, if the disk fails, with the next `tidy`."""
        with self._mutex:
            self._delivered.update(numbers)
            self.tidy()

    def is_delivered(self, seq: int) -> bool:
        """Whether a message was acknowledged but could not be deleted yet."""
        with self._mutex:
            return seq in self._delivered

    def drop_damaged(self, seq: int) -> None:
        """Delete a message that cannot be decoded; its number becomes a gap of reason `lost`.

        Raises:
            PublishError: the disk is full, or fails.
        """
        self._transact(lambda: self._drop([seq], "lost"))

    def tidy(self) -> None:
        """Delete delivered and expired messages, and an expired `.corrupt` file. If the disk fails, retried next time.

        Call it regularly: while the spool is open, a `.corrupt` file is deleted in no other way.
        """

        def erase() -> None:
            self._db.executemany("DELETE FROM message WHERE seq = ?", [(seq,) for seq in self._delivered])
            self._drop_expired()

        with self._mutex:
            try:
                self._transact(erase)
                self._delivered.clear()
            except PublishError as error:
                if not self._is_stuck:
                    logger.warning("delivered messages cannot be deleted yet: %s", error)
                self._is_stuck = True
            else:
                self._is_stuck = False
            self._delete_expired_quarantine()

    def gaps(self) -> list[Gap]:
        """Gaps that the broker has not acknowledged yet, in order."""
        return [Gap(*row) for row in self._transact(lambda: self._db.execute("SELECT * FROM gap").fetchall())]

    def acknowledge_gap(self, gap: Gap) -> None:
        """Delete a gap that the broker acknowledged; if it has grown since, it stays and is reported again."""
        values = (gap.first, gap.last)
        self._transact(lambda: self._db.execute("DELETE FROM gap WHERE first = ? AND last = ?", values))

    def count(self) -> int:
        """How many messages are still to be delivered."""
        with self._mutex:
            rows = int(self._transact(lambda: self._db.execute("SELECT count(*) FROM message").fetchone()[0]))
            return max(0, rows - len(self._delivered))

    def oldest(self) -> int:
        """The lowest sequence number in the spool, or the next one to be assigned if it is empty."""
        with self._mutex:
            row = self._transact(lambda: self._db.execute("SELECT min(seq) FROM message").fetchone())
            return self.next_seq if row[0] is None else int(row[0])

    def used_bytes(self) -> int:
        """How many bytes of the file the messages use."""
        return self._transact(self._used_bytes)

    def close(self) -> None:
        """Close the file and release its lock."""
        with self._mutex:
            self._db.close()
            os.close(self._lock_file)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Opening, and handling of a damaged file

    def _open(self) -> None:
        try:
            self._connect()
        except OSError as error:
            raise ConfigError(
                f"the spool {self.path} cannot be opened: {error.strerror}; name a writable file"
            ) from error
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise to_publish_error(error, self.path) from error
            self._quarantine(error)
        self._delete_expired_quarantine()

    def _connect(self) -> None:
        self._db = connect(self.path)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        for pragma in PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        if (fault := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"malformed: {fault}")
        stored = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        if stored.setdefault("node", self.node) != self.node:
            raise ConfigError(
                f"the spool {self.path} belongs to node {stored['node']!r}, not to {self.node!r}; give each its own"
            )
        reserved = read_number(companion(self.path, ".seq"))
        if "next_seq" not in stored:
            self._begin_numbering(self.next_seq or reserved)
        else:
            self.next_seq = stored["next_seq"]
        with transaction(self._db):
            record_boot(self._db, self.next_seq)
        self._reserved = reserved

    def _begin_numbering(self, first: int) -> None:
        with transaction(self._db):
            self._db.execute("INSERT INTO meta VALUES ('node', ?), ('next_seq', ?)", (self.node, first))
            if first:
                self._db.execute("INSERT INTO gap VALUES (0, ?, 'lost')", (first - 1,))
        self.next_seq = first

    def _quarantine(self, cause: Exception) -> None:
        """Move the damaged file aside and start an empty one; its numbers are above all that were assigned before."""
        self._db.close()
        damaged = companion(self.path, ".corrupt")
        logger.error("the spool %s is damaged (%s): moved to %s, starting an empty one", self.path, cause, damaged)
        os.replace(self.path, damaged)
        for suffix in ("-wal", "-shm"):
            companion(self.path, suffix).unlink(missing_ok=True)
        os.utime(damaged)
        self.damages += 1
        self._connect()

    def _delete_expired_quarantine(self) -> None:
        damaged = companion(self.path, ".corrupt")
        with contextlib.suppress(OSError):  # usually there is none; if it cannot be deleted, the next call tries again
            if time.time() - damaged.stat().st_mtime > self.max_age_s:
                damaged.unlink()

    # Inside a transaction

    def _transact(self, work: Callable[[], Result]) -> Result:
        """Run `work` in one transaction. If the file turns out to be damaged, run it again on an empty one."""
        with self._mutex:
            dropped = dict(self.dropped)
            try:
                with transaction(self._db):
                    return work()
            except sqlite3.DatabaseError as error:
                self.dropped = dropped
                if not is_damage(error):
                    raise to_publish_error(error, self.path) from error
                self._quarantine(error)
                with transaction(self._db):
                    return work()
            except PublishError:
                self.dropped = dropped
                raise

    def _reserve(self, stop: int) -> None:
        """Make sure that the `.seq` file holds a number that is not below `stop`."""
        if stop <= self._reserved:
            return
        mark = stop + _RESERVED_NUMBERS
        write_number(companion(self.path, ".seq"), mark)
        self._reserved = mark

    def _make_room(self, size: int, priority: Priority) -> GapReason | None:
        """Drop messages of this priority or lower until `size` bytes fit. Returns the reason if that is impossible."""
        needed = size + PAGE_BYTES
        while (limit := self._limit()) < self._used_bytes() + needed:
            why: GapReason = "overflow" if limit == self.max_bytes else "disk"
            rows = self._db.execute(
                "SELECT seq FROM message WHERE priority <= ? ORDER BY priority, seq LIMIT ?",
                (priority, _DROPPED_AT_ONCE),
            ).fetchall()
            if not rows:
                if self._db.execute("SELECT 1 FROM message LIMIT 1").fetchone():
                    return why
                raise PublishError(
                    f"the spool {self.path} is empty and yet has no room for a message of {size} bytes: it may use "
                    f"{limit} bytes; free space on the disk, or raise the spool's limit"
                )
            self._drop([seq for (seq,) in rows], why)
        return None

    def _drop_expired(self) -> None:
        record_clock_step(self._db)
        while expired := find_expired(self._db, self.max_age_s):
            self._drop(expired, "age")

    def _drop(self, numbers: Sequence[int], why: GapReason) -> None:
        for seq in numbers:
            self._db.execute("DELETE FROM message WHERE seq = ?", (seq,))
            before = self._db.execute("SELECT first FROM gap WHERE last = ? AND why = ?", (seq - 1, why)).fetchone()
            after = self._db.execute("SELECT last FROM gap WHERE first = ? AND why = ?", (seq + 1, why)).fetchone()
            if after:
                self._db.execute("DELETE FROM gap WHERE first = ?", (seq + 1,))
            values = (before[0] if before else seq, after[0] if after else seq, why)
            self._db.execute("INSERT OR REPLACE INTO gap VALUES (?, ?, ?)", values)
        self.dropped[why] += len(numbers)

    def _used_bytes(self) -> int:
        pages, free = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return int(pages - free) * PAGE_BYTES

    def _limit(self) -> int:
        """How many bytes messages may use: the configured limit, or less if the disk has less free space."""
        disk = os.statvfs(self.path.parent)
        room = disk.f_bavail * disk.f_frsize - self.min_free_bytes
        allocated = int(self._db.execute("PRAGMA page_count").fetchone()[0]) * PAGE_BYTES
        return min(self.max_bytes, max(_MINIMUM_BYTES, allocated + max(room, 0)))
