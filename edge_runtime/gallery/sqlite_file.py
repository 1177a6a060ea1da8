"""One space and one day in one SQLite file: its tables, and what a full, locked or damaged disk means."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.columns import (
    COLUMNS,
    INTEGER,
    NAMES,
    NULLABLE,
    REAL,
    make_conditions,
    to_row,
    to_values,
    unit_vectors,
)
from edge_runtime.gallery.descriptor_store import Camera, ErasedKey, Key, Row, Where
from edge_runtime.gallery.search import Loaded

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    "temp_store = MEMORY",  # no vector in a temporary file
    "wal_autocheckpoint = 1000",
    f"journal_size_limit = {4 << 20}",
)
_TYPES = {INTEGER: "INTEGER", REAL: "REAL"}
_COLUMNS = ", ".join(
    f"{name} {_TYPES.get(kind, 'TEXT')}{'' if name in NULLABLE else ' NOT NULL'}" for name, kind in COLUMNS.items()
)
_SCHEMA = (
    f"CREATE TABLE IF NOT EXISTS descriptor (id INTEGER PRIMARY KEY, {_COLUMNS}, vector BLOB NOT NULL, "
    "UNIQUE (node, boot, seq))",
    "CREATE INDEX IF NOT EXISTS by_track ON descriptor (track)",
    "CREATE INDEX IF NOT EXISTS by_person ON descriptor (person) WHERE person IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS by_expiry ON descriptor (expires_at_ns)",
    "CREATE TABLE IF NOT EXISTS erased (node TEXT, boot TEXT, seq INTEGER, expires_at_ns INTEGER, "
    "PRIMARY KEY (node, boot, seq)) WITHOUT ROWID",
    "CREATE TRIGGER IF NOT EXISTS stays_erased BEFORE INSERT ON descriptor WHEN EXISTS (SELECT 1 FROM erased "
    "WHERE node = NEW.node AND boot = NEW.boot AND seq = NEW.seq) BEGIN SELECT RAISE(IGNORE); END",
)
_INSERT = (
    f"INSERT INTO descriptor ({NAMES}, vector) VALUES ({', '.join('?' * (len(COLUMNS) + 1))}) "
    "ON CONFLICT (node, boot, seq) DO NOTHING"
)
PAGE_ROWS = 1_000
_LOAD_ROWS = 4_096


class SqliteFile:
    """The rows of one space and day. Not thread-safe.

    Raises:
        GalleryError: from every method: the disk is full or fails, or the file is locked or damaged.
    """

    def __init__(self, path: Path, *, space: str, busy_timeout_s: float) -> None:
        self._path, self._space = path, space
        with self._errors():
            # Made here, because SQLite would make it readable to all. Its journals take the mode of the file.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(
                path, timeout=busy_timeout_s, isolation_level="IMMEDIATE", check_same_thread=False
            )
        try:
            self._prepare()
        except GalleryError:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._errors():
            for pragma in _PRAGMAS:
                self._db.execute(f"PRAGMA {pragma}")
            with self._db:
                for statement in _SCHEMA:
                    self._db.execute(statement)
        self.checkpoint()  # a process that was killed may have left erased rows in the journal

    def add(self, rows: Sequence[Row]) -> int:
        """Insert the rows in one transaction. Returns how many were new."""
        with self._errors(), self._db:
            before = self._db.total_changes
            self._db.executemany(_INSERT, map(to_values, rows))
            return self._db.total_changes - before

    def vector_length(self) -> int | None:
        """How many numbers a vector has; None without rows."""
        with self._errors():
            found = self._db.execute(f"SELECT {NAMES}, vector FROM descriptor LIMIT 1").fetchone()
        return None if found is None else to_row(self._space, found).vector.length

    def page(self, where: Where, after: Key) -> list[Row]:
        """The first `PAGE_ROWS` rows behind `after`, in the order of node, boot and seq."""
        conditions, values = make_conditions(where, mark="?")
        query = (
            f"SELECT {NAMES}, vector FROM descriptor WHERE (node, boot, seq) > (?, ?, ?) AND {conditions} "
            f"ORDER BY node, boot, seq LIMIT {PAGE_ROWS}"
        )
        with self._errors():
            return [to_row(self._space, one) for one in self._db.execute(query, (*after, *values))]

    def rows_of(self, ids: Sequence[int]) -> dict[int, Row]:
        """The rows with these ids."""
        query = f"SELECT {NAMES}, vector FROM descriptor WHERE id = ?"
        with self._errors():
            return {one: to_row(self._space, self._db.execute(query, (one,)).fetchone()) for one in ids}

    def keys(self, where: Where) -> Iterator[tuple[str, str, int]]:
        """The names of the rows, in order."""
        conditions, values = make_conditions(where, mark="?")
        query = f"SELECT node, boot, seq FROM descriptor WHERE {conditions} ORDER BY node, boot, seq"
        with self._errors():
            yield from self._db.execute(query, values)

    def ids(self, where: Where) -> list[int]:
        """The ids of the rows, ascending."""
        conditions, values = make_conditions(where, mark="?")
        with self._errors():
            found = self._db.execute(f"SELECT id FROM descriptor WHERE {conditions} ORDER BY id", values)
            return [one for (one,) in found]

    def last_id(self) -> int:
        """The largest id; 0 without rows."""
        return self._number("SELECT coalesce(max(id), 0) FROM descriptor")

    def load(self, after: int, until: int) -> Iterator[Loaded]:
        """The vectors with after < id <= until, in chunks."""
        query = (
            "SELECT id, capture_ns, kind, site, node, camera, codec, vector FROM descriptor WHERE id > ? AND id <= ? "
            f"ORDER BY id LIMIT {_LOAD_ROWS}"
        )
        while True:
            with self._errors():
                found = self._db.execute(query, (after, until)).fetchall()
            if not found:
                return
            ids, capture_ns, kinds, sites, nodes, cameras, codecs, data = zip(*found, strict=True)
            yield Loaded(
                ids=np.array(ids, np.int64),
                capture_ns=np.array(capture_ns, np.int64),
                is_track=np.array([kind == "track" for kind in kinds]),
                cameras=list(map(Camera, sites, nodes, cameras)),
                vectors=unit_vectors(list(codecs), list(data)),
            )
            after = ids[-1]

    def assign(self, people: Mapping[str, str], where: Where) -> int:
        """Set the person of tracks. Returns how many rows that changed."""
        conditions, values = make_conditions(where, mark="?")
        update = f"UPDATE descriptor SET person = ? WHERE track = ? AND person IS NOT ? AND {conditions}"
        with self._errors(), self._db:
            before = self._db.total_changes
            self._db.executemany(update, [(person, track, person, *values) for track, person in people.items()])
            return self._db.total_changes - before

    def delete(self, where: Where) -> None:
        """Delete rows and remember their names; a checkpoint then overwrites their bytes."""
        conditions, values = make_conditions(where, mark="?")
        with self._errors():
            with self._db:
                self._db.execute(
                    "INSERT OR IGNORE INTO erased SELECT node, boot, seq, expires_at_ns FROM descriptor "
                    f"WHERE {conditions}",
                    values,
                )
                self._db.execute(f"DELETE FROM descriptor WHERE {conditions}", values)
            if self.last_id() == 0:
                self._db.execute("VACUUM")  # gives the space back, at no cost

    def checkpoint(self) -> None:
        """Bring everything from the journal into the file, and empty the journal."""
        with self._errors():
            is_busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if is_busy:
                raise sqlite3.OperationalError("database is locked")

    def erased_keys(self) -> list[ErasedKey]:
        """The names of the rows that were erased."""
        with self._errors():
            return [ErasedKey(*one) for one in self._db.execute("SELECT * FROM erased ORDER BY node, boot, seq")]

    def add_erased_keys(self, keys: Sequence[ErasedKey]) -> None:
        """Refuse these rows from now on."""
        with self._errors(), self._db:
            self._db.executemany("INSERT OR IGNORE INTO erased VALUES (?, ?, ?, ?)", keys)

    def forget_erased(self, now_ns: int) -> None:
        """Forget the names of erased rows whose time is over."""
        with self._errors(), self._db:
            self._db.execute("DELETE FROM erased WHERE expires_at_ns <= ?", (now_ns,))

    def is_over(self, now_ns: int) -> bool:
        """Whether the time of every row, erased ones included, is over."""
        latest = [
            self._number(f"SELECT coalesce(max(expires_at_ns), 0) FROM {one}") for one in ("descriptor", "erased")
        ]
        return max(latest) <= now_ns

    def close(self) -> None:
        """Close the file; SQLite then removes its journals."""
        self._db.close()

    def _number(self, query: str) -> int:
        with self._errors():
            return int(self._db.execute(query).fetchone()[0])

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise GalleryError(f"the gallery's file {self._path} cannot be opened: {error.strerror}") from error
        except sqlite3.Error as error:
            raise GalleryError(f"the gallery's file {self._path} cannot be used: {error}; {_hint(error)}") from error


def _hint(error: sqlite3.Error) -> str:
    text = str(error)
    if "locked" in text:
        return "another program holds it; nothing was changed, so try again when it is done"
    if "full" in text:
        return "nothing was changed, so free some space and try again"
    if any(sign in text for sign in ("malformed", "not a database", "Could not decode")):
        return "the file is damaged: move it away or bring it back from a backup; other days are not touched"
    return "nothing was changed; check the disk and who may write there"


def remove_files(path: Path) -> None:
    """Remove a closed file with what SQLite may have left beside it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
