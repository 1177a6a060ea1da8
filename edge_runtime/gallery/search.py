"""Exact search in memory: which rows of some blocks are most like a query, without looking at every number of each.

A block holds each unit vector twice: whole, in 16-bit fixed point, and its first coordinates (the head) in a basis in
which they carry most of its length. By Cauchy and Schwarz

    cosine <= query_head . head + |query_rest| * |rest|

so that only rows whose bound reaches the best cosines found so far are compared in full. The answer is exact whatever
the basis; a poor one costs time.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.gallery.descriptor_store import Camera, Where

BLOCK_ROWS = 65_536
_HEAD = 64
_ONE = 32_767  # 1.0 in fixed point: off by 1.5e-5 at most, and numpy widens int16 ten times as fast as float16
_COMPARE_ROWS = 1_024  # how many rows are widened to float32 at a time
_ENOUGH_ROWS = 4_096  # to find a basis; fewer are compared in full at once
_ROUNDING = np.float32(1e-6)  # of squared lengths in float32
_SLACK = np.float32(1e-5)  # of cosines in float32

Rows = NDArray[np.intp] | slice


@dataclass(frozen=True)
class Loaded:
    """Rows as a file holds them. ids ascending; vectors: (N, D) float32 of length 1."""

    ids: NDArray[np.int64]
    capture_ns: NDArray[np.int64]
    is_track: NDArray[np.bool_]
    cameras: list[Camera]
    vectors: NDArray[np.float32]


class Basis:
    """The directions that carry most of the length of a space's vectors, found once there are enough of them."""

    def __init__(self) -> None:
        self.directions: NDArray[np.float32] | None = None
        """(D, min(64, D)), orthonormal columns."""

    def fit(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the directions; those of these vectors (N, D) if there were none yet."""
        if self.directions is None:
            _, directions = np.linalg.eigh(vectors.T @ vectors)
            self.directions = np.ascontiguousarray(directions[:, ::-1][:, :_HEAD], np.float32)
        return self.directions


class Best:
    """The matches found so far: at most `count` of them (None: all) of at least a cosine. `name` says of which block.

    floor: what a row must reach to be among them.
    """

    def __init__(self, *, count: int | None, at_least: float) -> None:
        self.count, self.floor = count, at_least
        self.cosines = np.empty(0, np.float32)
        self.ids = np.empty(0, np.int64)
        self.parts = np.empty(0, np.intp)

    def add(self, cosines: NDArray[np.float32], ids: NDArray[np.int64], *, part: int) -> None:
        """Take those in that are good enough."""
        is_good = cosines >= self.floor
        cosines = np.concatenate([self.cosines, cosines[is_good]])
        ids = np.concatenate([self.ids, ids[is_good]])
        parts = np.concatenate([self.parts, np.full(int(is_good.sum()), part)])
        order = np.argsort(-cosines, kind="stable")[: self.count]
        self.cosines, self.ids, self.parts = cosines[order], ids[order], parts[order]
        if self.count is not None and len(order) == self.count:
            self.floor = max(self.floor, float(self.cosines[-1]))


class Block:
    """Up to `BLOCK_ROWS` rows with vectors of `length` numbers. With few rows it has no heads, and compares in full."""

    def __init__(self, length: int, basis: Basis) -> None:
        # Memory that is not written to yet is not taken from the machine.
        self._numbers = np.empty((BLOCK_ROWS, length), np.int16)
        self._heads = np.empty((BLOCK_ROWS, min(_HEAD, length)), np.float32)
        self._rests = np.empty(BLOCK_ROWS, np.float32)
        self._ids = np.empty(BLOCK_ROWS, np.int64)
        self._capture_ns = np.empty(BLOCK_ROWS, np.int64)
        self._is_track = np.empty(BLOCK_ROWS, np.bool_)
        self._camera = np.empty(BLOCK_ROWS, np.int32)
        self._camera_numbers: dict[Camera, int] = {}
        arrays = (self._numbers, self._heads, self._rests, self._ids, self._capture_ns, self._is_track, self._camera)
        self._row_bytes = sum(array[:1].nbytes for array in arrays)
        self._basis = basis
        self._with_head = 0
        self.rows = 0

    @property
    def memory_bytes(self) -> int:
        """What its rows take."""
        return self.rows * self._row_bytes

    @property
    def last_id(self) -> int:
        """The id of its last row."""
        return int(self._ids[self.rows - 1])

    def append(self, loaded: Loaded) -> None:
        """Take further rows in."""
        new = slice(self.rows, self.rows + len(loaded.ids))
        self._numbers[new] = np.rint(loaded.vectors * np.float32(_ONE))
        self._ids[new] = loaded.ids
        self._capture_ns[new] = loaded.capture_ns
        self._is_track[new] = loaded.is_track
        numbers = self._camera_numbers
        self._camera[new] = [numbers.setdefault(camera, len(numbers)) for camera in loaded.cameras]
        self.rows = new.stop
        if self.rows >= _ENOUGH_ROWS:
            self._add_heads(slice(self._with_head, self.rows))

    def _add_heads(self, rows: slice) -> None:
        vectors = self._numbers[rows].astype(np.float32) / np.float32(_ONE)
        self._heads[rows] = vectors @ self._basis.fit(vectors)
        heads = self._heads[rows]
        rest = np.einsum("nd,nd->n", vectors, vectors) - np.einsum("nh,nh->n", heads, heads)
        self._rests[rows] = np.sqrt(np.maximum(rest, 0) + _ROUNDING)
        self._with_head = rows.stop

    def select(self, where: Where, ids: NDArray[np.int64] | None) -> Rows:
        """The rows meant: by time, camera and kind, and among `ids` (ascending) unless that is None."""
        chosen = np.ones(self.rows, np.bool_)
        if where.since_ns is not None:
            chosen &= self._capture_ns[: self.rows] >= where.since_ns
        if where.until_ns is not None:
            chosen &= self._capture_ns[: self.rows] < where.until_ns
        if where.kind is not None:
            chosen &= self._is_track[: self.rows] == (where.kind == "track")
        if where.cameras is not None:
            is_meant = np.zeros(len(self._camera_numbers), np.bool_)
            is_meant[[self._camera_numbers[one] for one in where.cameras if one in self._camera_numbers]] = True
            chosen &= is_meant[self._camera[: self.rows]]
        if ids is not None:
            chosen &= np.isin(self._ids[: self.rows], ids, assume_unique=True)
        found = np.flatnonzero(chosen)
        if len(found) and found[-1] - found[0] + 1 == len(found):
            return slice(int(found[0]), int(found[-1]) + 1)  # a view, not a copy
        return found

    def heads(self, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]] | None:
        """Directions (D, H), heads (n, H) and lengths of the rest (n,) of rows; None while there are too few."""
        if self._basis.directions is None or self._with_head < self.rows:
            return None
        return self._basis.directions, self._heads[rows], self._rests[rows]

    def count(self, rows: Rows) -> int:
        """How many rows these are."""
        return len(self._ids[: self.rows][rows])

    def compare(self, query: NDArray[np.float32], rows: NDArray[np.intp], *, best: Best, part: int) -> None:
        """Compare rows in full, and add to `best` what belongs there."""
        cosines = np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _COMPARE_ROWS):
            some = slice(start, start + _COMPARE_ROWS)
            np.matmul(self._numbers[rows[some]].astype(np.float32), query, out=cosines[some])
        best.add(cosines / np.float32(_ONE), self._ids[rows], part=part)


class Scan:
    """One search through some rows of one block, in two steps: so that `best` can be good before the second.

    query: (D,) float32 of length 1. part: what `best` calls the block's part.
    """

    def __init__(self, block: Block, query: NDArray[np.float32], *, rows: Rows, part: int) -> None:
        self._block, self._query, self._rows, self._part = block, query, rows, part
        self._bounds, self._left = np.empty(0, np.float32), np.empty(0, np.intp)

    def compare_first(self, best: Best) -> None:
        """Compare the rows that look best."""
        heads = self._block.heads(self._rows)
        if heads is None:
            return self._compare(np.arange(self._block.count(self._rows)), best)
        directions, row_heads, rests = heads
        head = self._query @ directions
        rest = np.sqrt(max(0.0, 1.0 - float(head @ head)) + _ROUNDING)
        estimates = row_heads @ head
        bounds = estimates + rest * rests + _SLACK
        left = np.flatnonzero(bounds >= best.floor)
        if best.count is not None and len(left) > best.count:
            first = np.argpartition(estimates[left], -best.count)[-best.count :]
            self._compare(left[first], best)
            left = np.delete(left, first)
        self._bounds, self._left = bounds[left], left

    def compare_rest(self, best: Best) -> None:
        """Compare the others that may still belong to the best."""
        self._compare(self._left[self._bounds >= best.floor], best)

    def _compare(self, chosen: NDArray[np.intp], best: Best) -> None:
        rows = chosen + self._rows.start if isinstance(self._rows, slice) else self._rows[chosen]
        self._block.compare(self._query, rows, best=best, part=self._part)


SpaceDay = tuple[str, str]
BlockName = tuple[SpaceDay, int]
Load = Callable[[int, int], Iterator[Loaded]]
"""(after, until) -> the rows with after < id <= until, in chunks of at most `LOAD_ROWS`."""


class VectorMemory:
    """Blocks of vectors, read when they are first needed and kept while they fit into `memory_bytes`.

    Block i of a part holds the ids from i * BLOCK_ROWS + 1 on. A search over more than fits reads the rest from
    the disk each time, and pushes none of its own blocks out. Not thread-safe.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._blocks: OrderedDict[BlockName, Block] = OrderedDict()
        self._bases = defaultdict[str, Basis](Basis)

    def blocks(self, part: SpaceDay, load: Load, *, last_id: int, used: set[BlockName]) -> Iterator[Block]:
        """The blocks of a part with all rows up to `last_id`. used: learns the names of those that stay in memory."""
        for number in range((last_id + BLOCK_ROWS - 1) // BLOCK_ROWS):
            name = (part, number)
            block = self._blocks.pop(name, None)
            after = block.last_id if block else number * BLOCK_ROWS
            until = min(last_id, (number + 1) * BLOCK_ROWS)
            for loaded in load(after, until) if after < until else ():
                block = block or Block(loaded.vectors.shape[1], self._bases[part[0]])
                block.append(loaded)
            if block is None:
                continue
            if self._make_room(block.memory_bytes, used):
                self._blocks[name] = block
                used.add(name)
            yield block

    def forget(self, part: SpaceDay) -> None:
        """Drop what is kept of a part: its rows have changed."""
        for name in [name for name in self._blocks if name[0] == part]:
            del self._blocks[name]

    def _make_room(self, needed_bytes: int, used: set[BlockName]) -> bool:
        taken = sum(block.memory_bytes for block in self._blocks.values()) + needed_bytes
        for name in list(self._blocks):
            if taken <= self._memory_bytes:
                break
            if name not in used:
                taken -= self._blocks.pop(name).memory_bytes
        return taken <= self._memory_bytes
