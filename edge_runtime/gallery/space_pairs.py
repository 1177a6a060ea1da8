"""Pairs out of a gallery's store: moments that one node described in two spaces."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import decode
from edge_runtime.gallery.descriptor_store import Row, Store, Where

_MOST_PAIRS = 20_000
_TRACKS_AT_ONCE = 500
_Moment = tuple[str, str, str, int]


@dataclass(frozen=True)
class SpacePairs:
    """Row i of `old` (P, D) and of `new` (P, E) are of one crop; unit rows. tracks: (P,) numbers from 0."""

    from_space: str
    to_space: str
    old: NDArray[np.float32]
    new: NDArray[np.float32]
    tracks: NDArray[np.intp]


def read_pairs(store: Store, from_space: str, *, to_space: str) -> SpacePairs:
    """The pairs of two spaces, at most the latest 20,000; none where no node describes in both.

    A pair shares node, boot, track and time of the capture.

    Raises:
        GalleryError: the store cannot be read.
    """
    few, many = sorted((from_space, to_space), key=lambda space: store.digest(Where(space=space, kind="crop")).rows)
    of_few = {_moment(row): row for row in store.rows(Where(space=few, kind="crop"))}
    found = [
        (of_few[_moment(row)], row)
        for row in _rows_of_tracks(store, many, tracks={row.track for row in of_few.values()})
        if _moment(row) in of_few
    ]
    found = sorted(found, key=lambda pair: (pair[0].capture_ns, pair[0].track))[-_MOST_PAIRS:]
    side = 0 if few == from_space else 1
    names = {track: number for number, track in enumerate(dict.fromkeys(one.track for one, _ in found))}
    return SpacePairs(
        from_space,
        to_space,
        _vectors(pair[side] for pair in found),
        _vectors(pair[1 - side] for pair in found),
        np.array([names[one.track] for one, _ in found], np.intp),
    )


def _rows_of_tracks(store: Store, space: str, *, tracks: Iterable[str]) -> Iterator[Row]:
    names = sorted(tracks)
    for start in range(0, len(names), _TRACKS_AT_ONCE):
        some = tuple(names[start : start + _TRACKS_AT_ONCE])
        yield from store.rows(Where(space=space, kind="crop", tracks=some))


def _moment(row: Row) -> _Moment:
    return row.node, row.boot, row.track, row.capture_ns


def _vectors(rows: Iterable[Row]) -> NDArray[np.float32]:
    vectors = [decode(row.vector) for row in rows]
    return np.stack(vectors) if vectors else np.zeros((0, 1), np.float32)
