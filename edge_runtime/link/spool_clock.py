"""How old spooled messages are, though the wall clock may be set at any time: a node may boot without one, offline.

A message is stamped with the machine's uptime. The table `machine` holds one row for each boot of the machine: from
which number on its messages are, and how far its wall clock was ahead of its uptime when last seen. So the age of what
was spooled since the machine was switched on is exact, and of the rest as good as the clock then was at last.
"""

import sqlite3
import time
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (first INTEGER PRIMARY KEY, boot TEXT NOT NULL, clock_ns INTEGER NOT NULL);
"""
CREATED_NS = "created_ns + (SELECT clock_ns FROM machine WHERE first <= seq ORDER BY first DESC LIMIT 1)"
"""SQL: when a message was spooled, by the wall clock."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_STEP_NS = 1_000_000_000  # by how much a clock must have moved to be worth a write
_LOOK_AT = 8


def uptime_ns() -> int:
    """What a message is stamped with: the time since the machine was switched on, sleep included. Nobody sets it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def begin(db: sqlite3.Connection, next_seq: int) -> None:
    """Note, inside a transaction, that messages from `next_seq` on are of this boot of the machine."""
    # A spool from before there was this table has stamps of the wall clock.
    db.execute("INSERT OR IGNORE INTO machine VALUES (-1, '', 0)")
    boot = _BOOT.read_text().strip()
    if db.execute("SELECT boot FROM machine ORDER BY first DESC LIMIT 1").fetchone()[0] != boot:
        db.execute("INSERT OR REPLACE INTO machine VALUES (?, ?, ?)", (next_seq, boot, _clock_ns()))
        oldest = "SELECT coalesce(min(seq), ?) FROM message"
        outlived = f"first < (SELECT max(first) FROM machine WHERE first <= ({oldest}))"
        db.execute(f"DELETE FROM machine WHERE {outlived}", (next_seq,))


def follow(db: sqlite3.Connection) -> None:
    """Note, inside a transaction, that the wall clock was set; the messages of this boot keep their age."""
    clock_ns = _clock_ns()
    latest = "first = (SELECT max(first) FROM machine)"
    db.execute(f"UPDATE machine SET clock_ns = ? WHERE {latest} AND abs(clock_ns - ?) > {_STEP_NS}", [clock_ns] * 2)


def aged(db: sqlite3.Connection, max_age_s: float) -> list[int]:
    """Some of the messages that are older than `max_age_s`, none if there are none."""
    boots = db.execute("SELECT first, clock_ns FROM machine ORDER BY first").fetchall()
    oldest_ns = uptime_ns() + boots[-1][1] - int(max_age_s * 1e9)
    stops = [first for first, _ in boots[1:]] + [1 << 62]
    found: list[int] = []
    for (first, clock_ns), stop in zip(boots, stops, strict=True):
        # Within a boot numbers and times grow together, so that looking from its front is enough.
        query = "SELECT seq, created_ns FROM message WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?"
        rows = db.execute(query, (first, stop, _LOOK_AT)).fetchall()
        found += [seq for seq, created_ns in rows if created_ns + clock_ns < oldest_ns]
    return found


def _clock_ns() -> int:
    return time.time_ns() - uptime_ns()
