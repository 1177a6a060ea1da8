"""What every store promises: the same tests run against SQLite and PostgreSQL."""

import dataclasses
import hashlib
import time

import numpy as np
import pytest

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Camera, ErasedKey, Match, Row, RowDigest, Store, Where, make_row
from edge_runtime.link.topics import Topic
from tests.edge_runtime.gallery.conftest import Place
from tests.support.gallery_rows import (
    BOOT,
    DAY_NS,
    LENGTH,
    OTHER_SPACE,
    SPACE,
    START_NS,
    sample_row,
    track_id,
    vector_of,
)
from tests.support.sample_messages import descriptor_message, track_message

TOPIC = Topic("shop", "gate", "door", "descriptor", SPACE)


def names(matches: list[Match]) -> list[int]:
    """The numbers of the rows found."""
    return [match.row.seq for match in matches]


def test_rows_come_back_as_they_went_in(place: Place) -> None:
    """Every field and every bit of the vector, whatever its codec, after the store was closed and opened again."""
    rows = [
        sample_row(0, codec="f16"),
        sample_row(1, codec="i8", kind="crop", uncertainty_ns=None, quality=None),
        sample_row(2, codec="f32", person="p-1", node="säule 7", box=(0.0, 1 / 3, 0.7, 1.0)),
        sample_row(3, space=OTHER_SPACE, capture_ns=START_NS + DAY_NS),
    ]
    store = place.open()
    assert store.add(rows) == 4
    store.close()
    again = place.open()
    assert list(again.rows(Where())) == rows
    assert [(part.space, part.day) for part in again.days()] == [(SPACE, "2027-01-15"), (OTHER_SPACE, "2027-01-16")]
    again.close()


def test_a_message_delivered_twice_is_stored_once(store: Store) -> None:
    """Delivery is at least once; node, boot and seq make it exactly once, within a batch too."""
    rows = [sample_row(0), sample_row(1)]
    assert store.add([*rows, rows[0]]) == 2
    assert store.add([rows[1], sample_row(2), sample_row(1, boot="f" * 16)]) == 2
    assert store.digest(Where()).rows == 4


def test_search_finds_what_a_loop_over_all_rows_finds(store: Store) -> None:
    """The same rows in the same order as the largest cosines, computed one by one in double precision."""
    rows = [sample_row(seq, who=seq % 40, codec=("f16", "i8", "f32")[seq % 3]) for seq in range(300)]
    store.add(rows)
    query = vector_of(7, seed=12345)

    def cosine(row: Row) -> float:
        numbers = np.frombuffer(row.vector.data, {"f16": "<f2", "i8": "i1", "f32": "<f4"}[row.vector.codec]).astype(
            float
        )
        return float(numbers @ query / np.linalg.norm(numbers))

    best = sorted(rows, key=cosine, reverse=True)[:7]
    found = store.search(query * 3, where=Where(space=SPACE), count=7)
    assert {match.row.seq for match in found} == {row.seq for row in best}
    # Half precision rounds each number by at most 2^-11 of itself, and so a cosine by at most 5e-4.
    assert [match.cosine for match in found] == pytest.approx(list(map(cosine, best)), abs=5e-4)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(since_ns=START_NS + 4 * 10**9, until_ns=START_NS + 7 * 10**9), {4, 5, 6}),
        (Where(since_ns=START_NS + DAY_NS), {8, 9}),
        (Where(until_ns=START_NS + DAY_NS, kind="crop"), {1}),
        (Where(cameras=(Camera("shop", "gate", "till"), Camera("shop", "gate", "none"))), {2, 9}),
        (Where(cameras=()), set()),
        (Where(tracks=(track_id(3), track_id(8))), {3, 8}),
        (Where(tracks=()), set()),
        (Where(person="p-5"), {5}),
        (Where(expired_by_ns=START_NS + 10), {6}),
        (Where(space=OTHER_SPACE), set()),
    ],
    ids=str,
)
def test_every_condition_means_the_same_in_every_call(store: Store, where: Where, expected: set[int]) -> None:
    """Rows, digest, search and erase agree on which rows are meant."""
    rows = [sample_row(seq) for seq in range(8)]
    rows += [sample_row(seq, capture_ns=START_NS + DAY_NS + seq) for seq in (8, 9)]
    changes: dict[int, dict[str, object]] = {
        1: {"kind": "crop"},
        2: {"camera": "till"},
        5: {"person": "p-5"},
        6: {"expires_at_ns": START_NS + 10},
        9: {"camera": "till"},
    }
    rows = [dataclasses.replace(row, **changes.get(row.seq, {})) for row in rows]  # type: ignore[arg-type]
    store.add(rows)
    assert {row.seq for row in store.rows(where)} == expected
    assert store.digest(where).rows == len(expected)
    within = dataclasses.replace(where, space=where.space or SPACE)
    assert set(names(store.search(vector_of(0), where=within, count=50))) == expected
    assert set(names(store.find_like(vector_of(0), where=within, at_least=-1.0))) == expected
    assert store.erase(where).rows == len(expected)
    assert {row.seq for row in store.rows(Where())} == set(range(10)) - expected


def test_find_like_gives_all_that_reach_the_cosine(store: Store) -> None:
    """However many they are, best first."""
    store.add([sample_row(seq, who=seq % 2) for seq in range(60)])
    found = store.find_like(vector_of(1), where=Where(space=SPACE), at_least=0.8)
    assert set(names(found)) == set(range(1, 60, 2))
    cosines = [match.cosine for match in found]
    assert cosines == sorted(cosines, reverse=True)


def test_search_sees_what_was_added_and_not_what_was_erased(store: Store) -> None:
    """Vectors kept in memory follow the rows."""
    everything = Where(space=SPACE)
    store.add([sample_row(0)])
    assert names(store.search(vector_of(0), where=everything, count=9)) == [0]
    store.add([sample_row(1)])
    assert set(names(store.search(vector_of(0), where=everything, count=9))) == {0, 1}
    store.erase(Where(tracks=(track_id(0),)))
    assert names(store.search(vector_of(0), where=everything, count=9)) == [1]


def test_an_empty_store_finds_nothing(store: Store) -> None:
    """A day before the first message."""
    assert store.search(vector_of(0), where=Where(space=SPACE), count=3) == []
    assert store.days() == []
    assert store.digest(Where()).rows == 0


def test_people_are_set_by_track(store: Store) -> None:
    """All rows of a track, on every day that is meant; what is right already does not count."""
    store.add([sample_row(0, track=track_id(7)), sample_row(1, track=track_id(7)), sample_row(2)])
    people = {track_id(7): "p-1", track_id(2): "p-2"}
    assert store.assign(people, where=Where(space=SPACE)) == 3
    assert store.assign(people | {track_id(2): "p-1"}, where=Where()) == 1
    assert store.assign({track_id(7): "p-9"}, where=Where(until_ns=START_NS)) == 0
    assert [row.person for row in store.rows(Where())] == ["p-1", "p-1", "p-1"]


def test_an_erased_message_that_is_delivered_again_stays_erased(place: Place) -> None:
    """Also after the store was closed and opened again; other messages of the node are stored."""
    store = place.open()
    store.add([sample_row(0), sample_row(1)])
    store.erase(Where(tracks=(track_id(0),)))
    store.close()
    again = place.open()
    assert again.add([sample_row(0), sample_row(1), sample_row(2)]) == 1
    assert [row.seq for row in again.rows(Where())] == [1, 2]
    again.close()


def test_a_day_whose_time_is_over_goes_with_everything(store: Store) -> None:
    """Rows past their time go one by one, a whole day with its files, names of erased rows with their own time."""
    day = sample_row(0).expires_at_ns
    store.add([sample_row(0), sample_row(1, expires_at_ns=day + 5), sample_row(2, expires_at_ns=day + 5)])
    store.erase(Where(tracks=(track_id(2),)))
    part = store.days()[0]
    assert store.drop_expired(day - 1).rows == 0
    assert store.drop_expired(day).rows == 1
    assert store.erased_keys(part) == [ErasedKey("gate", BOOT, 2, day + 5)]
    assert store.drop_expired(day + 5).rows == 1
    assert store.days() == []


def test_the_digest_is_of_the_names_of_the_rows_in_order(store: Store) -> None:
    """SHA-256 of a line per row, sorted by code points, so that it is the same in every store."""
    keys = [(node, seq) for node in ("b", "ä", "B") for seq in (10, 9)]
    store.add([sample_row(seq, node=node) for node, seq in keys])
    lines = "".join(f"{SPACE}/2027-01-15/{node}/{BOOT}/{seq}\n" for node, seq in sorted(keys))
    assert store.digest(Where()) == RowDigest(6, hashlib.sha256(lines.encode()).hexdigest())
    only_b = Where(cameras=(Camera("shop", "b", "door"),))
    assert store.digest(only_b) == store.erase(only_b)


def test_a_vector_of_another_length_is_refused_with_its_batch(place: Place) -> None:
    """It says which node; nothing of the batch is stored, also by a store that was opened again."""
    store = place.open()
    store.add([sample_row(0)])
    store.close()
    again = place.open()
    wrong = sample_row(2, vector=dataclasses.replace(sample_row(0).vector, length=3, data=b"123456"))
    with pytest.raises(GalleryError, match=rf"expected {LENGTH} numbers .* found 3 in seq 2 of node 'gate'"):
        again.add([sample_row(1), wrong])
    assert again.digest(Where()).rows == 1
    again.close()


@pytest.mark.parametrize(
    ("query", "where"),
    [
        (vector_of(0), Where()),
        (vector_of(0)[:-1], Where(space=SPACE)),
        (vector_of(0) * 0, Where(space=SPACE)),
        (vector_of(0) * np.float32(np.nan), Where(space=SPACE)),
    ],
    ids=["no space", "length", "zero", "nan"],
)
def test_a_query_that_cannot_be_compared_is_refused(store: Store, query: np.ndarray, where: Where) -> None:
    """One sentence says what was expected."""
    store.add([sample_row(0)])
    with pytest.raises(GalleryError, match=r"expected a (space|query)"):
        store.search(query, where=where, count=1)


def test_finishing_a_day_changes_no_answer(store: Store) -> None:
    """An index may be built; late rows are found, too."""
    store.add([sample_row(seq, who=seq) for seq in range(50)])
    store.finish_day(store.days()[0])
    store.add([sample_row(50, who=3)])
    assert set(names(store.search(vector_of(3), where=Where(space=SPACE), count=2))) == {3, 50}


def test_a_message_becomes_a_row() -> None:
    """A descriptor and the end of a track; times and vector as they came."""
    now_ns = time.time_ns()
    message = descriptor_message(seq=5, capture_ns=now_ns, kind="track", crops=4)
    row = make_row(TOPIC, message, keep_s=60.0, now_ns=now_ns)
    assert row is not None
    assert (row.site, row.node, row.camera, row.seq, row.kind, row.crops) == ("shop", "gate", "door", 5, "track", 4)
    assert row.expires_at_ns == now_ns + 60_000_000_000
    assert row.vector == message.descriptor.encoded()
    ending = make_row(TOPIC, track_message(capture_ns=now_ns), keep_s=60.0, now_ns=now_ns)
    assert ending is not None
    assert (ending.kind, ending.quality) == ("track", None)


def test_nothing_is_kept_without_a_vector_or_beyond_its_time() -> None:
    """The start of a track has no vector; a backlog may be older than the retention."""
    now_ns = time.time_ns()
    assert make_row(TOPIC, track_message(descriptor=None), keep_s=60.0, now_ns=now_ns) is None
    late = descriptor_message(capture_ns=now_ns - 61_000_000_000)
    assert make_row(TOPIC, late, keep_s=60.0, now_ns=now_ns) is None


def test_a_number_that_no_store_can_hold_is_refused() -> None:
    """Databases count to 2^63 - 1."""
    with pytest.raises(GalleryError, match=r"expected seq 18446744073709551615.*below 2"):
        make_row(TOPIC, descriptor_message(seq=2**64 - 1), keep_s=60.0, now_ns=0)
