"""What can still be read of a damaged spool: rows whose CRC is right."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.link.entries import Record
from edge_runtime.link.spool_file import MachineBoot, read_boots
from edge_runtime.link.spool_rows import MESSAGE_COLUMNS, check_message

_MOST_PROBES = 1_000_000


def salvage(path: Path) -> Iterator[Record]:
    """All rows of a damaged database that can be read and whose CRC is right, in any order; some may come twice.

    Rows are walked from both ends up to the first page that cannot be read; what lies between is asked for one by one.
    """
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(path)) as db:
        low, high = -1, 1 << 62
        for record in _walk(db, "ASC"):
            low = record.seq
            yield record
        for record in _walk(db, "DESC"):
            if record.seq <= low:
                return
            high = record.seq
            yield record
        if high - low <= _MOST_PROBES:
            for seq in range(low + 1, high):
                yield from _read(db, f"SELECT {MESSAGE_COLUMNS} FROM message WHERE seq = {seq}")


def salvage_boots(path: Path) -> list[MachineBoot]:
    """The table of the machine's boots, as `spool_file` describes it; empty if it cannot be read."""
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(path)) as db:
        return read_boots(db)
    return []


def _walk(db: sqlite3.Connection, order: str) -> Iterator[Record]:
    yield from _read(db, f"SELECT {MESSAGE_COLUMNS} FROM message ORDER BY seq {order}")


def _read(db: sqlite3.Connection, query: str) -> Iterator[Record]:
    """The rows of a query up to the first fault, without those whose CRC is wrong."""
    with contextlib.suppress(sqlite3.DatabaseError):
        for row in db.execute(query):
            with contextlib.suppress(sqlite3.DatabaseError):
                yield check_message(row)
