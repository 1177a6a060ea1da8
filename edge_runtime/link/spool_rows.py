"""The tables of the spool's database, and the checks of their rows: each has a CRC, so that flipped bits are found."""

import sqlite3
import zlib
from collections.abc import Sequence

from edge_runtime.link.entries import Gap, Record
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


def text_crc(*values: object) -> int:
    """CRC-32 of some values, written one after the other."""
    return zlib.crc32(" ".join(map(str, values)).encode(errors="replace"))
