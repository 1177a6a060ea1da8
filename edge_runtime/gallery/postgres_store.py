"""The store for those who outgrow one machine's files: PostgreSQL with pgvector, reached through psycopg."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.columns import (
    COLUMNS,
    NAMES,
    DigestBuilder,
    check_lengths,
    check_query,
    make_conditions,
    to_row,
    to_values,
    unit_vectors,
)
from edge_runtime.gallery.descriptor_store import ErasedKey, Key, Match, Row, RowDigest, StoredDay, Where
from edge_runtime.gallery.postgres_tables import (
    SCHEMA,
    SETUP,
    day_table,
    make_day,
    make_space,
    space_table,
)

_PAGE_ROWS = 1_000
_STAGED = f"{NAMES}, data, vector, day"
_ERASED = "node, boot, seq, expires_at_ns"
_MARK = f"INSERT INTO {SCHEMA}.unfinished VALUES (%s, %s) ON CONFLICT DO NOTHING"
_STAGED_TYPES = [*COLUMNS.values(), "bytea", "halfvec", "date"]
SpaceDay = tuple[str, str]


class PostgresStore:
    """A `Store` in a database that it may own: its role makes tables, and may CHECKPOINT and switch the WAL.

    conninfo: as libpq takes it; a password belongs into a password file.

    Raises:
        GalleryError: the server cannot be reached, or would keep erased vectors in its write-ahead log.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._lock = threading.RLock()
        self._lengths: dict[str, int] = {}
        self._days = set[SpaceDay]()
        self._connection: psycopg.Connection[Any] | None = None
        with self._session():
            pass

    def add(self, rows: Sequence[Row]) -> int:
        """See `Store`. Each space is one transaction."""
        spaces = defaultdict[str, list[Row]](list)
        for row in rows:
            spaces[row.space].append(row)
        with self._session() as db:
            lengths = dict(self._lengths)
            check_lengths(rows, lengths)
            for part in {(row.space, row.day) for row in rows} - self._days:
                self._make_part(db, part, length=lengths[part[0]])
            added = sum(_add(db, some, space=space) for space, some in spaces.items())
            self._lengths = lengths
            return added

    def days(self) -> list[StoredDay]:
        """See `Store`."""
        query = (
            "SELECT right(parent.relname, 16), right(child.relname, 8)::date::text, "
            "pg_total_relation_size(child.oid) FROM pg_inherits JOIN pg_class parent ON parent.oid = inhparent "
            "JOIN pg_class child ON child.oid = inhrelid JOIN pg_namespace n ON n.oid = parent.relnamespace "
            "WHERE n.nspname = %s AND parent.relkind = 'p' ORDER BY 1, 2"
        )
        with self._session() as db:
            return [StoredDay(*one) for one in db.execute(query, (SCHEMA,))]

    def digest(self, where: Where) -> RowDigest:
        """See `Store`."""
        counter = DigestBuilder()
        with self._session() as db:
            for part in self._names(where):
                counter.add(*part, keys=_keys(db, part, where=where))
        return counter.result()

    def rows(self, where: Where) -> Iterator[Row]:
        """See `Store`. Other calls may come in between; a row they add or erase may or may not be seen."""
        conditions, values = make_conditions(where, mark="%s")
        for part in self._names(where):
            query = (
                f"SELECT {NAMES}, data, vector FROM {day_table(*part)} WHERE (node, boot, seq) > (%s, %s, %s) AND "
                f"{conditions} ORDER BY node, boot, seq LIMIT {_PAGE_ROWS}"
            )
            page, after = None, Key("", "", -1)
            while page is None or len(page) == _PAGE_ROWS:
                with self._session() as db:
                    page = [_row(part[0], one) for one in _execute(db, query, values=(*after, *values))]
                yield from page
                after = page[-1].key if page else after

    def search(self, query: NDArray[np.float32], *, where: Where, count: int) -> list[Match]:
        """See `Store`. Finished days answer from their HNSW index, which may miss a row; other days are exact."""
        return self._search(query, where=where, ending=f"LIMIT {int(count)}", at_least=-2.0)

    def find_like(self, query: NDArray[np.float32], *, where: Where, at_least: float) -> list[Match]:
        """See `Store`. Exact everywhere."""
        return self._search(query, where=where, ending="", at_least=at_least)

    def assign(self, people: Mapping[str, str], *, where: Where) -> int:
        """See `Store`."""
        conditions, values = make_conditions(where, mark="%s")
        given = (list(people), list(people.values()))
        changed = 0
        with self._session() as db, db.transaction():
            for part in self._names(where):
                update = (
                    f"UPDATE {day_table(*part)} SET person = p FROM unnest(%s::text[], %s::text[]) AS given (t, p) "
                    f"WHERE track = t AND person IS DISTINCT FROM p AND {conditions}"
                )
                changed += _execute(db, update, values=(*given, *values)).rowcount
        return changed

    def erase(self, where: Where) -> RowDigest:
        """See `Store`. Rewrites the days concerned, which are locked meanwhile."""
        counter = DigestBuilder()
        with self._session() as db:
            for part in self._names(where):
                _erase(db, part, where=where, counter=counter)
            _finish_erasures(db)
        return counter.result()

    def drop_expired(self, now_ns: int) -> RowDigest:
        """See `Store`."""
        counter, expired = DigestBuilder(), Where(expired_by_ns=now_ns)
        with self._session() as db:
            for part in self._names(expired):
                if _is_over(db, part, now_ns=now_ns):
                    counter.add(*part, keys=_keys(db, part, where=expired))
                    self._drop(db, part)
                else:
                    _erase(db, part, where=expired, counter=counter)
            _execute(db, f"DELETE FROM {SCHEMA}.erased WHERE expires_at_ns <= %s", values=(now_ns,))
            _finish_erasures(db)
        return counter.result()

    def erased_keys(self, part: StoredDay) -> list[ErasedKey]:
        """See `Store`."""
        query = f"SELECT {_ERASED} FROM {SCHEMA}.erased WHERE space = %s AND day = %s ORDER BY node, boot, seq"
        with self._session() as db:
            return [ErasedKey(*one) for one in _execute(db, query, values=(part.space, part.day))]

    def add_erased_keys(self, part: StoredDay, keys: Sequence[ErasedKey]) -> None:
        """See `Store`."""
        insert = f"INSERT INTO {SCHEMA}.erased VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
        with self._session() as db, db.transaction(), db.cursor() as cursor:
            cursor.executemany(insert.encode(), [(part.space, part.day, *key) for key in keys])

    def finish_day(self, part: StoredDay) -> None:
        """See `Store`. Builds the HNSW index of the day."""
        table = day_table(part.space, part.day)
        name = f"{table.partition('.')[2]}_hnsw"
        with self._session() as db:
            _execute(db, f"CREATE INDEX IF NOT EXISTS {name} ON {table} USING hnsw (vector halfvec_cosine_ops)")
            _execute(db, f"ANALYZE {table}")  # without it the planner does not use the index

    def grant_site(self, role: str, *, site: str) -> None:
        """Let a role of the database read the rows of a site, in every space there is now, and no others."""
        quoted = psycopg.sql.Identifier(role)
        with self._session() as db, db.transaction():
            insert = f"INSERT INTO {SCHEMA}.site_reader VALUES (%s, %s) ON CONFLICT DO NOTHING"
            _execute(db, insert, values=(role, site))
            tables = [f"{SCHEMA}.site_reader", *sorted({space_table(part.space) for part in self.days()})]
            schema = psycopg.sql.Identifier(SCHEMA)
            db.execute(psycopg.sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, quoted))
            for table in tables:
                name = psycopg.sql.Identifier(*table.split("."))
                db.execute(psycopg.sql.SQL("GRANT SELECT ON {} TO {}").format(name, quoted))

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def __enter__(self) -> "PostgresStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _search(self, query: NDArray[np.float32], *, where: Where, ending: str, at_least: float) -> list[Match]:
        unit = check_query(query, where=where, length=self._lengths.get(where.space or ""))
        days = [day for _, day in self._names(where)]
        if not days:
            return []
        conditions, values = make_conditions(where, mark="%s")
        distance = "vector <=> %s::halfvec"
        select = (
            f"SELECT {NAMES}, data, vector, 1 - ({distance}) FROM {space_table(where.space or '')} "
            f"WHERE day = ANY(%s::date[]) AND {conditions} ORDER BY {distance} {ending}"
        )
        text = f"[{','.join(map(repr, unit.tolist()))}]"
        with self._session() as db, db.transaction():
            db.execute("SET LOCAL hnsw.iterative_scan = strict_order")
            db.execute("SET LOCAL hnsw.ef_search = 200")
            found = _execute(db, select, values=(text, days, *values, text)).fetchall()
        return [Match(_row(where.space or "", one[:-1]), one[-1]) for one in found if one[-1] >= at_least]

    def _names(self, where: Where) -> list[SpaceDay]:
        return [(part.space, part.day) for part in self.days() if where.may_match(part.space, part.day)]

    def _make_part(self, db: psycopg.Connection[Any], part: SpaceDay, *, length: int) -> None:
        with db.transaction():
            for statement in [*make_space(part[0], length=length), *make_day(*part)]:
                _execute(db, statement)
        self._days.add(part)

    def _drop(self, db: psycopg.Connection[Any], part: SpaceDay) -> None:
        with db.transaction():
            _execute(db, f"DROP TABLE {day_table(*part)}")
            _execute(db, _MARK, values=part)
        self._days.discard(part)

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection[Any]]:
        """The connection, made again where it was lost; one caller at a time."""
        with self._lock:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = _connect(self._conninfo)
                    self._lengths = _read_lengths(self._connection)
                    self._days = set()
                yield self._connection
            except psycopg.Error as error:
                reason = " ".join(str(error).split())
                raise GalleryError(
                    f"PostgreSQL refused the gallery: {reason}; nothing was changed by this step, so try again when "
                    "that is put right"
                ) from error


def _connect(conninfo: str) -> psycopg.Connection[Any]:
    db = psycopg.connect(conninfo, autocommit=True)
    recycle = db.execute("SHOW wal_recycle").fetchone()
    if recycle != ("off",):
        db.close()
        raise GalleryError(
            "the PostgreSQL server keeps old write-ahead log files, and erased vectors in them: expected wal_recycle = "
            f"off, found {recycle and recycle[0]}; run ALTER SYSTEM SET wal_recycle = off; SELECT pg_reload_conf()"
        )
    with db.transaction():
        for statement in SETUP:
            _execute(db, statement)
    info = TypeInfo.fetch(db, "halfvec")
    if info is None:
        raise GalleryError("expected pgvector 0.7 or later with the type halfvec; update the extension `vector`")
    info.register(db)
    db.adapters.register_dumper(None, type("HalfvecDumper", (_HalfvecDumper,), {"oid": info.oid}))
    return db


class _HalfvecDumper(Dumper):
    """Little-endian f16 bytes -> halfvec in binary: length, 0, big-endian numbers."""

    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return (len(obj) // 2).to_bytes(2, "big") + b"\0\0" + np.frombuffer(obj, "<f2").astype(">f2").tobytes()


def _execute(db: psycopg.Connection[Any], query: str, *, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
    return db.execute(query.encode(), values, binary=True)


def _read_lengths(db: psycopg.Connection[Any]) -> dict[str, int]:
    query = (
        "SELECT right(relname, 16), atttypmod FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
        "JOIN pg_namespace n ON n.oid = relnamespace WHERE n.nspname = %s AND relkind = 'p' AND attname = 'vector'"
    )
    return dict(db.execute(query, (SCHEMA,)).fetchall())


def _add(db: psycopg.Connection[Any], rows: list[Row], *, space: str) -> int:
    table = space_table(space)
    insert = (
        f"INSERT INTO {table} ({_STAGED}) SELECT {_STAGED} FROM staging s WHERE NOT EXISTS (SELECT FROM "
        f"{SCHEMA}.erased e WHERE e.space = %s AND (e.day, e.node, e.boot, e.seq) = (s.day, s.node, s.boot, s.seq)) "
        "ON CONFLICT DO NOTHING"
    )
    halves = unit_vectors([row.vector.codec for row in rows], [row.vector.data for row in rows]).astype("<f2")
    with db.transaction(), db.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE staging (LIKE {table}) ON COMMIT DROP".encode())
        with cursor.copy(f"COPY staging ({_STAGED}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.set_types(_STAGED_TYPES)
            for row, half in zip(rows, halves, strict=True):
                *values, data = to_values(row)
                vectors = (None, data) if row.vector.codec == "f16" else (data, half.tobytes())
                copy.write_row((*values, *vectors, date.fromisoformat(row.day)))
        cursor.execute(insert.encode(), (space,))
        return cursor.rowcount


def _row(space: str, values: tuple[Any, ...]) -> Row:
    *head, data, halfvec = values
    half = np.frombuffer(halfvec, ">f2", offset=4).astype("<f2").tobytes()
    return to_row(space, (*head, half if data is None else data))


def _keys(db: psycopg.Connection[Any], part: SpaceDay, *, where: Where) -> Iterator[tuple[str, str, int]]:
    conditions, values = make_conditions(where, mark="%s")
    query = f"SELECT node, boot, seq FROM {day_table(*part)} WHERE {conditions} ORDER BY node, boot, seq"
    yield from _execute(db, query, values=values)


def _is_over(db: psycopg.Connection[Any], part: SpaceDay, *, now_ns: int) -> bool:
    later = (
        f"SELECT 1 FROM {day_table(*part)} WHERE expires_at_ns > %s UNION ALL "
        f"SELECT 1 FROM {SCHEMA}.erased WHERE space = %s AND day = %s AND expires_at_ns > %s LIMIT 1"
    )
    return _execute(db, later, values=(now_ns, *part, now_ns)).fetchone() is None


def _erase(db: psycopg.Connection[Any], part: SpaceDay, *, where: Where, counter: DigestBuilder) -> None:
    conditions, values = make_conditions(where, mark="%s")
    before, table = counter.result().rows, day_table(*part)
    with db.transaction():
        counter.add(*part, keys=_keys(db, part, where=where))
        if counter.result().rows == before:
            return
        remember = (
            f"INSERT INTO {SCHEMA}.erased SELECT %s, %s, {_ERASED} FROM {table} WHERE {conditions} "
            "ON CONFLICT DO NOTHING"
        )
        _execute(db, remember, values=(*part, *values))
        _execute(db, f"DELETE FROM {table} WHERE {conditions}", values=values)
        _execute(db, _MARK, values=part)


def _finish_erasures(db: psycopg.Connection[Any]) -> None:
    """Remove the bytes of deleted rows, also of an erasure that was interrupted."""
    parts = _execute(db, f"SELECT space, day::text FROM {SCHEMA}.unfinished").fetchall()
    for space, day in parts:
        table = day_table(space, day)
        if _execute(db, "SELECT to_regclass(%s)", values=(table,)).fetchone() != (None,):
            # A plain vacuum leaves old bytes in the free space of pages; this writes new files and removes the old.
            _execute(db, f"VACUUM FULL {table}")
    if parts:
        # The log before the last checkpoint is removed, if that checkpoint is not in the same file of the log.
        db.execute("CHECKPOINT")
        db.execute("SELECT pg_switch_wal()")
        db.execute("CHECKPOINT")
    for part in parts:
        _execute(db, f"DELETE FROM {SCHEMA}.unfinished WHERE space = %s AND day = %s", values=part)
