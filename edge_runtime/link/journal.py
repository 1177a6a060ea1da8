"""The newest messages in a file that is written without fsync: it outlives the process, but not a power cut.

Most messages are acknowledged within milliseconds and never need a place in the spool's database. Until then they are
here, so that a killed process loses none. The operating system keeps what was written in memory and brings it to the
disk seconds later, unless the file was emptied meanwhile: a node whose broker is there hardly wears its flash memory.
"""

import contextlib
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import cbor2

from edge_runtime.link.entries import Record
from edge_runtime.link.spool_file import companion, machine_boot, uptime_ns

_HEAD = struct.Struct(">8s36sBQQI")  # magic, boot of the machine, is it whole, the two numbers, CRC-32 of these
_RECORD = struct.Struct(">II")  # length and CRC-32 of what follows
_MAGIC = b"reidjrn2"
_FULL_BYTES = 1 << 20
_LIMIT_BYTES = 32 << 20


@dataclass(frozen=True)
class Recovered:
    """What an earlier process left. next_seq: above all numbers that it is known to have given out.

    stored: the database had taken over all lower numbers. One that knows less has lost what it had committed.
    is_exact: no number was given out beyond it, and no message is missing: the machine has not been restarted since.
    """

    records: tuple[Record, ...] = ()
    next_seq: int = 0
    stored: int = 0
    is_exact: bool = False


class Journal:
    """Appended to by `add`; emptied by `keep` when it is full or nothing of it is needed any more.

    A journal that cannot be written (full disk) is no error: `is_whole` in its head turns false until `keep` succeeds,
    so that the next process knows that messages may be missing. Not thread-safe: the spool's mutex guards it.
    """

    def __init__(self, path: Path, *, records: Sequence[Record], next_seq: int, stored: int) -> None:
        self._path = path
        self._file: int | None = None
        self._size = 0
        self._is_whole = True
        self.keep(records, next_seq=next_seq, stored=stored)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing but the head, and it is whole."""
        return self._is_whole and self._size == _HEAD.size

    @property
    def is_full(self) -> bool:
        """Whether it should be emptied of what is not needed any more."""
        return self._size > _FULL_BYTES or not self._is_whole

    def add(self, records: Sequence[Record]) -> None:
        """Append records. They outlive this process when this returns, unless the disk is full."""
        data = b"".join(map(_pack, records))
        try:
            if self._file is None or self._size > _LIMIT_BYTES or os.pwrite(self._file, data, self._size) != len(data):
                raise OSError("the disk is full")
            self._size += len(data)
        except OSError:
            self._mark_broken()

    def keep(self, records: Sequence[Record], *, next_seq: int, stored: int) -> None:
        """Replace the content by these records, atomically. A process that is killed leaves the old or the new one.

        The numbers are those of `Recovered`.
        """
        partial = companion(self._path, ".partial")
        data = _pack_head(next_seq, stored) + b"".join(map(_pack, records))
        try:
            file = os.open(partial, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
            try:
                if os.write(file, data) != len(data):
                    raise OSError("the disk is full")
                os.replace(partial, self._path)
            except OSError:
                os.close(file)
                partial.unlink(missing_ok=True)
                raise
        except OSError:
            self._mark_broken()
            return
        self._close_file()
        self._file, self._size, self._is_whole = file, len(data), True

    def empty(self, *, next_seq: int, stored: int) -> None:
        """The same as `keep` without records, in place: the head comes first, so that no number is forgotten."""
        try:
            if self._file is None:
                raise OSError("there is no file yet")
            os.pwrite(self._file, _pack_head(next_seq, stored), 0)
            os.ftruncate(self._file, _HEAD.size)
            self._size, self._is_whole = _HEAD.size, True
        except OSError:
            self.keep([], next_seq=next_seq, stored=stored)

    def close(self) -> None:
        """Close the file; it stays for the next process."""
        self._close_file()

    def delete(self) -> None:
        """Close and delete the file: everything in it is stored or delivered."""
        self._close_file()
        self._path.unlink(missing_ok=True)

    def _mark_broken(self) -> None:
        # In place, which needs no room on a full disk.
        self._is_whole = False
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._file, _pack_head(0, 0, is_whole=False), 0)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_journal(path: Path) -> Recovered | None:
    """Read what an earlier process left; None if there is no readable journal.

    A damaged record ends it: nobody knows then which numbers followed.
    """
    try:
        content = path.read_bytes()
        magic, boot, is_whole, next_seq, stored, crc = _HEAD.unpack_from(content)
    except (OSError, struct.error):
        return None
    if magic != _MAGIC or crc != zlib.crc32(content[: _HEAD.size - 4]):
        return None
    records, is_complete = _unpack(content)
    last = max((record.seq for record in records), default=-1)
    is_same_boot = boot == _machine()
    if not is_same_boot:  # their age is unknown: the uptime of another boot says nothing
        records = tuple(replace(record, created_ns=uptime_ns()) for record in records)
    return Recovered(records, max(next_seq, last + 1), stored, bool(is_whole) and is_complete and is_same_boot)


def _pack_head(next_seq: int, stored: int, *, is_whole: bool = True) -> bytes:
    head = _HEAD.pack(_MAGIC, _machine(), is_whole, next_seq, stored, 0)[:-4]
    return head + struct.pack(">I", zlib.crc32(head))


def _machine() -> bytes:
    return machine_boot().encode()[:36].ljust(36)


def _pack(record: Record) -> bytes:
    body = cbor2.dumps(list(astuple(record)))
    return _RECORD.pack(len(body), zlib.crc32(body)) + body


def _unpack(content: bytes) -> tuple[tuple[Record, ...], bool]:
    """The records up to the first damaged one, and whether these are all."""
    records, position = list[Record](), _HEAD.size
    while position < len(content):
        head, position = content[position : position + _RECORD.size], position + _RECORD.size
        length, crc = _RECORD.unpack(head) if len(head) == _RECORD.size else (0, None)
        body = content[position : position + length]
        if len(body) != length or zlib.crc32(body) != crc:
            return tuple(records), False
        records.append(Record(*cbor2.loads(body)))
        position += length
    return tuple(records), True
