"""Erasing on request or when time is over, the receipts of it, and the search for bytes that proves it."""

import contextlib
import datetime
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import EncodedDescriptor
from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.columns import unit_vectors
from edge_runtime.gallery.descriptor_store import RowDigest, Store, Where

_MOST_TRACKS = 10_000
_PIECE = 16  # bytes; a left-over of 31 bytes or more holds a whole piece
_ENOUGH_VALUES = 8  # different bytes in a piece; fewer may be anything, such as a run of zeros
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Receipt:
    """What was erased and when, how many rows, and the digest of their names (see `RowDigest`). Nothing of the vectors.

    previous: SHA-256 of the line before it in the log, so that no line can be changed or removed unseen.
    """

    what: dict[str, object]
    asked: str
    done: str | None
    rows: int
    digest: str
    previous: str


@dataclass(frozen=True)
class Remains:
    """A piece of an erased vector that was found in a file."""

    path: Path
    offset: int


class AuditLog:
    """A file of receipts, one JSON line each, that only grows. A line without `done` is an erasure that was begun."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, what: dict[str, object], *, asked: str, erased: RowDigest | None) -> Receipt:
        """Append a line; it is on the disk when this returns. erased: None before the erasure.

        Raises:
            GalleryError: the file cannot be written.
        """
        done = None if erased is None else _now()
        erased = erased or RowDigest(0, "")
        try:
            lines = self._lines()
            receipt = Receipt(what, asked, done, erased.rows, erased.digest, _digest(lines[-1] if lines else b""))
            file = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
            with open(file, "ab") as log:
                # A line that a killed process has left unfinished must not swallow this one.
                log.write(b"\n" if lines and not lines[-1].endswith(b"\n") else b"")
                log.write(json.dumps(asdict(receipt)).encode() + b"\n")
                log.flush()
                os.fsync(log.fileno())
        except OSError as error:
            raise GalleryError(
                f"the log of erasures {self._path} cannot be written: {error.strerror}; free some space, and ask again"
            ) from error
        return receipt

    def check(self) -> list[int]:
        """The numbers (from 1) of lines that do not follow from the one before, which was changed or is missing."""
        wrong, previous = [], _digest(b"")
        for number, line in enumerate(self._lines(), start=1):
            try:
                if json.loads(line)["previous"] != previous:
                    wrong.append(number)
            except (ValueError, KeyError, TypeError):
                wrong.append(number)
            previous = _digest(line)
        return wrong

    def _lines(self) -> list[bytes]:
        return self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []


def erase(store: Store, where: Where, *, log: AuditLog) -> Receipt:
    """Erase the rows that are meant, by time, camera, track or person.

    Raises:
        GalleryError: no condition is given, or the store or the log cannot be written; asking again is safe.
    """
    if where.is_everything():
        raise GalleryError("expected at least one condition (time, camera, track, person), found none; name one")
    what = {name: value for name, value in asdict(where).items() if value is not None}
    asked = log.write(what, asked=_now(), erased=None).asked
    return log.write(what, asked=asked, erased=store.erase(where))


def erase_like(
    store: Store, example: NDArray[np.float32], *, where: Where, at_least: float, log: AuditLog
) -> Receipt | None:
    """Erase every track with a row whose cosine with the example is `at_least`; None if there is no such row.

    example: (D,) float32. where: has a space, and may say more. The tracks go with all their rows in that space.

    Raises:
        GalleryError: too many tracks are like it, or the store or the log cannot be written; asking again is safe.
    """
    tracks = sorted({match.row.track for match in store.find_like(example, where=where, at_least=at_least)})
    if len(tracks) > _MOST_TRACKS:
        raise GalleryError(
            f"expected at most {_MOST_TRACKS} tracks like the example, found {len(tracks)} with a cosine of at least "
            f"{at_least}; raise it, or name a time or cameras"
        )
    if not tracks:
        return None
    what: dict[str, object] = {"space": where.space, "example_at_least": at_least, "tracks": len(tracks)}
    asked = log.write(what, asked=_now(), erased=None).asked
    return log.write(what, asked=asked, erased=store.erase(Where(space=where.space, tracks=tuple(tracks))))


def expire(store: Store, *, now_ns: int, log: AuditLog) -> Receipt | None:
    """Erase the rows whose time is over; None, and no line in the log, if there are none.

    Raises:
        GalleryError: the store or the log cannot be written; asking again is safe.
    """
    asked, erased = _now(), store.drop_expired(now_ns)
    return log.write({"expired_by_ns": now_ns}, asked=asked, erased=erased) if erased.rows else None


def find_remains(paths: Iterable[Path], vectors: Iterable[EncodedDescriptor]) -> list[Remains]:
    """Search files, and folders with all that is in them, for any piece of 31 bytes or more of some vectors.

    Each vector is searched as it came, and as the f16 numbers that PostgreSQL compares. Runs of few different bytes
    are left out: they may be anything.

    Raises:
        OSError: a file cannot be read.
    """
    pieces = {piece for vector in vectors for piece in _pieces(vector)}
    if not pieces:
        return []
    # Three bytes pick the places that are worth a look; numpy reads them at every offset at once.
    is_start = np.zeros(1 << 24, np.bool_)
    is_start[[int.from_bytes(piece[:3], "little") for piece in pieces]] = True
    found = list[Remains]()
    for file in (file for path in paths for file in _files(path)):
        with contextlib.suppress(FileNotFoundError):  # a running server has removed it since
            found += _search(file, pieces, is_start=is_start)
    return found


def _pieces(vector: EncodedDescriptor) -> Iterator[bytes]:
    half = unit_vectors([vector.codec], [vector.data]).astype("<f2").tobytes()
    for data in (vector.data, half):
        for start in range(0, len(data) - _PIECE + 1, _PIECE):
            piece = data[start : start + _PIECE]
            if len(set(piece)) >= _ENOUGH_VALUES:
                yield piece


def _files(path: Path) -> list[Path]:
    return sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]


def _search(path: Path, pieces: set[bytes], *, is_start: NDArray[np.bool_]) -> Iterator[Remains]:
    with path.open("rb") as file:
        at, kept = 0, b""
        while chunk := file.read(_CHUNK):
            data = kept + chunk
            numbers = np.frombuffer(data, np.uint8).astype(np.uint32)
            starts = numbers[:-2] | numbers[1:-1] << 8 | numbers[2:] << 16
            for offset in np.flatnonzero(is_start[starts]).tolist():
                if data[offset : offset + _PIECE] in pieces:
                    yield Remains(path, at + offset)
            kept = data[-(_PIECE - 1) :]
            at += len(data) - len(kept)


def _digest(line: bytes) -> str:
    return hashlib.sha256(line.rstrip(b"\n")).hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
