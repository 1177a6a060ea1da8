"""The embedded store: a folder with one SQLite file for each space and day, and exact search in memory."""

import fcntl
import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.columns import DigestBuilder, check_lengths, check_query
from edge_runtime.gallery.descriptor_store import ErasedKey, Key, Match, Row, RowDigest, StoredDay, Where
from edge_runtime.gallery.search import Best, BlockName, Scan, SpaceDay, VectorMemory
from edge_runtime.gallery.sqlite_file import PAGE_ROWS, SqliteFile, remove_files

_OPEN_FILES = 8
_DAY_FILE = "????-??-??.sqlite"


class SqliteStore:
    """A `Store` in a folder that one process may use at a time.

    memory_bytes: how much the vectors kept for searching may take; a million vectors of 512 numbers take 1.31 GB.
    busy_timeout_s: how long to wait for another program (a backup, a shell) that holds a file.

    Raises:
        GalleryError: the folder cannot be written, or another process uses it.
    """

    def __init__(self, folder: Path, *, memory_bytes: int = 1_320_000_000, busy_timeout_s: float = 5.0) -> None:
        self._folder, self._busy_timeout_s = folder, busy_timeout_s
        self._lock = threading.RLock()
        self._files: OrderedDict[SpaceDay, SqliteFile] = OrderedDict()
        self._lengths: dict[str, int] = {}
        self._memory = VectorMemory(memory_bytes)
        self._held = _hold(folder)

    def add(self, rows: Sequence[Row]) -> int:
        """See `Store`. Each space and day is one transaction; one that fails leaves the earlier ones stored."""
        parts = defaultdict[SpaceDay, list[Row]](list)
        for row in rows:
            parts[row.space, row.day].append(row)
        with self._lock:
            for space in {row.space for row in rows}:
                self._learn_length(space)
            lengths = dict(self._lengths)
            check_lengths(rows, lengths)
            added = sum(self._file(part).add(some) for part, some in parts.items())
            self._lengths = lengths
            return added

    def days(self) -> list[StoredDay]:
        """See `Store`."""
        return [
            StoredDay(path.parent.name, path.stem, sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")))
            for path in sorted(self._folder.glob(f"*/{_DAY_FILE}"))
        ]

    def digest(self, where: Where) -> RowDigest:
        """See `Store`."""
        counter = DigestBuilder()
        with self._lock:
            for space, day in self._names(where):
                counter.add(space, day, keys=self._file((space, day)).keys(where))
        return counter.result()

    def rows(self, where: Where) -> Iterator[Row]:
        """See `Store`. Other calls may come in between; a row they add or erase may or may not be seen."""
        for part in self._names(where):
            page, after = None, Key("", "", -1)
            while page is None or len(page) == PAGE_ROWS:
                with self._lock:
                    page = self._file(part).page(where, after)
                yield from page
                after = page[-1].key if page else after

    def search(self, query: NDArray[np.float32], *, where: Where, count: int) -> list[Match]:
        """See `Store`."""
        return self._search(query, where=where, best=Best(count=count, at_least=-2.0))

    def find_like(self, query: NDArray[np.float32], *, where: Where, at_least: float) -> list[Match]:
        """See `Store`."""
        return self._search(query, where=where, best=Best(count=None, at_least=at_least))

    def assign(self, people: Mapping[str, str], *, where: Where) -> int:
        """See `Store`."""
        with self._lock:
            return sum(self._file(part).assign(people, where) for part in self._names(where))

    def erase(self, where: Where) -> RowDigest:
        """See `Store`."""
        counter = DigestBuilder()
        with self._lock:
            for space, day in self._names(where):
                self._erase_part((space, day), where=where, counter=counter)
        return counter.result()

    def drop_expired(self, now_ns: int) -> RowDigest:
        """See `Store`."""
        counter, expired = DigestBuilder(), Where(expired_by_ns=now_ns)
        with self._lock:
            for space, day in self._names(expired):
                if self._file((space, day)).is_over(now_ns):
                    counter.add(space, day, keys=self._file((space, day)).keys(expired))
                    self._drop((space, day))
                else:
                    self._erase_part((space, day), where=expired, counter=counter)
                    self._file((space, day)).forget_erased(now_ns)
        return counter.result()

    def erased_keys(self, part: StoredDay) -> list[ErasedKey]:
        """See `Store`."""
        with self._lock:
            return self._file((part.space, part.day)).erased_keys()

    def add_erased_keys(self, part: StoredDay, keys: Sequence[ErasedKey]) -> None:
        """See `Store`."""
        with self._lock:
            self._file((part.space, part.day)).add_erased_keys(keys)

    def finish_day(self, part: StoredDay) -> None:
        """See `Store`. Here it only empties the journal."""
        with self._lock:
            self._file((part.space, part.day)).checkpoint()

    def close(self) -> None:
        """See `Store`."""
        with self._lock:
            while self._files:
                self._files.popitem()[1].close()
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def __enter__(self) -> "SqliteStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _search(self, query: NDArray[np.float32], *, where: Where, best: Best) -> list[Match]:
        with self._lock:
            self._learn_length(where.space or "")
            unit = check_query(query, where=where, length=self._lengths.get(where.space or ""))
            names = self._names(where)
            used, scans = set[BlockName](), list[Scan]()
            for number, part in enumerate(names):
                file = self._file(part)
                has_more = where.person is not None or where.tracks is not None or where.expired_by_ns is not None
                ids = np.array(file.ids(where), np.int64) if has_more else None
                for block in self._memory.blocks(part, file.load, last_id=file.last_id(), used=used):
                    scans.append(Scan(block, unit, rows=block.select(where, ids), part=number))
                    scans[-1].compare_first(best)
                    if len(scans) > len(used):  # the block does not stay in memory
                        scans.pop().compare_rest(best)
            for scan in scans:
                scan.compare_rest(best)
            return self._matches(names, best)

    def _matches(self, names: list[SpaceDay], best: Best) -> list[Match]:
        found: dict[tuple[int, int], Row] = {}
        for number in set(best.parts.tolist()):
            ids = best.ids[best.parts == number].tolist()
            rows = self._file(names[number]).rows_of(ids)
            found |= {(number, one): row for one, row in rows.items()}
        chosen = zip(best.parts.tolist(), best.ids.tolist(), best.cosines.tolist(), strict=True)
        return [Match(found[part, one], cosine) for part, one, cosine in chosen]

    def _erase_part(self, part: SpaceDay, *, where: Where, counter: DigestBuilder) -> None:
        file, before = self._file(part), counter.result().rows
        counter.add(*part, keys=file.keys(where))
        if counter.result().rows > before:
            self._memory.forget(part)
            file.delete(where)
        file.checkpoint()  # always, so that asking again finishes an erasure that ended in an error

    def _drop(self, part: SpaceDay) -> None:
        self._memory.forget(part)
        self._files.pop(part).close()
        remove_files(self._path(part))

    def _names(self, where: Where) -> list[SpaceDay]:
        return [(part.space, part.day) for part in self.days() if where.may_match(part.space, part.day)]

    def _learn_length(self, space: str) -> None:
        names = self._names(Where(space=space)) if space not in self._lengths else []
        for part in reversed(names):  # an old day may be damaged
            length = self._file(part).vector_length()
            if length is not None:
                self._lengths[space] = length
                return

    def _path(self, part: SpaceDay) -> Path:
        return self._folder / part[0] / f"{part[1]}.sqlite"

    def _file(self, part: SpaceDay) -> SqliteFile:
        file = self._files.pop(part, None)
        if file is None:
            path = self._path(part)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            file = SqliteFile(path, space=part[0], busy_timeout_s=self._busy_timeout_s)
        self._files[part] = file
        while len(self._files) > _OPEN_FILES:
            self._files.popitem(last=False)[1].close()
        return file


def _hold(folder: Path) -> int | None:
    """Take the folder for this process, for as long as the returned file is open."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise GalleryError(
            f"the gallery's folder {folder} cannot be used: {error.strerror}; name one that is writable"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise GalleryError(
            f"the gallery's folder {folder} is used by another process; stop that one first, or ask it"
        ) from error
    return held
