"""What only a server can meet: its settings, its roles, and that it goes away."""

import psycopg
import pytest

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Where
from edge_runtime.gallery.postgres_store import PostgresStore
from tests.edge_runtime.gallery.conftest import Place
from tests.support.gallery_rows import DAY_NS, OTHER_SPACE, SPACE, START_NS, sample_row, track_id, vector_of


def test_a_role_reads_the_rows_of_its_site_only(postgres: Place) -> None:
    """In the table of a space; not in the days behind it, and it writes nowhere."""
    table = f"reid_gallery.descriptor_{SPACE}"
    with PostgresStore(postgres.address) as store, psycopg.connect(postgres.address, autocommit=True) as db:
        store.add([sample_row(seq, site=("shop", "depot")[seq % 2]) for seq in range(6)])
        db.execute("DROP ROLE IF EXISTS shop_reader")
        db.execute("CREATE ROLE shop_reader")
        store.grant_site("shop_reader", site="shop")
        db.execute("SET ROLE shop_reader")
        assert db.execute(f"SELECT DISTINCT site FROM {table}").fetchall() == [("shop",)]
        for forbidden in (
            f"SELECT count(*) FROM {table}_20270115",
            f"UPDATE {table} SET site = 'shop'",
            f"DELETE FROM {table}",
            "INSERT INTO reid_gallery.site_reader VALUES ('shop_reader', 'depot')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute(forbidden.encode())
        db.execute("RESET ROLE")
        db.execute("DROP OWNED BY shop_reader")
        db.execute("DROP ROLE shop_reader")


def test_each_space_and_day_is_a_partition(postgres: Place) -> None:
    """So that a day can be dropped and indexed on its own; the columns take vectors of the space's length."""
    with PostgresStore(postgres.address) as store, psycopg.connect(postgres.address, autocommit=True) as db:
        store.add([sample_row(0), sample_row(1, capture_ns=START_NS + DAY_NS), sample_row(2, space=OTHER_SPACE)])
        store.finish_day(store.days()[0])
        indexes = (
            "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'reid_gallery' AND indexdef LIKE '%hnsw%'"
        )
        [(table, index)] = db.execute(indexes).fetchall()
        assert table == f"descriptor_{SPACE}_20270115"
        assert "halfvec_cosine_ops" in index
        # The planner takes the index of a table only once it knows how large that is.
        assert db.execute("SELECT reltuples FROM pg_class WHERE relname = %s", (table,)).fetchone() == (1.0,)
        names = [part.day for part in store.days() if part.space == SPACE]
        assert names == ["2027-01-15", "2027-01-16"]


def test_a_server_that_would_keep_erased_vectors_is_refused(postgres: Place) -> None:
    """Recycled files of the write-ahead log are renamed, not removed, with all that is in them."""
    with psycopg.connect(postgres.address, autocommit=True) as db:
        db.execute("ALTER ROLE postgres SET wal_recycle = on")
        with pytest.raises(GalleryError, match=r"expected wal_recycle = off, found on; run ALTER SYSTEM"):
            PostgresStore(postgres.address)
        db.execute("ALTER ROLE postgres RESET wal_recycle")


def test_no_sample_of_a_vector_goes_into_the_statistics(postgres: Place) -> None:
    """ANALYZE keeps values of columns in a table of its own, where an erasure would not find them."""
    with PostgresStore(postgres.address) as store, psycopg.connect(postgres.address, autocommit=True) as db:
        store.add([sample_row(seq, who=seq % 3) for seq in range(50)])
        db.execute("ANALYZE")
        query = "SELECT DISTINCT attname FROM pg_stats WHERE schemaname = 'reid_gallery'"
        columns = {name for (name,) in db.execute(query)}
        assert "track" in columns
        assert not columns & {"vector", "data"}


def test_a_lost_connection_is_one_sentence_and_made_again(postgres: Place) -> None:
    """The batch that failed is given again, and each row is there once."""
    with PostgresStore(postgres.address) as store, psycopg.connect(postgres.address, autocommit=True) as db:
        store.add([sample_row(0)])
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        with pytest.raises(GalleryError, match=r"PostgreSQL refused the gallery: .*try again"):
            store.add([sample_row(0), sample_row(1)])
        assert store.add([sample_row(0), sample_row(1)]) == 1


def test_a_server_that_is_not_there_is_one_sentence(postgres: Place) -> None:
    """With the reason that the driver gives."""
    with pytest.raises(GalleryError, match=r"PostgreSQL refused the gallery: .*127.0.0.1"):
        PostgresStore("postgresql://gallery@127.0.0.1:1/gallery")


def test_an_interrupted_erasure_is_finished_by_the_next(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows were deleted, but their bytes were still in the files."""
    from edge_runtime.gallery import postgres_store
    from edge_runtime.gallery.erasure import find_remains

    def fail(db: object) -> None:
        raise psycopg.OperationalError("the connection was lost")

    rows = [sample_row(seq, who=seq) for seq in range(20)]
    with PostgresStore(postgres.address) as store:
        store.add(rows)
        monkeypatch.setattr(postgres_store, "_finish_erasures", fail)
        with pytest.raises(GalleryError, match="connection was lost"):
            store.erase(Where(tracks=(track_id(3),)))
        monkeypatch.undo()
        assert find_remains([postgres.files], [rows[3].vector]) != []
        assert store.erase(Where(tracks=(track_id(3),))).rows == 0
        assert find_remains([postgres.files], [rows[3].vector]) == []
        assert {match.row.seq for match in store.search(vector_of(3), where=Where(space=SPACE), count=99)} == (
            set(range(20)) - {3}
        )


def test_a_name_that_is_no_space_never_reaches_the_server(postgres: Place) -> None:
    """Names of tables are made of it."""
    with (
        PostgresStore(postgres.address) as store,
        pytest.raises(GalleryError, match="expected a space of 16 hexadecimal digits"),
    ):
        store.add([sample_row(0, space='x"; DROP TABLE y')])
