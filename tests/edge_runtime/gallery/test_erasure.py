"""Erasing: receipts, the log of them, and no byte of a vector left in any file."""

import dataclasses
import json
import stat
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.descriptor import Codec, encode
from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Camera, Row, Store, Where
from edge_runtime.gallery.erasure import AuditLog, Remains, erase, erase_like, expire, find_remains
from tests.edge_runtime.gallery.conftest import Place
from tests.support.gallery_rows import DAY_NS, SPACE, START_NS, sample_row, track_id, vector_of


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    """An empty log."""
    return AuditLog(tmp_path / "erasures.jsonl")


def people_rows(count: int, *, length: int) -> list[Row]:
    """Rows of four people in two days, two cameras and three codecs, in random order of writing."""
    codecs: list[Codec] = ["f16", "i8", "f32"]
    rows = [
        sample_row(
            seq,
            vector=encode(vector_of(seq % 4, length=length, seed=seq), codec=codecs[seq % 3]),
            camera=("door", "till")[seq // 4 % 2],
            capture_ns=START_NS + seq * DAY_NS * 2 // count,
            track=track_id(seq // 8),
        )
        for seq in range(count)
    ]
    return [rows[one] for one in np.random.default_rng(0).permutation(count)]


def test_no_byte_of_an_erased_vector_is_left_in_any_file(place: Place, log: AuditLog) -> None:
    """By time, camera, track, person and example, one after the other; kept rows keep every bit.

    The files are the database, its journals and write-ahead log, and everything else in the store's folder.
    """
    rows = people_rows(480, length=512)
    store = place.open()
    for start in range(0, len(rows), 60):
        store.add(rows[start : start + 60])
    for part in store.days()[:1]:
        store.finish_day(part)
    store.assign({track_id(5): "p-5", track_id(50): "p-5"}, where=Where())
    assert find_remains([place.files], [rows[0].vector]) != []
    asked = [
        Where(since_ns=START_NS + DAY_NS // 2, until_ns=START_NS + DAY_NS // 2 + DAY_NS // 8),
        Where(cameras=(Camera("shop", "gate", "till"),), until_ns=START_NS + DAY_NS),
        Where(tracks=(track_id(0), track_id(40))),
        Where(person="p-5"),
    ]
    for where in asked:
        before = list(store.rows(Where()))
        erased = [row.vector for row in store.rows(where)]
        assert erase(store, where, log=log).rows == len(erased) > 0
        check_only_gone(place, store, before=before, erased=[row for row in before if row.vector in erased])
    before = list(store.rows(Where()))
    receipt = erase_like(store, vector_of(2, length=512), where=Where(space=SPACE), at_least=0.9, log=log)
    after = set(store.rows(Where()))
    erased_rows = [row for row in before if row not in after]
    assert receipt is not None
    assert receipt.rows == len(erased_rows) > 0
    assert {row.seq % 4 for row in erased_rows} >= {2}
    check_only_gone(place, store, before=before, erased=erased_rows)
    store.close()


def check_only_gone(place: Place, store: Store, *, before: list[Row], erased: list[Row]) -> None:
    """The erased rows are nowhere in the files; the others are as they were."""
    assert list(store.rows(Where())) == [row for row in before if row not in erased]
    assert find_remains([place.files], [row.vector for row in erased]) == []


def test_expiry_leaves_no_byte_either(place: Place, log: AuditLog) -> None:
    """Row by row within a day, and the whole day in the end; the log has a line for each that erased something."""
    end_ns = START_NS + 7 * DAY_NS
    rows = [sample_row(seq, who=seq, expires_at_ns=end_ns + seq // 20) for seq in range(40)]
    store = place.open()
    store.add(rows)
    assert expire(store, now_ns=end_ns - 1, log=log) is None
    assert log.check() == []
    for now_ns, gone in ((end_ns, rows[:20]), (end_ns + 1, rows[20:])):
        receipt = expire(store, now_ns=now_ns, log=log)
        assert receipt is not None
        assert receipt.rows == 20
        assert find_remains([place.files], [row.vector for row in gone]) == []
    assert store.days() == []
    store.close()


def test_a_receipt_says_what_when_and_how_many_and_nothing_of_the_vectors(
    store: Store, log: AuditLog, tmp_path: Path
) -> None:
    """The digest is of the names of the rows; a line is written before and after; nobody else may read the file."""
    rows = [sample_row(seq, who=seq % 2) for seq in range(10)]
    store.add(rows)
    expected = store.digest(Where(tracks=(track_id(3),)))
    receipt = erase(store, Where(tracks=(track_id(3),)), log=log)
    assert (receipt.what, receipt.rows, receipt.digest) == ({"tracks": (track_id(3),)}, 1, expected.digest)
    erase_like(store, vector_of(0), where=Where(space=SPACE), at_least=0.8, log=log)
    path = tmp_path / "erasures.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["done"] is None for line in lines] == [True, False, True, False]
    assert lines[-1]["what"] == {"space": SPACE, "example_at_least": 0.8, "tracks": 5}
    assert lines[-1]["rows"] == 5
    assert find_remains([path], [row.vector for row in rows]) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_changed_log_is_noticed(log: AuditLog, store: Store, tmp_path: Path) -> None:
    """A line that was edited, removed or added shows in the line after it; one that a kill cut short stays readable."""
    store.add([sample_row(seq) for seq in range(4)])
    path = tmp_path / "erasures.jsonl"
    for seq in range(2):
        erase(store, Where(tracks=(track_id(seq),)), log=log)
    with path.open("ab") as file:
        file.write(b'{"what": {"tra')
    erase(store, Where(tracks=(track_id(2),)), log=log)
    assert log.check() == [5]
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0].replace('"rows": 0', '"rows": 7'), *lines[1:]]))
    assert log.check() == [2, 5]
    path.write_text("".join([lines[0], *lines[2:]]))
    assert log.check() == [2, 4]


def test_an_erasure_of_everything_must_be_said(store: Store, log: AuditLog) -> None:
    """No condition at all is more likely a mistake."""
    store.add([sample_row(0)])
    with pytest.raises(GalleryError, match=r"expected at least one condition .* found none"):
        erase(store, Where(), log=log)
    assert store.digest(Where()).rows == 1


def test_a_log_that_cannot_be_written_erases_nothing(store: Store, tmp_path: Path) -> None:
    """An erasure without a receipt would be no proof of anything."""
    store.add([sample_row(0)])
    with pytest.raises(GalleryError, match=r"log of erasures .* cannot be written"):
        erase(store, Where(kind="track"), log=AuditLog(tmp_path / "missing" / "log"))
    assert store.digest(Where()).rows == 1


def test_an_example_like_nobody_erases_nothing(store: Store, log: AuditLog) -> None:
    """And leaves no receipt."""
    store.add([sample_row(0)])
    assert erase_like(store, -vector_of(0), where=Where(space=SPACE), at_least=0.5, log=log) is None
    assert store.digest(Where()).rows == 1


def test_a_piece_of_a_vector_is_found_wherever_it_is(tmp_path: Path) -> None:
    """At any offset, across the borders of reads, cut at both ends, in any file of a folder."""
    vector = encode(vector_of(0, length=512), codec="f16")
    noise = np.random.default_rng(0).integers(0, 256, (4 << 20) + 1_000, np.uint8).tobytes()
    assert find_remains([tmp_path], [vector]) == []
    (tmp_path / "below").mkdir()
    for offset in (0, 1, (4 << 20) - 9, len(noise) - 40):
        file = tmp_path / "below" / "file"
        file.write_bytes(noise[:offset] + vector.data[100:131] + noise[offset:])
        assert find_remains([tmp_path], [vector]) == [Remains(file, offset + 12)]
    (tmp_path / "below" / "file").write_bytes(bytes(5 << 20))
    zeros = dataclasses.replace(vector, data=vector.data[:512] + bytes(512))
    assert find_remains([tmp_path], [zeros]) == []
