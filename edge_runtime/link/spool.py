"""The outgoing queue: messages get their number here, and are kept until the broker has acknowledged them.

A new message is in memory and in the journal, which outlives the process. Most are acknowledged within milliseconds
and are forgotten then. What the broker has not acknowledged within a second, or at once while there is no broker, a
thread writes to the database (`SpoolStore`), many with one fsync: from then on a power cut does not lose it either.
A disk that is full, slow or locked therefore holds nobody up. While it cannot be written, up to 8 MiB are kept in
memory; what exceeds them becomes a gap of reason `disk`.

Sequence numbers count from 0, per node, and are never used twice: not after a restart, and not after the files were
lost. `<spool>.seq` holds a number that is above all that were given out. After a power cut or the loss of the files
the numbers continue from there, and a gap of reason `lost` tells receivers not to wait for the others. Where that file
is lost as well, they continue far above (see `NumberMark`).
"""

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edge_runtime.contract.errors import PublishError, ReidError
from edge_runtime.link.entries import Entry, Gap, Priority, Record, SpooledMessage, find_holes, join_number
from edge_runtime.link.journal import Journal, Recovered, read_journal
from edge_runtime.link.messages import new_boot
from edge_runtime.link.number_mark import NumberMark
from edge_runtime.link.spool_file import SpoolSettings, clock_ns, companion, uptime_ns
from edge_runtime.link.spool_store import Changes, SpoolStore
from edge_runtime.link.wire_types import GapReason

__all__ = ["Entry", "Gap", "Priority", "Spool", "SpooledMessage"]
logger = logging.getLogger(__name__)

_TICK_S = 0.2
_SETTLE_NS = 1_000_000_000  # how long a connected broker has for its acknowledgement before a message is stored
_DELETE_S = 1.0
_TIDY_S = 10.0
_MEMORY_BYTES = 8 << 20
_RATE_S = 60.0
_ROW_BYTES = 400  # what a row of the database costs beside the payload, with its share of unused bytes


class Spool:
    """Belongs to one process at a time: a second one is refused.

    node: whose numbers these are; the files of another node are refused.
    is_online: whether a broker is connected; set by the publisher.
    fault: why the disk cannot be written now; None while it can.
    Threads: thread-safe. A thread of its own, named `spool`, does everything that waits for the disk, except that
    `pending` may read it.

    Raises:
        ConfigError: the folder cannot be written, another process holds the spool, or it is another node's.
        PublishError: the disk is full.
    """

    def __init__(self, settings: SpoolSettings, *, node: str) -> None:
        self.path, self.boot = settings.path, new_boot()
        self.is_online = False
        self.fault: str | None = None
        self.store = SpoolStore(settings, node=node)
        self._state, self._mutex, self._write_mutex = self.store.state, threading.Lock(), threading.Lock()
        self._memory, self._memory_bytes = dict[int, Record](), 0
        self._writing, self._delivered = frozenset[int](), set[int]()
        self._gaps, self._told_gaps = list[Gap](), list[Gap]()
        self._dropped: dict[GapReason, int] = {"overflow": 0, "age": 0, "disk": 0, "lost": 0}
        self._appended_bytes, self._started_s = 0, time.monotonic()
        self.spooled = self.openings = 0
        self._delete_at = self._tidy_at = 0.0
        self.next_seq = self._first = 0
        self._journal: Journal
        self._mark = NumberMark(companion(self.path, ".seq"))
        self._found = read_journal(companion(self.path, ".recent")) or Recovered()
        self._changed, self._closing = threading.Event(), threading.Event()
        try:
            self._start()
        except BaseException:
            self.store.close()
            raise
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    def append(self, entries: Sequence[Entry]) -> range:
        """Take messages and return their numbers, without waiting for the disk. A kill after this loses none of them."""
        with self._mutex:
            if not self._mark.is_above(self.next_seq + len(entries) - 1):
                self._leave_numbers()
            numbers = range(self.next_seq, self.next_seq + len(entries))
            now_ns = uptime_ns()
            records = [
                Record(seq, int(entry.priority), now_ns, self.boot, entry.topic, entry.payload)
                for seq, entry in zip(numbers, entries, strict=True)
            ]
            self._journal.add(records)
            for record in records:
                self._memory[record.seq] = record
                self._memory_bytes += record.size()
                self._appended_bytes += _ROW_BYTES + len(record.payload)
            self.next_seq = numbers.stop
            if self._mark.is_near(self.next_seq):
                self._changed.set()
            if self._memory_bytes > _MEMORY_BYTES:
                self._drop_from_memory()
            return numbers

    def pending(self, *, first: int, stop: int, limit: int, without_topics: Sequence[str] = ()) -> list[SpooledMessage]:
        """Up to `limit` messages with first <= seq < stop, oldest first, without those of some topics.

        Raises:
            PublishError: the database cannot be read now.
        """
        with self._mutex:
            # Whatever is in the database has a lower number than whatever is in memory.
            border = next(iter(self._memory), self.next_seq)
            state, offset_ns = self._state, clock_ns()
            recent = [record for record in self._memory.values() if first <= record.seq < stop]
        found: list[SpooledMessage] = []
        if state.count and first < min(stop, border, state.stop):
            damages = self.store.damages
            found = self.store.pending(first=first, stop=min(stop, border), limit=limit, without_topics=without_topics)
            if self.store.damages != damages:
                with self._mutex:
                    self._state = self.store.state
        for record in recent:
            if len(found) == limit:
                break
            if record.topic not in without_topics:
                found.append(record.at(offset_ns))
        return found

    def acknowledge(self, numbers: Sequence[int]) -> None:
        """Forget messages that the broker acknowledged. It does not wait for the disk."""
        with self._mutex:
            for seq in numbers:
                self._forget(seq)
            if not self._memory and not self._gaps:
                self._empty_journal()  # at once, so that a restart sends nothing twice

    def is_delivered(self, seq: int) -> bool:
        """Whether a message was acknowledged but could not be deleted yet."""
        with self._mutex:
            return seq in self._delivered

    def drop_damaged(self, seq: int) -> None:
        """Forget a message that cannot be decoded; its number becomes a gap of reason `lost`."""
        with self._mutex:
            self._forget(seq)
            self._note_dropped(seq, "lost")

    def gaps(self) -> list[Gap]:
        """Gaps that the broker has not acknowledged yet, in order."""
        with self._mutex:
            known = {*self._state.gaps, *self._gaps} - set(self._told_gaps)
            return sorted(known, key=lambda gap: (gap.first, gap.last))

    def acknowledge_gap(self, gap: Gap) -> None:
        """Forget a gap that the broker acknowledged; if it has grown since, it stays and is reported again."""
        with self._mutex:
            if gap in self._gaps:
                self._gaps.remove(gap)
            self._told_gaps.append(gap)

    def count(self) -> int:
        """How many messages are still to be delivered."""
        with self._mutex:
            return len(self._memory) + self._stored_count()

    def oldest(self) -> int:
        """The lowest sequence number that is still to be delivered, or the next one to be assigned if there is none."""
        with self._mutex:
            oldest = self._state.oldest
            if oldest is None or self._stored_count() == 0:
                return next(iter(self._memory), self.next_seq)
            while oldest in self._delivered:
                oldest += 1
            return oldest

    def used_bytes(self) -> int:
        """How many bytes of the disk the messages use."""
        return self._state.used_bytes

    def hours(self) -> float | None:
        """How many hours of messages the spool can hold, at the rate since the start; None in the first minute."""
        ran_s = time.monotonic() - self._started_s
        if ran_s < _RATE_S or not self._appended_bytes:
            return None
        disk = os.statvfs(self.path.parent)
        room = max(0, disk.f_bavail * disk.f_frsize - self.store.min_free_bytes)
        limit = min(self.store.max_bytes, self._state.used_bytes + room)
        return min(limit / (self._appended_bytes / ran_s), self.store.max_age_s) / 3600

    @property
    def dropped(self) -> dict[GapReason, int]:
        """How many messages were given up since the start, by reason."""
        return {why: count + self._dropped[why] for why, count in self.store.dropped.items()}

    @property
    def damages(self) -> int:
        """How often the database was found damaged."""
        return self.store.damages

    @property
    def max_age_s(self) -> float:
        """How old messages may become."""
        return self.store.max_age_s

    def flush(self) -> None:
        """Write everything to the database now.

        Raises:
            PublishError: the disk is full, fails, or another program has locked the file; everything is kept.
        """
        self._write(is_everything=True)

    def close(self) -> None:
        """Write what is left to the database, and close the files."""
        self._closing.set()
        self._changed.set()
        self._thread.join()
        try:
            self.flush()
            self._mark.put(self.next_seq)
        except PublishError as error:
            logger.error("%s; %d messages are left in the journal only", error, len(self._memory))
            self._journal.close()
        else:
            self._journal.delete()
        self.store.close()

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        """Take over what an earlier process left. Without the database, begin with a number that is surely free.

        Raises:
            ConfigError: see the class.
        """
        stop, mark, is_new = 0, self._mark.value, self.store.is_new()
        with self._faults_noted():
            if is_new:
                self._mark.raise_above(0)
            self.store.open()
            stop = self.store.state.stop
        self.next_seq = max(stop, self._found.next_seq, 0 if self._found.is_exact else mark or 0)
        if mark is None and not (is_new or self._found.is_exact):
            self.next_seq = self._mark.leave(self.next_seq)
        self._first = self.next_seq
        for record in self._found.records:
            if record.seq >= stop:
                self._memory[record.seq] = record
                self._memory_bytes += record.size()
        with self._faults_noted():
            if self.fault is None:
                self._begin_run()
        self.store.delete_expired_quarantine()
        records, path = list(self._memory.values()), companion(self.path, ".recent")
        self._journal = Journal(path, records=records, next_seq=self.next_seq, stored=self._stored())
        with self._faults_noted():
            self._mark.raise_above(self.next_seq)

    def _begin_run(self) -> None:
        """Bring together the opened database and what this process has begun with."""
        state, gaps = self.store.state, []
        # Lower numbers are delivered or in the database, or were lost with it.
        known = {record.seq for record in self._found.records if record.seq >= state.stop}
        if self.store.is_incomplete:
            gaps = find_holes(sorted({*self.store.numbers(), *known}), self._first)
        elif self._first > state.stop and not (self._found.is_exact and self._found.stored <= state.stop):
            gaps = [Gap(state.stop, self._first - 1, "lost")]
        self.store.begin_run(self._first, gaps)
        with self._mutex:
            for seq in [seq for seq in self._memory if seq < state.stop]:
                self._memory_bytes -= self._memory.pop(seq).size()
            self._state = self.store.state
            self.openings += 1

    # The spool's thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._faults_noted(ReidError):
                    self._write(is_everything=False)
            except Exception as error:  # nobody would see a bug that ends this thread: log it, and go on
                logger.exception("the spool's thread failed and goes on")
                self.fault = str(error)
            self._changed.wait(_TICK_S)
            self._changed.clear()

    @contextmanager
    def _faults_noted(self, kind: type[ReidError] = PublishError) -> Iterator[None]:
        try:
            yield
        except kind as error:
            if self.fault is None:
                logger.warning("%s. Messages are kept in memory meanwhile, trying again", error)
            self.fault = str(error)

    def _write(self, *, is_everything: bool) -> None:
        """Write to the database what is due, and delete from it what was delivered."""
        with self._write_mutex:
            self._mark.raise_above(self.next_seq)
            if not self.store.is_open:
                self.store.open()
                self._begin_run()
            with self._mutex:
                changes = self._collect_changes(is_everything=is_everything)
            if changes is not None:
                try:
                    self.store.commit(changes)
                except PublishError:
                    with self._mutex:
                        # What was acknowledged meanwhile is not in the database.
                        self._delivered -= self._writing
                        self._writing = frozenset()
                    raise
                with self._mutex:
                    self._note_written(changes)
                if self.fault is not None:
                    logger.info("the spool %s can be written again", self.path)
                self.fault = None
            with self._mutex:
                self._tidy_journal()
            if is_everything or time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + _TIDY_S
                self.store.delete_expired_quarantine()

    def _collect_changes(self, *, is_everything: bool) -> Changes | None:
        """What the database should store and delete now; None if there is nothing to do."""
        until_ns = uptime_ns() - (_SETTLE_NS if self.is_online and not is_everything else 0)
        due = [record for record in self._memory.values() if is_everything or record.created_ns <= until_ns]
        now_s = time.monotonic()
        is_due = bool(due or self._gaps or self._told_gaps or self.fault or is_everything)
        is_due |= bool(self._delivered) and now_s >= self._delete_at
        is_due |= bool(self._state.count) and now_s >= self._tidy_at
        if not is_due:
            return None
        self._delete_at = now_s + _DELETE_S
        self._writing = frozenset(record.seq for record in due)
        rest = next((seq for seq in self._memory if seq not in self._writing), self.next_seq)
        return Changes(rest, due, tuple(self._delivered), tuple(self._gaps), tuple(self._told_gaps))

    def _note_written(self, changes: Changes) -> None:
        """Forget what the database holds now. What was acknowledged meanwhile is deleted from it next time."""
        self._state = self.store.state
        self._writing = frozenset()
        self._delivered.difference_update(changes.delivered)
        for record in changes.records:
            if self._memory.pop(record.seq, None):
                self._memory_bytes -= record.size()
                self.spooled += 1
        self._gaps = [gap for gap in self._gaps if gap not in changes.gaps]
        self._told_gaps = [gap for gap in self._told_gaps if gap not in changes.told_gaps]

    def _tidy_journal(self) -> None:
        """Take out of the journal what is stored or delivered. Gaps must be stored before their messages go."""
        if self._gaps or self._journal.is_empty:
            return
        if not self._memory:
            self._empty_journal()
        elif self._journal.is_full:
            self._journal.keep(list(self._memory.values()), next_seq=self.next_seq, stored=self._stored())

    # With the mutex held

    def _stored(self) -> int:
        return self._state.stop if self.store.is_open else self._found.stored

    def _stored_count(self) -> int:
        return max(0, self._state.count - len(self._delivered - self._writing))

    def _empty_journal(self) -> None:
        self._journal.empty(next_seq=self.next_seq, stored=self._stored())

    def _leave_numbers(self) -> None:
        """Go on with far numbers: the disk did not take the mark in time, so the next process may use these."""
        first, self.next_seq = self.next_seq, self._mark.leave(self.next_seq)
        self._gaps.append(Gap(first, self.next_seq - 1, "lost"))

    def _forget(self, seq: int) -> None:
        if record := self._memory.pop(seq, None):
            self._memory_bytes -= record.size()
        if record is None or seq in self._writing:
            self._delivered.add(seq)

    def _drop_from_memory(self) -> None:
        """Give up messages, those of the lowest priority first and the oldest of them, until the rest fits."""
        for record in sorted(self._memory.values(), key=lambda record: (record.priority, record.seq)):
            if self._memory_bytes <= _MEMORY_BYTES * 7 // 8:
                return
            self._forget(record.seq)
            self._note_dropped(record.seq, "disk")

    def _note_dropped(self, seq: int, why: GapReason) -> None:
        self._dropped[why] += 1
        self._gaps = join_number(self._gaps, seq, why=why)
