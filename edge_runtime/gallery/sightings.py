"""Which person was where and when: one row for each track that ended, and the identity messages still to be sent.

One SQLite file beside the store, which holds no vector. A change and the message about it are one transaction, so that
a killed process neither forgets nor invents one.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.columns import make_conditions
from edge_runtime.gallery.descriptor_store import Where

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sighting (
    space TEXT NOT NULL, site TEXT NOT NULL, node TEXT NOT NULL, camera TEXT NOT NULL, track TEXT NOT NULL,
    start_ns INTEGER NOT NULL, capture_ns INTEGER NOT NULL, crops INTEGER NOT NULL, expires_at_ns INTEGER NOT NULL,
    person TEXT, probability REAL, borrowed REAL, state TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'track',
    PRIMARY KEY (space, track)
);
CREATE INDEX IF NOT EXISTS sighting_person ON sighting (person);
CREATE INDEX IF NOT EXISTS sighting_track ON sighting (track);
CREATE INDEX IF NOT EXISTS sighting_time ON sighting (capture_ns);
CREATE INDEX IF NOT EXISTS sighting_expiry ON sighting (expires_at_ns);
CREATE TABLE IF NOT EXISTS unsent (
    number INTEGER PRIMARY KEY AUTOINCREMENT, track TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS open_person (person TEXT PRIMARY KEY, end_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS known_time (one INTEGER PRIMARY KEY, ns INTEGER NOT NULL);
"""

State = Literal["first", "joined", "confirmed", "undone"]


@dataclass(frozen=True)
class PersonSighting:
    """A track that ended, and whose it is. capture_ns: its end; UTC nanoseconds.

    state: first (the person's first track), joined (by the program), confirmed (by a person who looked), undone (a
    person said that the join was wrong). person: None until it is decided.
    """

    space: str
    site: str
    node: str
    camera: str
    track: str
    start_ns: int
    capture_ns: int
    crops: int
    expires_at_ns: int
    person: str | None = None
    probability: float | None = None
    borrowed: float | None = None
    state: State = "first"


@dataclass(frozen=True)
class SeenPerson:
    """A person within a time. tracks: how many; unsure: how many joins nobody has confirmed, of unknown or low
    probability."""

    person: str
    first_ns: int
    last_ns: int
    tracks: int
    cameras: int
    unsure: int


@dataclass(frozen=True)
class Unsent:
    """An identity message that the broker has not acknowledged."""

    number: int
    topic: str
    payload: bytes


@dataclass(frozen=True)
class CameraHour:
    """How many tracks ended in a camera within an hour, and of how many people. start_ns: of the hour, UTC."""

    site: str
    node: str
    camera: str
    start_ns: int
    tracks: int
    people: int


_NAMES = ", ".join(field.name for field in fields(PersonSighting))
_MARKS = ", ".join("?" for _ in fields(PersonSighting))
_HOUR_NS = 3_600_000_000_000
_SURE = 0.9
_UNSURE = f"state = 'joined' AND coalesce(probability, 0) < {_SURE}"


class Sightings:
    """The file. Every method may be called from any thread.

    Raises:
        GalleryError: from every method: the file cannot be read or written; nothing was changed, so ask again.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float = 2.0) -> None:
        self._path, self._lock = path, threading.RLock()
        self.listeners: list[Callable[[bytes], None]] = []
        """Told of each message once it is kept; they must return at once and raise nothing."""
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path, timeout=busy_timeout_s, check_same_thread=False)
            self._db.executescript(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;" + _SCHEMA
            )

    def record(
        self,
        sightings: Sequence[PersonSighting],
        *,
        messages: Sequence[tuple[str, str, bytes]],
        ended: Sequence[str] = (),
    ) -> None:
        """Add or replace sightings, and queue messages (track, topic, payload). ended: people who are over now."""
        self._write(sightings, messages=messages, ended=ended)
        for listener in self.listeners:
            for _, _, payload in messages:
                listener(payload)

    def of_tracks(self, tracks: Sequence[str]) -> dict[str, PersonSighting]:
        """The sightings of tracks, by track."""
        found = [one for track in tracks for one in self._sightings("track = ? LIMIT 1", track)]
        return {one.track: one for one in found}

    def of_person(self, person: str, *, count: int) -> list[PersonSighting]:
        """The person's sightings in order of time; of more than `count`, the latest ones."""
        latest = self._sightings("person = ? ORDER BY capture_ns DESC LIMIT ?", person, count)
        return latest[::-1]

    def within(self, since_ns: int, until_ns: int, *, count: int) -> list[PersonSighting]:
        """The sightings of decided tracks that ended within a time, latest first."""
        return self._sightings(
            "person IS NOT NULL AND capture_ns >= ? AND capture_ns < ? ORDER BY capture_ns DESC LIMIT ?",
            since_ns,
            until_ns,
            count,
        )

    def since(self, since_ns: int) -> list[PersonSighting]:
        """All sightings from a moment on."""
        return self._sightings("capture_ns >= ?", since_ns)

    def unsure(self, *, count: int) -> list[PersonSighting]:
        """Joins that somebody should look at, the least sure ones first."""
        return self._sightings(f"{_UNSURE} ORDER BY coalesce(probability, 0), capture_ns DESC LIMIT ?", count)

    def people(self, since_ns: int, until_ns: int, *, count: int) -> list[SeenPerson]:
        """People seen within a time, latest first."""
        return [
            SeenPerson(*row)
            for row in self._all(
                "SELECT person, min(start_ns), max(capture_ns), count(*), "
                f"count(DISTINCT site || '/' || node || '/' || camera), sum({_UNSURE}) FROM sighting "
                "WHERE person IS NOT NULL AND capture_ns >= ? AND capture_ns < ? "
                "GROUP BY person ORDER BY max(capture_ns) DESC LIMIT ?",
                since_ns,
                until_ns,
                count,
            )
        ]

    def flow(self, since_ns: int, until_ns: int) -> list[CameraHour]:
        """Tracks and people of each camera and hour."""
        return [
            CameraHour(*row)
            for row in self._all(
                f"SELECT site, node, camera, capture_ns / {_HOUR_NS} * {_HOUR_NS} AS hour, count(*), "
                "count(DISTINCT person) FROM sighting WHERE capture_ns >= ? AND capture_ns < ? "
                "GROUP BY site, node, camera, hour ORDER BY hour, site, node, camera",
                since_ns,
                until_ns,
            )
        ]

    def cameras(self) -> list[tuple[str, str, str]]:
        """Site, node and camera of everything that is kept."""
        return [tuple(row) for row in self._all("SELECT DISTINCT site, node, camera FROM sighting ORDER BY 1, 2, 3")]

    def spaces(self) -> list[tuple[str, int]]:
        """Space and number of its sightings."""
        return [tuple(row) for row in self._all("SELECT space, count(*) FROM sighting GROUP BY space ORDER BY 1")]

    def has_person(self, person: str) -> bool:
        """Whether any sighting is of this person."""
        return bool(self._all("SELECT 1 FROM sighting WHERE person = ? LIMIT 1", person))

    def open_people(self) -> list[tuple[str, int]]:
        """People of whom no `end` was sent, and when each was last seen."""
        return [tuple(row) for row in self._all("SELECT person, end_ns FROM open_person")]

    def unsent(self, *, after: int, count: int) -> list[Unsent]:
        """The oldest messages that are still to be sent, with numbers above `after`."""
        found = self._all(
            "SELECT number, topic, payload FROM unsent WHERE number > ? ORDER BY number LIMIT ?", after, count
        )
        return [Unsent(*row) for row in found]

    def mark_sent(self, numbers: Sequence[int]) -> None:
        """Forget messages that the broker has acknowledged."""
        with self._change() as db:
            db.executemany("DELETE FROM unsent WHERE number = ?", [(number,) for number in numbers])

    def erase(self, where: Where) -> list[str]:
        """Delete the sightings meant, and messages about them. Returns their tracks."""
        with self._lock, self._errors():
            terms, values = make_conditions(where, mark="?")
            if where.space is not None:
                terms, values = f"{terms} AND space = ?", [*values, where.space]
            tracks = [row[0] for row in self._db.execute(f"SELECT track FROM sighting WHERE {terms}", values)]
            with self._change() as db:
                db.execute(f"DELETE FROM sighting WHERE {terms}", values)
                db.executemany("DELETE FROM unsent WHERE track = ?", [(track,) for track in tracks])
                db.execute(
                    "DELETE FROM open_person WHERE NOT EXISTS "
                    "(SELECT 1 FROM sighting WHERE sighting.person = open_person.person)"
                )
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return tracks

    def keep_time(self, now_ns: int) -> None:
        """Remember a time that has surely come."""
        with self._change() as db:
            db.execute("REPLACE INTO known_time VALUES (1, ?)", (now_ns,))

    def latest_ns(self) -> int | None:
        """The latest time that is known: that was remembered, or of a sighting's end; UTC."""
        latest = self._all(
            "SELECT max(ns) FROM (SELECT ns FROM known_time UNION ALL SELECT max(capture_ns) FROM sighting)"
        )
        return None if latest[0][0] is None else int(latest[0][0])

    def check(self) -> None:
        """Raise the error that a read would raise."""
        self._all("SELECT 1 FROM sighting LIMIT 1")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _write(
        self,
        sightings: Sequence[PersonSighting],
        *,
        messages: Sequence[tuple[str, str, bytes]],
        ended: Sequence[str],
    ) -> None:
        with self._change() as db:
            db.executemany(f"REPLACE INTO sighting ({_NAMES}) VALUES ({_MARKS})", [astuple(one) for one in sightings])
            db.executemany("INSERT INTO unsent (track, topic, payload) VALUES (?, ?, ?)", messages)
            db.executemany(
                "INSERT INTO open_person VALUES (?1, ?2) ON CONFLICT DO UPDATE SET end_ns = max(end_ns, ?2)",
                [(one.person, one.capture_ns) for one in sightings if one.person],
            )
            db.executemany("DELETE FROM open_person WHERE person = ?", [(person,) for person in ended])

    def _sightings(self, condition: str, *values: object) -> list[PersonSighting]:
        return [PersonSighting(*row) for row in self._all(f"SELECT {_NAMES} FROM sighting WHERE {condition}", *values)]

    def _all(self, query: str, *values: object) -> list[Any]:
        with self._lock, self._errors():
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors(), self._db:
            yield self._db

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise GalleryError(
                f"the gallery's file {self._path} cannot be used: {error}; nothing was changed: free some space, or "
                "end the program that holds it"
            ) from error
