"""Exact search in memory: bounds, blocks and a budget."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import encode, normalise
from edge_runtime.gallery import search
from edge_runtime.gallery.descriptor_store import Camera, Where
from edge_runtime.gallery.search import Best, Block, Loaded, Scan, VectorMemory
from edge_runtime.gallery.sqlite_store import SqliteStore
from tests.support.gallery_rows import SPACE, sample_row

PART = (SPACE, "2027-01-15")
ROWS, LENGTH = 6_000, 128
FIXED_POINT = 2 * np.sqrt(LENGTH) / 65_534
"""A number is off by 1 / 65,534 at most, so a cosine by sqrt(length) times that; twice, for both sides of a compare."""


def cluster(count: int, *, seed: int = 0, decay: float = 1.0) -> NDArray[np.float32]:
    """Unit vectors with most of their length in few directions, as descriptors have it; alike in all with decay 0."""
    rng = np.random.default_rng(seed)
    spread = 8 / np.arange(1, LENGTH + 1) ** decay
    return normalise(rng.standard_normal((count, LENGTH)) * spread + 0.5)


def loaded(vectors: NDArray[np.float32], *, first_id: int = 1) -> Loaded:
    """As a file gives them, of three cameras in turns."""
    count = len(vectors)
    ids = np.arange(first_id, first_id + count)
    cameras = [Camera("shop", "gate", f"camera-{one % 3}") for one in ids]
    return Loaded(ids, ids * 10, ids % 2 == 0, cameras, vectors)


def run(block: Block, query: NDArray[np.float32], *, where: Where, best: Best) -> Best:
    """Both steps of a search through one block."""
    scan = Scan(block, query, rows=block.select(where, None), part=0)
    scan.compare_first(best)
    scan.compare_rest(best)
    return best


@pytest.mark.parametrize("decay", [1.0, 0.0], ids=["few directions", "all directions alike"])
@pytest.mark.parametrize("where", [Where(), Where(since_ns=20_000, until_ns=40_000), Where(kind="track")], ids=str)
def test_the_bound_never_hides_a_row(decay: float, where: Where) -> None:
    """The best are those of comparing every row, also where the basis is of no use."""
    vectors, camera = cluster(ROWS, decay=decay), Camera("shop", "gate", "camera-1")
    block = Block(LENGTH, search.Basis())
    block.append(loaded(vectors))
    ids = np.arange(1, ROWS + 1)
    is_meant = (ids * 10 >= (where.since_ns or 0)) & (ids * 10 < (where.until_ns or 1 << 60))
    is_meant &= (ids % 2 == 0) | (where.kind is None)
    # Near a row, a query is like it in the rest of the directions, too, where only the bound can know of it.
    for query in normalise(vectors[100:2_100:100] + 0.02 * cluster(20, seed=1, decay=0.0)):
        cosines = np.where(is_meant, vectors @ query, -9)
        best = run(block, query, where=where, best=Best(count=10, at_least=-2.0))
        assert np.sort(best.cosines)[::-1] == pytest.approx(np.sort(cosines)[::-1][:10], abs=FIXED_POINT)
        assert cosines[best.ids - 1] == pytest.approx(best.cosines, abs=FIXED_POINT)
    with_camera = Where(cameras=(camera,))
    assert set(run(block, vectors[0], where=with_camera, best=Best(count=50, at_least=-2.0)).ids % 3) == {1}


def test_a_row_that_is_like_the_query_outside_the_head_only_is_found() -> None:
    """The bound allows for all that the head does not show: other rows look better, and are not."""
    rng = np.random.default_rng(0)
    heads, rests = np.zeros((ROWS, LENGTH)), np.zeros((1, LENGTH))
    heads[:, :64], rests[:, 64:] = rng.standard_normal((ROWS, 64)), rng.standard_normal(64)
    vectors, hidden = normalise(heads), normalise(rests)
    query = normalise(vectors[:1] + hidden)[0]
    vectors[1:11] = normalise(vectors[:1] + 0.7 * vectors[1:11])  # their cosines with the query are about 0.6
    block = Block(LENGTH, search.Basis())
    block.append(loaded(vectors[1:]))
    block.append(loaded(hidden, first_id=ROWS))
    best = run(block, query, where=Where(), best=Best(count=5, at_least=-2.0))
    assert best.ids[0] == ROWS
    assert best.cosines[0] == pytest.approx(np.sqrt(0.5), abs=FIXED_POINT)


def test_all_rows_that_reach_a_cosine_are_found() -> None:
    """The same rows as by comparing every one, but for those within rounding of the limit."""
    vectors = cluster(ROWS)
    block = Block(LENGTH, search.Basis())
    block.append(loaded(vectors))
    query = vectors[17]
    cosines = vectors @ query
    limit = float(np.sort(cosines)[-500])
    found = set(run(block, query, where=Where(), best=Best(count=None, at_least=limit)).ids - 1)
    assert set(np.flatnonzero(cosines >= limit + FIXED_POINT)) <= found
    assert found <= set(np.flatnonzero(cosines >= limit - FIXED_POINT))


def test_most_rows_are_not_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vectors have most of their length in few directions, which is what the bound is for."""
    compared = []
    compare = Block.compare

    def count(self: Block, query: NDArray[np.float32], rows: NDArray[np.intp], **rest: object) -> None:
        compared.append(len(rows))
        compare(self, query, rows, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Block, "compare", count)
    block = Block(LENGTH, search.Basis())
    block.append(loaded(cluster(ROWS)))
    run(block, cluster(1, seed=1)[0], where=Where(), best=Best(count=10, at_least=-2.0))
    assert sum(compared) < ROWS / 10


def test_memory_stays_within_its_budget_and_answers_stay_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that do not fit are read again; those of the search itself are not pushed out by it."""
    monkeypatch.setattr(search, "BLOCK_ROWS", 1_000)
    vectors = cluster(ROWS)
    reads: list[int] = []

    def load(after: int, until: int) -> Iterator[Loaded]:
        reads.append(after)
        yield loaded(vectors[after:until], first_id=after + 1)

    block_bytes = 1_000 * (2 * LENGTH + 4 * 64 + 4 + 8 + 8 + 1 + 4)
    memory = VectorMemory(3 * block_bytes)
    for _ in range(2):
        best, used = Best(count=5, at_least=-2.0), set[search.BlockName]()
        for block in memory.blocks(PART, load, last_id=ROWS, used=used):
            run(block, vectors[5_500], where=Where(), best=best)
        assert len(used) == 3
        assert best.ids[0] == 5_501
    assert reads == [0, 1_000, 2_000, 3_000, 4_000, 5_000, 3_000, 4_000, 5_000]
    other = ("b" * 16, "2027-01-15")
    used = set()
    list(memory.blocks(other, load, last_id=1_000, used=used))
    assert len(used) == 1
    assert sum(block.memory_bytes for block in memory._blocks.values()) <= 3 * block_bytes


def test_a_store_that_grows_past_the_first_basis_finds_what_is_new(tmp_path: Path) -> None:
    """Heads come with enough rows; rows before and after that are found alike."""
    vectors = cluster(5_000)
    rows = [sample_row(seq, vector=encode(one, codec="f16")) for seq, one in enumerate(vectors)]
    with SqliteStore(tmp_path / "gallery") as store:
        for part in (rows[:100], rows[100:4_500], rows[4_500:]):
            store.add(part)
            for row in (part[0], part[-1]):
                assert store.search(vectors[row.seq], where=Where(space=SPACE), count=3)[0].row == row
