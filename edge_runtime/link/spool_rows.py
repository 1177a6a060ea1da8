"""The tables of the spool's database, and the checks of their rows: each has a CRC, so that flipped bits are found."""

import contextlib
import sqlite3
from collections.abc import Sequence

from edge_runtime.link.entries import Gap, Record, text_crc
from edge_runtime.link.spool_file import MACHINE_SCHEMA

SCHEMA = f"""
{MACHINE_SCHEMA}
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY, priority INTEGER NOT NULL, created_ns INTEGER NOT NULL,
    boot TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS message_priority ON message (priority, seq);
CREATE TABLE IF NOT EXISTS gap (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, why TEXT NOT NULL, crc INTEGER NOT NULL
);
"""
MESSAGE_COLUMNS = "seq, priority, created_ns, boot, topic, payload, crc"
GAP_COLUMNS = "first, last, why, crc"


def check_message(row: Sequence[object]) -> Record:
    """The record of a row of MESSAGE_COLUMNS.

    Raises:
        sqlite3.DatabaseError: its CRC is wrong: the file is damaged.
    """
    record = Record(*row[:-1])  # type: ignore[arg-type]
    try:
        is_right = record.crc() == row[-1]
    except (TypeError, AttributeError):  # a damaged row may hold values of other types
        is_right = False
    if not is_right:
        raise sqlite3.DatabaseError(f"malformed: the CRC of message {record.seq} is wrong")
    return record


def check_gap(row: Sequence[object]) -> Gap:
    """The gap of a row of GAP_COLUMNS.

    Raises:
        sqlite3.DatabaseError: its CRC is wrong: the file is damaged.
    """
    gap = Gap(*row[:-1])  # type: ignore[arg-type]
    if text_crc(gap.first, gap.last, gap.why) != row[-1]:
        raise sqlite3.DatabaseError(f"malformed: the CRC of the gap from {gap.first} is wrong")
    return gap


def check_schema(db: sqlite3.Connection) -> None:
    """See that the tables are the ones that were made: a flipped bit in a name hides all rows of a table.

    Raises:
        sqlite3.DatabaseError: they are not: the file is damaged.
    """
    with contextlib.closing(sqlite3.connect(":memory:")) as made:
        made.executescript(SCHEMA)
        if _read_schema(db) != _read_schema(made):
            raise sqlite3.DatabaseError("malformed: the tables are not those that were made")


def _read_schema(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
