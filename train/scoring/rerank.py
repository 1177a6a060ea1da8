"""k-reciprocal re-ranking whose memory grows with images times neighbours, not with images squared.

Source: Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, and its public code,
whose conventions are kept: distances are squared, then divided by each row's largest (the code divides columns and
transposes); k1 / 2 is rounded; an image is its own first neighbour.

Differs: the code holds several (N, N) matrices. Here the k1 + 1 nearest neighbours are found in blocks of rows, the
encodings are sparse, and the result comes in blocks of queries. The figures are the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_runtime.contract.errors import ConfigError, DataError
from train.scoring.distances import check_descriptors, row_slices, squared_lengths

FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Reranking:
    """Constants of the method, by their names in the paper.

    lambda_: weight of the original distance in the result. passed: which distance is passed to the public code, which
    squares it. Its authors pass Euclidean distances; Torchreid's command line passes squared ones, so that the distance
    enters to the fourth power; `cosine` is 1 - cosine, for rows of unit length.
    """

    k1: int = 20
    k2: int = 6
    lambda_: float = 0.3
    passed: Literal["euclidean", "squared_euclidean", "cosine"] = "euclidean"

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.lambda_ <= 1:
            raise ConfigError(
                f"re-ranking takes k1 and k2 of at least 1 and a lambda from 0 to 1, "
                f"found k1 {self.k1}, k2 {self.k2}, lambda {self.lambda_}"
            )


@dataclass(frozen=True)
class _Sparse:
    """A matrix by its rows: row i has values[starts[i]:starts[i + 1]] in those columns, ascending."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float64]

    def row(self, number: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        own = slice(self.starts[number], self.starts[number + 1])
        return self.columns[own], self.values[own]


@dataclass(frozen=True)
class _Images:
    """All images, queries first, with the squared lengths that their distances need."""

    rows: FloatArray
    lengths: FloatArray
    passed: str

    def squared_distances(self, first: slice, second: slice | NDArray[np.int32]) -> FloatArray:
        """The squares that the public code computes of the distances it is passed, between two selections of images."""
        distances = self.rows[first] @ self.rows[second].T
        if self.passed == "cosine":
            return np.asarray(np.square(1 - distances))
        distances *= -2
        distances += self.lengths[first][:, None]
        distances += self.lengths[second]
        np.maximum(distances, 0, out=distances)
        return np.asarray(np.square(distances) if self.passed == "squared_euclidean" else distances)


def rerank_blocks(
    queries: FloatArray, gallery: FloatArray, *, settings: Reranking = Reranking()
) -> Iterator[FloatArray]:
    """Re-ranked distances of a few queries at a time to the whole gallery, in the order of the queries: (B, G) each.

    queries: (Q, D), gallery: (G, D) without junk. Computed in the precision of the descriptors.

    Raises:
        DataError: see `train.scoring.distances.check_descriptors`, or all descriptors are the same.
    """
    check_descriptors(queries, gallery, distance="cosine" if settings.passed == "cosine" else "euclidean")
    rows = np.concatenate([queries, gallery])
    images = _Images(rows, squared_lengths(rows), settings.passed)
    neighbours, largest = _neighbours(images, count=max(settings.k1 + 1, settings.k2))
    half = round(settings.k1 / 2) + 1
    encodings = _encodings(images, neighbours[:, : settings.k1 + 1], half=half, largest=largest)
    if settings.k2 > 1:
        encodings = _averaged(encodings, neighbours[:, : settings.k2])
    return _blocks(images, encodings, largest=largest, queries=len(queries), lambda_=settings.lambda_)


def _neighbours(images: _Images, *, count: int) -> tuple[NDArray[np.int32], FloatArray]:
    """The nearest images of each, itself first: (N, count), and the largest squared distance of each row: (N,)."""
    total = len(images.rows)
    count = min(count, total)
    nearest, largest = np.empty((total, count), np.int32), np.empty(total, images.rows.dtype)
    slices = list(row_slices(total, columns=total))
    for own in tqdm(slices, desc="neighbours", unit="block", leave=False, disable=None):
        distances = images.squared_distances(own, slice(None))
        largest[own] = distances.max(axis=1)
        distances[
            np.arange(len(distances)), np.arange(own.start, own.stop)
        ] = -1  # an image comes before its duplicates
        found = np.argpartition(distances, count - 1, axis=1)[:, :count]
        order = np.argsort(np.take_along_axis(distances, found, axis=1), axis=1, kind="stable")
        nearest[own] = np.take_along_axis(found, order, axis=1)
    if (largest == 0).any():
        raise DataError("all descriptors are the same, so they cannot be ranked; the network is broken")
    return nearest, largest


def _encodings(images: _Images, neighbours: NDArray[np.int32], *, half: int, largest: FloatArray) -> _Sparse:
    """Each image as weights exp(-distance) of its k-reciprocal neighbours, which sum to one. Eq. (3), (4) and (7).

    half: how many neighbours of a neighbour may join.
    """
    nearer = neighbours[:, :half]
    is_reciprocal, is_reciprocal_nearer = _reciprocal(neighbours), _reciprocal(nearer)
    is_member = np.zeros(len(neighbours), np.bool_)
    encodings = []
    for image in range(len(neighbours)):
        reciprocal = neighbours[image, is_reciprocal[image]]
        candidates, joins = nearer[reciprocal], is_reciprocal_nearer[reciprocal]
        is_member[reciprocal] = True
        shared = (is_member[candidates] & joins).sum(axis=1)
        is_member[reciprocal] = False
        joins &= (shared > 2 / 3 * joins.sum(axis=1))[:, None]
        columns = np.unique(np.concatenate([reciprocal, candidates[joins]]))
        distances = images.squared_distances(slice(image, image + 1), columns)[0] / largest[image]
        weights = np.exp(-distances.astype(np.float64))
        encodings.append((columns, weights / weights.sum()))
    return _joined(encodings)


def _reciprocal(neighbours: NDArray[np.int32]) -> NDArray[np.bool_]:
    """(N, K): whether an image is among the neighbours of its neighbour."""
    total, count = neighbours.shape
    found = np.empty((total, count), np.bool_)
    for own in row_slices(total, columns=count**2):
        back = neighbours[neighbours[own]]  # (B, K, K)
        found[own] = (back == np.arange(own.start, own.stop)[:, None, None]).any(axis=2)
    return found


def _averaged(encodings: _Sparse, neighbours: NDArray[np.int32]) -> _Sparse:
    """Each encoding as the mean over the image's nearest neighbours, itself included. Eq. (11)."""
    averaged = []
    for nearest in neighbours:
        rows = [encodings.row(image) for image in nearest]
        columns, place = np.unique(np.concatenate([columns for columns, _ in rows]), return_inverse=True)
        weights = np.bincount(place, weights=np.concatenate([values for _, values in rows]))
        averaged.append((columns, weights / len(nearest)))
    return _joined(averaged)


def _joined(rows: list[tuple[NDArray[np.int32], NDArray[np.float64]]]) -> _Sparse:
    lengths = [len(columns) for columns, _ in rows]
    columns, values = zip(*rows, strict=True)
    return _Sparse(np.concatenate([[0], np.cumsum(lengths)]), np.concatenate(columns), np.concatenate(values))


def _transposed(matrix: _Sparse, *, first_row: int, columns: int) -> _Sparse:
    """The rows from `first_row` on, as a matrix by its columns; rows are numbered from 0 again."""
    own = slice(matrix.starts[first_row], None)
    rows = np.repeat(np.arange(len(matrix.starts) - 1 - first_row, dtype=np.int32), np.diff(matrix.starts[first_row:]))
    order = np.argsort(matrix.columns[own], kind="stable")
    counts = np.bincount(matrix.columns[own], minlength=columns)
    return _Sparse(np.concatenate([[0], np.cumsum(counts)]), rows[order], matrix.values[own][order])


def _blocks(
    images: _Images, encodings: _Sparse, *, largest: FloatArray, queries: int, lambda_: float
) -> Iterator[FloatArray]:
    """The original and the Jaccard distance, weighted. Eq. (12)."""
    total = len(images.rows)
    holders = _transposed(encodings, first_row=queries, columns=total)
    for own in row_slices(queries, columns=total - queries):
        original = images.squared_distances(own, slice(queries, None)) / largest[own, None]
        for row, query in zip(original, range(own.start, own.stop), strict=True):
            jaccard = _jaccard(*encodings.row(query), holders=holders, images=total - queries)
            row[:] = lambda_ * row + (1 - lambda_) * jaccard
        yield original


def _jaccard(
    columns: NDArray[np.int32], values: NDArray[np.float64], *, holders: _Sparse, images: int
) -> NDArray[np.float64]:
    """Jaccard distance of one encoding to those of all gallery images: (images,). Eq. (10).

    Encodings sum to one, so the sum of their larger weights is two less the sum of their smaller ones.
    """
    parts = [holders.row(column) for column in columns]
    weights = np.concatenate([held for _, held in parts])
    own = np.repeat(values, [len(held) for _, held in parts])
    overlap = np.bincount(
        np.concatenate([holding for holding, _ in parts]), weights=np.minimum(own, weights), minlength=images
    )
    return np.asarray(1 - overlap / (2 - overlap))
