"""The spool's database: messages that the broker did not acknowledge at once, and gaps, on the disk.

One SQLite file in WAL mode with `synchronous=FULL`: what a commit stored survives a power cut. Each row has a CRC,
checked when it is read and for the whole file when it is opened. A damaged file is moved aside, and what can still be
read of it is copied into a new one.
Files: `<spool>`, `-wal`, `-shm`, `.lock`, and `.corrupt` (the last damaged file, kept as long as messages are).
"""

import contextlib
import glob
import logging
import os
import sqlite3
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import TypeVar

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.link.entries import Gap, Record, SpooledMessage, find_holes, text_crc
from edge_runtime.link.salvage import salvage, salvage_boots
from edge_runtime.link.spool_file import (
    PAGE_BYTES,
    PRAGMAS,
    MachineBoot,
    SpoolSettings,
    clock_ns,
    companion,
    connect,
    find_expired,
    is_damage,
    lock,
    machine_boot,
    read_clocks,
    record_boot,
    record_clock_step,
    to_publish_error,
    transaction,
)
from edge_runtime.link.spool_rows import GAP_COLUMNS, MESSAGE_COLUMNS, SCHEMA, check_gap, check_message, check_schema
from edge_runtime.link.wire_types import GapReason

logger = logging.getLogger(__name__)

_DROPPED_AT_ONCE = 4
_MINIMUM_BYTES = 1 << 20  # with less, a node could not even send messages to a broker that is connected
_SALVAGED_AT_ONCE = 256
Result = TypeVar("Result")


@dataclass(frozen=True)
class Changes:
    """What one commit does. next_seq: all numbers below it are delivered, stored, or in a gap."""

    next_seq: int
    records: Sequence[Record] = ()
    delivered: Collection[int] = ()
    gaps: Sequence[Gap] = ()
    told_gaps: Sequence[Gap] = ()


@dataclass(frozen=True)
class StoreState:
    """What the database holds after its latest commit. stop: above all numbers that were ever stored in it."""

    count: int = 0
    oldest: int | None = None
    stop: int = 0
    gaps: tuple[Gap, ...] = ()
    used_bytes: int = 0


class SpoolStore:
    """Belongs to one process at a time: a second one is refused.

    The constructor takes the lock, `open` opens the file. Before that `state` is empty.
    node: whose numbers these are; a file of another node is refused.
    is_incomplete: it was made anew, or out of a damaged one: it cannot tell what happened to numbers it does not hold.
    Threads: one thread changes it; `pending`, `state` and the attributes may be read by any.

    Raises:
        ConfigError: the folder cannot be written, or another process holds the spool.
    """

    def __init__(self, settings: SpoolSettings, *, node: str) -> None:
        self.path, self.node = settings.path, node
        self.max_bytes, self.min_free_bytes = int(settings.max_mib * 2**20), int(settings.min_free_mib * 2**20)
        self.max_age_s = settings.max_age_h * 3600
        self.dropped: dict[GapReason, int] = {"overflow": 0, "age": 0, "disk": 0, "lost": 0}
        self._dropping = dict(self.dropped)  # as above, with what the transaction that runs now has dropped
        self.damages = 0
        self.is_open = self.is_incomplete = False
        self.state = StoreState()
        self._count = 0
        self._mutex, self._read_mutex = threading.RLock(), threading.RLock()
        self._connections: list[sqlite3.Connection] = []
        self._lock_file = lock(self.path)

    def is_new(self) -> bool:
        """Whether nothing was ever written here, by any part of the spool; to be asked before it is opened."""
        return not any(path.stat().st_size for path in self.path.parent.glob(f"{glob.escape(self.path.name)}*"))

    def open(self) -> None:
        """Open the file, and check every row of it.

        Raises:
            ConfigError: it cannot be opened, or is another node's.
            PublishError: the disk is full, or another program has locked the file: try again later.
        """
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

    def commit(self, changes: Changes) -> None:
        """Make all changes, or none of them. They are on the disk when this returns.

        If there is no room for a record, messages of lower priority, or older ones of the same priority, are dropped
        and become a gap. A record becomes a gap itself if all others have a higher priority.

        Raises:
            PublishError: the disk is full, fails, or another program has locked the file; nothing is lost by that.
        """

        def write() -> StoreState:
            self._delete(changes.delivered)
            for gap in changes.told_gaps:
                self._db.execute("DELETE FROM gap WHERE first = ? AND last = ?", (gap.first, gap.last))
            for gap in changes.gaps:
                self._add_gap(gap)
            self._drop_expired()
            for record in changes.records:
                if why := self._make_room(len(record.payload), record.priority):
                    self._add_gap(Gap(record.seq, record.seq, why))
                    self._dropping[why] += 1
                else:
                    self._insert(record)
            self._put("next_seq", changes.next_seq)
            return self._read_state()

        with self._mutex:
            self.state = self._transact(write)

    def pending(self, *, first: int, stop: int, limit: int, without_topics: Sequence[str] = ()) -> list[SpooledMessage]:
        """Up to `limit` messages with first <= seq < stop, oldest first, without those of some topics.

        A damaged row is not given out: what can be read of the file is salvaged first.

        Raises:
            PublishError: the file cannot be read.
        """
        marks = ", ".join("?" * len(without_topics))
        condition = f"seq >= ? AND seq < ? AND topic NOT IN ({marks})"
        query = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE {condition} ORDER BY seq LIMIT ?"
        values = (first, stop, *without_topics, limit)

        def read() -> list[SpooledMessage]:
            with self._read_mutex:
                clocks = read_clocks(self._reader)
                records = [check_message(row) for row in self._reader.execute(query, values)]
            firsts = [first for first, _ in clocks]
            return [record.at(clocks[bisect_right(firsts, record.seq) - 1][1]) for record in records]

        try:
            return read()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise to_publish_error(error, self.path) from error
            with self._mutex:
                self._quarantine(error)
            return read()

    def begin_run(self, first: int, gaps: Sequence[Gap]) -> None:
        """Record that numbers from `first` on are given out in this boot of the machine, and what came before.

        Raises:
            PublishError: the disk is full, or fails.
        """

        def write() -> StoreState:
            for gap in gaps:
                self._add_gap(gap)
            record_boot(self._db, first)
            return self._read_state()

        with self._mutex:
            self.state = self._transact(write)
            self.is_open = True

    def numbers(self) -> Iterator[int]:
        """The numbers of all messages, ascending."""
        return (seq for (seq,) in self._db.execute("SELECT seq FROM message ORDER BY seq"))

    def close(self) -> None:
        """Close the file and release its lock."""
        with self._mutex, self._read_mutex:
            self._close_connections()
            os.close(self._lock_file)

    def delete_expired_quarantine(self) -> None:
        """Delete the `.corrupt` file once it is older than messages may become."""
        damaged = companion(self.path, ".corrupt")
        with contextlib.suppress(OSError):  # usually there is none; if it cannot be deleted, the next call tries again
            if time.time() - damaged.stat().st_mtime > self.max_age_s:
                for suffix in ("-wal", "-shm", ""):
                    companion(damaged, suffix).unlink(missing_ok=True)

    # Opening, and handling of a damaged file

    def _connect(self) -> None:
        self._close_connections()
        self._db = connect(self.path)
        self._connections.append(self._db)
        self._prepare()
        self._reader = connect(self.path)
        self._connections.append(self._reader)

    def _close_connections(self) -> None:
        while self._connections:
            self._connections.pop().close()

    def _prepare(self) -> None:
        for pragma in PRAGMAS:
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(SCHEMA)
        check_schema(self._db)
        if (fault := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"malformed: {fault}")
        stored = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        for key in ("node", "next_seq"):
            if text_crc(stored.get(key)) != stored.get(f"{key}_crc", text_crc(None)):
                raise sqlite3.DatabaseError(f"malformed: the CRC of {key} is wrong")
        if stored.get("node", self.node) != self.node:
            raise ConfigError(
                f"the spool {self.path} belongs to node {stored['node']!r}, not to {self.node!r}; give each its own"
            )
        rows = self._db.execute(f"SELECT {MESSAGE_COLUMNS} FROM message ORDER BY seq")
        self._count = sum(1 for _ in map(check_message, rows))
        if "next_seq" not in stored:
            self.is_incomplete = True
            with transaction(self._db):
                self._put("node", self.node)
                self._put("next_seq", 0)
        self.state = self._read_state()

    def _quarantine(self, cause: Exception) -> None:
        """Move the damaged file aside, and start a new one with what can be read of it."""
        with self._read_mutex:
            damaged = companion(self.path, ".corrupt")
            logger.error(
                "the spool %s is damaged (%s): moved to %s, what can be read is kept", self.path, cause, damaged
            )
            self._close_connections()
            for suffix in ("-wal", "-shm", ""):
                companion(damaged, suffix).unlink(missing_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.replace(companion(self.path, suffix), companion(damaged, suffix))
            os.utime(damaged)
            self.damages += 1
            stop, count = self.state.stop, self._count
            self._connect()
            kept = self._copy_salvaged()
            # While running it is known which numbers were here; when a file is opened, the spool finds that out.
            holes = find_holes(kept, stop)
            self._dropping["lost"] += max(0, count - len(kept))
            with transaction(self._db):
                for boot in salvage_boots(damaged) or [MachineBoot(-1, machine_boot(), clock_ns())]:
                    boot.put(self._db)
                for gap in holes:
                    self._add_gap(gap)
                self._put("next_seq", stop)
                self.state = self._read_state()
            self.dropped = dict(self._dropping)
            logger.error("the spool %s: %d messages of the damaged file are kept", self.path, len(kept))

    def _copy_salvaged(self) -> list[int]:
        """Copy what can be read of the damaged file. Returns the numbers, ascending."""
        kept: list[int] = []
        batch: list[Record] = []

        def store() -> None:
            with transaction(self._db):
                for record in batch:
                    self._insert(record)
            kept.extend(record.seq for record in batch)
            batch.clear()

        for record in salvage(companion(self.path, ".corrupt")):
            batch.append(record)
            if len(batch) == _SALVAGED_AT_ONCE:
                store()
        store()
        return sorted(set(kept))

    # Inside a transaction

    def _transact(self, work: Callable[[], Result]) -> Result:
        """Run `work` in one transaction. If the file turns out to be damaged, run it again on a new one."""
        count = self._count
        try:
            with transaction(self._db):
                result = work()
        except sqlite3.DatabaseError as error:
            self._dropping, self._count = dict(self.dropped), count
            if not is_damage(error):
                raise to_publish_error(error, self.path) from error
            self._quarantine(error)
            with transaction(self._db):
                result = work()
        except PublishError:
            self._dropping, self._count = dict(self.dropped), count
            raise
        self.dropped = dict(self._dropping)
        return result

    def _read_state(self) -> StoreState:
        oldest, newest = self._db.execute("SELECT min(seq), max(seq) FROM message").fetchone()
        stored = self._db.execute("SELECT value FROM meta WHERE key = 'next_seq'").fetchone()[0]
        gaps = map(check_gap, self._db.execute(f"SELECT {GAP_COLUMNS} FROM gap ORDER BY first"))
        stop = max(stored, -1 if newest is None else newest + 1)
        return StoreState(self._count, oldest, stop, tuple(gaps), self._used_bytes())

    def _put(self, key: str, value: object) -> None:
        rows = [(key, value), (f"{key}_crc", text_crc(value))]
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def _insert(self, record: Record) -> None:
        values = (*astuple(record), record.crc())
        done = self._db.execute("INSERT OR IGNORE INTO message VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self._count += done.rowcount

    def _delete(self, numbers: Collection[int]) -> None:
        done = self._db.executemany("DELETE FROM message WHERE seq = ?", [(seq,) for seq in sorted(numbers)])
        self._count -= max(0, done.rowcount)

    def _make_room(self, size: int, priority: int) -> GapReason | None:
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
        self._delete(numbers)
        for seq in numbers:
            self._add_gap(Gap(seq, seq, why))
        self._dropping[why] += len(numbers)

    def _add_gap(self, gap: Gap) -> None:
        """Add a gap, joined with those that it adjoins."""
        first, last, why = gap.first, gap.last, gap.why
        before = self._db.execute("SELECT first FROM gap WHERE last = ? AND why = ?", (first - 1, why)).fetchone()
        after = self._db.execute("SELECT last FROM gap WHERE first = ? AND why = ?", (last + 1, why)).fetchone()
        if after:
            self._db.execute("DELETE FROM gap WHERE first = ?", (last + 1,))
        values = (before[0] if before else first, after[0] if after else last, why)
        self._db.execute("INSERT OR REPLACE INTO gap VALUES (?, ?, ?, ?)", (*values, text_crc(*values)))

    def _used_bytes(self) -> int:
        pages, free = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return int(pages - free) * PAGE_BYTES

    def _limit(self) -> int:
        """How many bytes messages may use: the configured limit, or less if the disk has less free space."""
        disk = os.statvfs(self.path.parent)
        room = disk.f_bavail * disk.f_frsize - self.min_free_bytes
        allocated = int(self._db.execute("PRAGMA page_count").fetchone()[0]) * PAGE_BYTES
        return min(self.max_bytes, max(_MINIMUM_BYTES, allocated + max(room, 0)))
