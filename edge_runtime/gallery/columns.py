"""The columns that both SQL stores share: a row as values and back, conditions as SQL, names of rows as a digest."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import Codec, EncodedDescriptor, normalise
from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Row, RowDigest, Where
from edge_runtime.link.messages import Quality

TEXT, INTEGER, REAL = "text", "bigint", "double precision"
COLUMNS = {
    "site": TEXT,
    "node": TEXT,
    "camera": TEXT,
    "boot": TEXT,
    "seq": INTEGER,
    "track": TEXT,
    "kind": TEXT,
    "capture_ns": INTEGER,
    "uncertainty_ns": INTEGER,
    "box": TEXT,
    "quality": TEXT,
    "dispersion": REAL,
    "crops": INTEGER,
    "precision": TEXT,
    "person": TEXT,
    "expires_at_ns": INTEGER,
    "codec": TEXT,
    "scale": REAL,
}
"""Name -> SQL type, in order; the bytes of the vector follow them. Box and quality are JSON."""
NAMES = ", ".join(COLUMNS)
NULLABLE = ("uncertainty_ns", "quality", "person")
_DTYPES: dict[str, str] = {"f32": "<f4", "f16": "<f2", "i8": "i1"}


def to_values(row: Row) -> tuple[Any, ...]:
    """The values of `COLUMNS`, then the bytes of the vector."""
    return (
        row.site,
        row.node,
        row.camera,
        row.boot,
        row.seq,
        row.track,
        row.kind,
        row.capture_ns,
        row.uncertainty_ns,
        json.dumps(row.box),
        row.quality and row.quality.model_dump_json(),
        row.dispersion,
        row.crops,
        row.precision,
        row.person,
        row.expires_at_ns,
        row.vector.codec,
        row.vector.scale,
        row.vector.data,
    )


def to_row(space: str, values: tuple[Any, ...]) -> Row:
    """The inverse of `to_values`."""
    (*head, box, quality, dispersion, crops, precision, person, expires_at_ns, codec, scale, data) = values
    site, node, camera, boot, seq, track, kind, capture_ns, uncertainty_ns = head
    length = len(data) // np.dtype(_DTYPES[codec]).itemsize
    return Row(
        space=space,
        site=site,
        node=node,
        camera=camera,
        boot=boot,
        seq=seq,
        track=track,
        kind=kind,
        capture_ns=capture_ns,
        uncertainty_ns=uncertainty_ns,
        box=tuple(json.loads(box)),
        quality=None if quality is None else Quality.model_validate_json(quality),
        dispersion=dispersion,
        crops=crops,
        precision=precision,
        vector=EncodedDescriptor(codec, scale, length, bytes(data)),
        person=person,
        expires_at_ns=expires_at_ns,
    )


def unit_vectors(codecs: list[Codec], data: list[bytes]) -> NDArray[np.float32]:
    """Decode vectors of one length and scale them to length 1, which makes the codec's scale needless. (N, D)."""
    if len(set(codecs)) == 1:
        numbers = np.frombuffer(b"".join(data), _DTYPES[codecs[0]]).reshape(len(data), -1)
    else:
        numbers = np.stack([np.frombuffer(one, _DTYPES[codec]) for codec, one in zip(codecs, data, strict=True)])
    return normalise(np.asarray(numbers, np.float32))


def make_conditions(where: Where, *, mark: str) -> tuple[str, list[Any]]:
    """SQL of the conditions within one space, and its parameters. mark: what stands for one, `?` or `%s`."""
    terms, values = ["1 = 1"], list[Any]()
    for term, value in (
        ("capture_ns >=", where.since_ns),
        ("capture_ns <", where.until_ns),
        ("kind =", where.kind),
        ("person =", where.person),
        ("expires_at_ns <=", where.expired_by_ns),
    ):
        if value is not None:
            terms.append(f"{term} {mark}")
            values.append(value)
    if where.tracks is not None:
        terms.append(f"track IN ({', '.join([mark] * len(where.tracks))})" if where.tracks else "1 = 0")
        values += where.tracks
    if where.cameras is not None:
        camera = f"({mark}, {mark}, {mark})"
        listed = f"(site, node, camera) IN (VALUES {', '.join([camera] * len(where.cameras))})"
        terms.append(listed if where.cameras else "1 = 0")
        values += [name for one in where.cameras for name in one]
    return " AND ".join(terms), values


class DigestBuilder:
    """Counts rows and hashes their names, given in the order of space, day, node, boot and seq."""

    def __init__(self) -> None:
        self._rows, self._hash = 0, hashlib.sha256()

    def add(self, space: str, day: str, *, keys: Iterable[tuple[str, str, int]]) -> None:
        """Go on with the rows of one space and day."""
        for node, boot, seq in keys:
            self._rows += 1
            self._hash.update(f"{space}/{day}/{node}/{boot}/{seq}\n".encode())

    def result(self) -> RowDigest:
        """The result so far."""
        return RowDigest(self._rows, self._hash.hexdigest())


def check_query(query: NDArray[np.float32], *, where: Where, length: int | None) -> NDArray[np.float32]:
    """Scale a query to length 1. length: of the space's vectors, None if it has no row.

    Raises:
        GalleryError: no space is named, the query is no vector of it, or has no direction.
    """
    if where.space is None:
        raise GalleryError("expected a space to search in, found none: vectors of two spaces cannot be compared")
    if query.shape != (length or len(query),) or not np.isfinite(query).all() or not query.any():
        raise GalleryError(
            f"expected a query of {length} finite numbers, not all 0, for space {where.space}, found one of shape "
            f"{query.shape}"
        )
    unit: NDArray[np.float32] = normalise(query[None])[0]
    return unit


def check_lengths(rows: Iterable[Row], lengths: dict[str, int]) -> None:
    """Refuse a vector whose length is not its space's; `lengths` learns those of new spaces.

    Raises:
        GalleryError: the lengths differ.
    """
    for row in rows:
        expected = lengths.setdefault(row.space, row.vector.length)
        if row.vector.length != expected:
            raise GalleryError(
                f"expected {expected} numbers in a vector of space {row.space}, found {row.vector.length} in seq "
                f"{row.seq} of node {row.node!r}; check that node's model"
            )
