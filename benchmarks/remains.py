"""What is left in a store's files of vectors that were deleted from it: our gallery and others; write a record."""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.gallery_store import LENGTH, batches_of_rows, people_of
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.peers.stores_worker import store_names
from edge_runtime.contract.descriptor import EncodedDescriptor
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.gallery.descriptor_store import Row, Where
from edge_runtime.gallery.sqlite_store import SqliteStore

_WORKER = Path(__file__).resolve().parent / "peers/stores_worker.py"
_ROWS = 2_000
_DELETED = 20
_NO_STEP = 3
_PART = slice(200, 216)  # numbers of a vector that are looked for
_EXAMPLES = """\
example:
  python benchmarks/remains.py --stores-python /tmp/stores/bin/python

The other stores need an environment of their own:
  python -m venv /tmp/stores
  /tmp/stores/bin/pip install numpy duckdb faiss-cpu hnswlib chromadb lancedb qdrant-client
"""


@dataclass(frozen=True)
class StoreRemains:
    """Of how many vectors bytes were found in the files: of those that stayed, as many, and of those that were deleted.

    Where none of the first is found, the store writes vectors in a form that the search does not know, and nothing can
    be told of the second. compacted: deleted ones after the store's own compaction; None where it has none.
    """

    store: str
    version: str
    searched: int
    kept_found: int
    deleted_found: int
    compacted: int | None

    @property
    def verdict(self) -> str:
        """One sentence."""
        if not self.kept_found:
            return "cannot be told: vectors that stayed are not found either"
        after = "" if self.compacted is None else f", {self.compacted} after its own compaction"
        return f"{self.deleted_found} of {self.searched} deleted vectors found{after}"


def main(argv: list[str] | None = None) -> int:
    """Print a line for each store and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    rows = [row for batch in batches_of_rows(people_of(_ROWS, draws=1), _ROWS) for row in batch]
    found = [_try_ours(rows)]
    print(_line(found[0]), flush=True)
    for store in arguments.stores:
        found.append(_try_other(store, rows, python=arguments.stores_python))
        print(_line(found[-1]), flush=True)
    record = record_head("remains") | {"rows": len(rows), "stores": [asdict(one) for one in found]}
    output = arguments.output or record_folder() / "remains.json"
    write_record(output, record)
    print(f"record: {output}")
    return 0


def _try_ours(rows: list[Row]) -> StoreRemains:
    """Our SQLite store, whose files are searched while it is open."""
    with tempfile.TemporaryDirectory() as name, SqliteStore(Path(name)) as store:
        store.add(rows)
        store.erase(Where(tracks=tuple(row.track for row in rows[:_DELETED])))
        deleted, kept = ([_forms(row.vector) for row in some] for some in (rows[:_DELETED], rows[-_DELETED:]))
        folder = Path(name)
        return StoreRemains(
            "ours, SQLite", "this commit", _DELETED, _count_found(folder, kept), _count_found(folder, deleted), None
        )


def _try_other(store: str, rows: list[Row], *, python: Path) -> StoreRemains:
    """Another store; its files are searched after the process that wrote them has ended."""
    halves = np.frombuffer(b"".join(row.vector.data for row in rows), "<f2").reshape(len(rows), LENGTH)
    vectors = halves.astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    encoded = [EncodedDescriptor("f32", 1.0, LENGTH, vector.tobytes()) for vector in vectors]
    deleted, kept = ([_forms(one) for one in some] for some in (encoded[:_DELETED], encoded[-_DELETED:]))
    with tempfile.TemporaryDirectory() as name:
        file, folder = Path(name) / "vectors.npy", Path(name) / "store"
        np.save(file, vectors)
        folder.mkdir()
        version = _work(python, [store, "delete", str(folder), str(file), str(_DELETED)])
        kept_found, deleted_found = (_count_found(folder, some) for some in (kept, deleted))
        compacted = _work(python, [store, "compact", str(folder)])
        after = None if compacted is None else _count_found(folder, deleted)
    return StoreRemains(store, version or "", _DELETED, kept_found, deleted_found, after)


def _work(python: Path, arguments: list[str]) -> str | None:
    """Run one step. Returns the store's version; None where it has no such step.

    Raises:
        ConfigError: the step failed.
    """
    ended = subprocess.run([python, _WORKER, *arguments], capture_output=True, text=True)
    if ended.returncode == _NO_STEP:
        return None
    if ended.returncode:
        last = ended.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ConfigError(f"{arguments[0]} failed in {python}: {last[0]}; see --help for its environment")
    return ended.stdout.strip().splitlines()[-1]


def _forms(vector: EncodedDescriptor) -> list[bytes]:
    """Part of a vector in the forms that a file may hold: as it came, and as numbers of 32 and 64 bits."""
    numbers = np.frombuffer(vector.data, {"f16": "<f2", "f32": "<f4"}[vector.codec])[_PART]
    return [numbers.tobytes(), numbers.astype("<f4").tobytes(), numbers.astype("<f8").tobytes()]


def _count_found(folder: Path, vectors: list[list[bytes]]) -> int:
    """How many vectors have a form that any file holds."""
    files = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    return sum(any(form in file for form in forms for file in files) for forms in vectors)


def _line(one: StoreRemains) -> str:
    return f"{one.store} {one.version}: {one.verdict}"


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--stores-python /tmp/stores/bin/python",
        next_step="edge_runtime/gallery/README.md, on erasing",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "--stores-python", type=Path, default=Path(sys.executable), help="Python with the other stores (default: this)"
    )
    parser.add_argument(
        "--stores", nargs="*", choices=store_names(), default=list(store_names()), help="which (default: all)"
    )
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
