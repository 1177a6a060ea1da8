"""Messages for a spool that nobody decodes, and what a spool holds."""

import os

from edge_runtime.link.entries import Entry, Priority
from edge_runtime.link.spool import Spool

EVERYTHING = {"first": 0, "stop": 1 << 62, "limit": 1 << 30}


def entries(count: int, *, priority: Priority = Priority.CROP, size: int = 1400, topic: str = "t") -> list[Entry]:
    """Messages of random bytes, so that nothing compresses or repeats."""
    return [Entry(topic, os.urandom(size), priority) for _ in range(count)]


def store(spool: Spool, some: list[Entry]) -> range:
    """Spool messages, and wait until they are in the database."""
    numbers = spool.append(some)
    spool.flush()
    return numbers


def numbers(spool: Spool) -> list[int]:
    """What waits."""
    return [row.seq for row in spool.pending(**EVERYTHING)]
