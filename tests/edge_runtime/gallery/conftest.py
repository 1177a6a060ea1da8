"""Both stores, so that the same tests run against each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_runtime.gallery.descriptor_store import Store
from edge_runtime.gallery.sqlite_store import SqliteStore
from tests.support.postgres_server import postgres_server


@dataclass(frozen=True)
class Place:
    """Where a store keeps its files, and how to open it."""

    name: str
    files: Path
    open: Callable[[], Store]
    address: str


@pytest.fixture(scope="session")
def postgres_place() -> Iterator[Place]:
    """A running PostgreSQL with pgvector."""
    with postgres_server() as (address, folder):
        from edge_runtime.gallery.postgres_store import PostgresStore

        yield Place("postgres", folder, lambda: PostgresStore(address), address)


@pytest.fixture
def postgres(postgres_place: Place) -> Place:
    """An empty database."""
    import psycopg

    with psycopg.connect(postgres_place.address, autocommit=True) as db:
        db.execute("DROP SCHEMA IF EXISTS reid_gallery CASCADE")
    return postgres_place


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    """An empty folder."""
    folder = tmp_path / "gallery"
    return Place("sqlite", folder, lambda: SqliteStore(folder, busy_timeout_s=0.2), str(folder))


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the stores, empty."""
    chosen: Place = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """Each of the stores, empty and open."""
    opened = place.open()
    yield opened
    opened.close()
