"""Search over all spaces that bridges join: one order over native and moved rows, by cosines that say as much.

A query is carried into the newest space; rows of older ones are moved when they are found. In the old space they are
found by the query pulled back, whose order differs a little from that of the moved rows, so more of them are looked at.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import decode, normalise
from edge_runtime.gallery.bridge import Bridge, Bridges, CosineLine, move_along
from edge_runtime.gallery.descriptor_store import Match, Store, Where

_LOOKED_AT = 8  # times as many as asked for, and at least
_LEAST_LOOKED_AT = 200


def search_across(
    store: Store, query: NDArray[np.float32], *, bridges: Bridges, where: Where, count: int, now_ns: int
) -> list[Match]:
    """The rows most like a query, best first, also those of spaces that bridges lead from and to; see `Store.search`.

    The cosine of a moved row is one that two native descriptors would have.
    """
    space = where.space or ""
    path = bridges.path(space, now_ns)
    newest = path[-1].manifest.to_space if path else space
    paths = bridges.into(newest, now_ns)
    if not paths:
        return store.search(query, where=where, count=count)
    moved = move_along(path, normalise(query[None]))[0]
    found = [
        replace(match, cosine=_calibrated(match.cosine, [one.manifest.found.across for one in path]))
        for match in store.search(moved, where=replace(where, space=newest), count=count)
    ]
    for start, steps in paths.items():
        found += _search_old(
            store, moved, path=steps, where=replace(where, space=start), count=count, is_moved=bool(path)
        )
    return sorted(found, key=lambda match: -match.cosine)[:count]


def _search_old(
    store: Store, query: NDArray[np.float32], *, path: list[Bridge], where: Where, count: int, is_moved: bool
) -> list[Match]:
    pulled = query
    for bridge in reversed(path):
        pulled = bridge.map.pull_back(pulled)
    matches = store.search(pulled, where=where, count=max(_LEAST_LOOKED_AT, _LOOKED_AT * count))
    if not matches:
        return []
    vectors = np.stack([decode(match.row.vector) for match in matches])
    lines = [one.manifest.found.moved if is_moved else one.manifest.found.across for one in path]
    cosines = move_along(path, vectors) @ query
    return [
        replace(match, cosine=_calibrated(float(cosine), lines)) for match, cosine in zip(matches, cosines, strict=True)
    ]


def _calibrated(cosine: float, lines: Sequence[CosineLine]) -> float:
    for line in lines:
        cosine = line.slope * cosine + line.offset
    return cosine
