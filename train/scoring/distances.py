"""Distances between all queries and all gallery images, in blocks of rows, to bound the memory."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import cosine_distance
from edge_runtime.contract.errors import DataError

Distance = Literal["cosine", "euclidean"]

_BLOCK_ELEMENTS = 2**23
_BLOCK_ROWS = 256  # with fewer the matrix product reads the gallery too often: 66 rows took three times as long as 527
_UNIT_TOLERANCE = 1e-3


def distance_blocks(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], *, distance: Distance
) -> Iterator[NDArray[np.floating]]:
    """Distances of a few queries at a time to the whole gallery, in the order of the queries: (B, G) each.

    queries: (Q, D), gallery: (G, D); for `cosine` rows of unit length. `euclidean` gives squared distances, which
    rank in the same order. Inputs are checked at the call, before the first block is computed.

    Raises:
        DataError: see `check_descriptors`.
    """
    check_descriptors(queries, gallery, distance=distance)
    return _blocks(queries, gallery, distance=distance)


def _blocks(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], *, distance: Distance
) -> Iterator[NDArray[np.floating]]:
    lengths = squared_lengths(gallery)
    for rows in row_slices(len(queries), columns=len(gallery)):
        if distance == "cosine":
            yield cosine_distance(queries[rows], gallery)
        else:
            yield squared_euclidean(queries[rows], gallery, gallery_squared_lengths=lengths)


def row_slices(rows: int, *, columns: int) -> Iterator[slice]:
    """Slices of at least 256 rows that hold about eight million elements (32 MiB in float32) each."""
    step = max(_BLOCK_ROWS, _BLOCK_ELEMENTS // columns)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def squared_lengths(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    """Squared L2 length of each row (N, D), without a second (N, D) array."""
    return np.asarray(np.einsum("nd,nd->n", rows, rows))


def squared_euclidean(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], *, gallery_squared_lengths: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Squared Euclidean distances (Q, G) as a^2 + b^2 - 2ab; negative rounding errors are set to zero."""
    distances = queries @ gallery.T
    distances *= -2
    distances += squared_lengths(queries)[:, None]
    distances += gallery_squared_lengths
    return np.asarray(np.maximum(distances, 0, out=distances))


def check_descriptors(queries: NDArray[np.floating], gallery: NDArray[np.floating], *, distance: Distance) -> None:
    """Refuse descriptors whose distances are not defined.

    Raises:
        DataError: a side is empty or no matrix, lengths disagree, or a descriptor is not finite, all zeros, or for
            `cosine` not of unit length.
    """
    for name, rows in (("query", queries), ("gallery", gallery)):
        if rows.ndim != 2 or rows.size == 0:
            raise DataError(f"expected {name} descriptors as (images, length), both at least 1, found {rows.shape}")
        _check_rows(rows, name=name, distance=distance)
    if queries.shape[1] != gallery.shape[1]:
        raise DataError(
            f"query descriptors have {queries.shape[1]} numbers, gallery descriptors {gallery.shape[1]}; "
            "describe both with the same network"
        )


def _check_rows(rows: NDArray[np.floating], *, name: str, distance: Distance) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = squared_lengths(rows)
    _refuse(
        ~np.isfinite(lengths), name=name, fault="hold numbers that are not finite or too large; the network is broken"
    )
    if distance == "cosine":
        _refuse(
            lengths == 0,
            name=name,
            fault="are all zeros and have no direction; the network does not respond to the images",
        )
        fault = "are not of unit length, which cosine distance needs; normalise them first"
        _refuse(np.abs(lengths - 1) > _UNIT_TOLERANCE, name=name, fault=fault)


def _refuse(broken: NDArray[np.bool_], *, name: str, fault: str) -> None:
    if broken.any():
        count, first = int(broken.sum()), int(broken.argmax())
        raise DataError(f"{count} of {len(broken)} {name} descriptors (the first is number {first}) {fault}")
