"""Put vectors into another store, delete the first ones, or compact it; run by remains.py in an environment of its own.

example: python benchmarks/peers/stores_worker.py lancedb delete /tmp/folder vectors.npy 10
"""

import sqlite3
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_NAME = "people"


def _sqlite(folder: Path, pragmas: str) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "people.sqlite")
    connection.executescript(f"PRAGMA journal_mode=WAL; {pragmas}")
    return connection


def _delete_in_sqlite(folder: Path, vectors: Vectors, *, count: int, pragmas: str) -> None:
    connection = _sqlite(folder, pragmas)
    connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, vector BLOB)")
    rows = ((number, vector.tobytes()) for number, vector in enumerate(vectors))
    connection.executemany("INSERT INTO people VALUES (?, ?)", rows)
    connection.commit()
    connection.execute("DELETE FROM people WHERE id < ?", (count,))
    connection.commit()
    connection.close()


def _compact_sqlite(folder: Path, *, pragmas: str) -> None:
    connection = _sqlite(folder, pragmas)
    connection.execute("VACUUM")
    connection.close()


def _delete_in_duckdb(folder: Path, vectors: Vectors, *, count: int) -> None:
    import duckdb

    connection = duckdb.connect(str(folder / "people.duckdb"))
    connection.execute(f"CREATE TABLE people (id INTEGER, vector FLOAT[{vectors.shape[1]}])")
    connection.executemany(
        "INSERT INTO people VALUES (?, ?)", [[number, vector.tolist()] for number, vector in enumerate(vectors)]
    )
    connection.execute("DELETE FROM people WHERE id < ?", [count])
    connection.close()


def _compact_duckdb(folder: Path) -> None:
    import duckdb

    connection = duckdb.connect(str(folder / "people.duckdb"))
    connection.execute("CHECKPOINT")
    connection.close()


def _delete_in_faiss(folder: Path, vectors: Vectors, *, count: int) -> None:
    import faiss

    index = faiss.IndexIDMap(faiss.IndexFlatIP(vectors.shape[1]))
    index.add_with_ids(vectors, np.arange(len(vectors)))
    index.remove_ids(np.arange(count))
    faiss.write_index(index, str(folder / "people.faiss"))


def _delete_in_hnswlib(folder: Path, vectors: Vectors, *, count: int) -> None:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors))
    index.add_items(vectors, np.arange(len(vectors)))
    for number in range(count):
        index.mark_deleted(number)
    index.save_index(str(folder / "people.hnsw"))


def _delete_in_chroma(folder: Path, vectors: Vectors, *, count: int) -> None:
    import chromadb

    people = chromadb.PersistentClient(str(folder)).create_collection(_NAME)
    people.add(ids=[str(number) for number in range(len(vectors))], embeddings=vectors)
    people.delete(ids=[str(number) for number in range(count)])


def _delete_in_lancedb(folder: Path, vectors: Vectors, *, count: int) -> None:
    import lancedb

    rows = [{"id": number, "vector": vector} for number, vector in enumerate(vectors)]
    lancedb.connect(folder).create_table(_NAME, rows).delete(f"id < {count}")


def _compact_lancedb(folder: Path) -> None:
    from datetime import timedelta

    import lancedb

    lancedb.connect(folder).open_table(_NAME).optimize(cleanup_older_than=timedelta(0))


def _delete_in_qdrant(folder: Path, vectors: Vectors, *, count: int) -> None:
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder))
    size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.DOT)
    client.create_collection(_NAME, vectors_config=size)
    points = [models.PointStruct(id=number, vector=vector.tolist()) for number, vector in enumerate(vectors)]
    client.upsert(_NAME, points)
    client.delete(_NAME, models.PointIdsList(points=list(range(count))))
    client.close()


_OFF, _ON = "PRAGMA secure_delete=OFF;", "PRAGMA secure_delete=ON;"  # off is SQLite's default, on is Debian's
_STORES: dict[str, tuple[str | None, Callable[..., None], Callable[[Path], None] | None]] = {
    "sqlite": (None, partial(_delete_in_sqlite, pragmas=_OFF), partial(_compact_sqlite, pragmas=_OFF)),
    "sqlite, secure_delete": (
        None,
        partial(_delete_in_sqlite, pragmas=_ON),
        partial(_compact_sqlite, pragmas=_ON),
    ),
    "duckdb": ("duckdb", _delete_in_duckdb, _compact_duckdb),
    "faiss, flat": ("faiss-cpu", _delete_in_faiss, None),
    "hnswlib": ("hnswlib", _delete_in_hnswlib, None),
    "chroma": ("chromadb", _delete_in_chroma, None),
    "lancedb": ("lancedb", _delete_in_lancedb, _compact_lancedb),
    "qdrant, local": ("qdrant-client", _delete_in_qdrant, None),
}
"""Distribution (None: part of Python), what stores and deletes, and the store's own compaction, if it has one."""


def main(arguments: list[str]) -> int:
    """Do one step and print the store's version. Returns the exit code: 3 where the store has no such step."""
    store, step, folder, *rest = arguments
    distribution, delete, compact = _STORES[store]
    if step == "delete":
        vectors, count = rest
        delete(Path(folder), np.load(vectors), count=int(count))
    elif compact is None:
        return 3
    else:
        compact(Path(folder))
    print(version(distribution) if distribution else sqlite3.sqlite_version)
    return 0


def store_names() -> tuple[str, ...]:
    """The stores that can be tried."""
    return tuple(_STORES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
