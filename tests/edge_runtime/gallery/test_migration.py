"""Moving a gallery from one store to another."""

from collections.abc import Iterator

import pytest

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Store, StoredDay, Where
from edge_runtime.gallery.migration import migrate
from tests.edge_runtime.gallery.conftest import Place
from tests.support.gallery_rows import DAY_NS, OTHER_SPACE, START_NS, sample_row, track_id


class StoppedError(Exception):
    """Somebody pressed Ctrl-C."""


@pytest.fixture
def both(sqlite: Place, postgres: Place) -> Iterator[tuple[Store, Store]]:
    """A store of files with three days in two spaces, one of the rows erased, and an empty database."""
    source, target = sqlite.open(), postgres.open()
    rows = [sample_row(seq, capture_ns=START_NS + seq % 2 * DAY_NS, person=f"p-{seq % 7}") for seq in range(5_000)]
    source.add([*rows, sample_row(9_999, space=OTHER_SPACE, codec="i8")])
    source.erase(Where(tracks=(track_id(3),)))
    yield source, target
    source.close()
    target.close()


def test_everything_arrives_bit_by_bit(both: tuple[Store, Store]) -> None:
    """Rows with their people, and that an erased message stays erased."""
    source, target = both
    assert migrate(source, target, progress=lambda part, rows: None) == 5_000
    assert list(target.rows(Where())) == list(source.rows(Where()))
    assert target.digest(Where()) == source.digest(Where())
    assert target.add([sample_row(3, capture_ns=START_NS + DAY_NS)]) == 0


def test_a_stopped_migration_goes_on_where_it_was(both: tuple[Store, Store]) -> None:
    """Days that are done are not read again, and no row is added twice."""
    source, target = both
    read: list[str] = []

    def stop_in_second_day(part: StoredDay, rows: int) -> None:
        if part.day == "2027-01-16":
            raise StoppedError

    with pytest.raises(StoppedError):
        migrate(source, target, progress=stop_in_second_day)
    assert 2_500 < target.digest(Where()).rows < 5_000
    migrate(source, target, progress=lambda part, rows: read.append(part.day))
    assert list(target.rows(Where())) == list(source.rows(Where()))
    assert read[0] == "2027-01-16"
    assert migrate(source, target, progress=lambda part, rows: read.append("again")) == 0
    assert "again" not in read


def test_other_rows_in_the_target_are_an_error(both: tuple[Store, Store]) -> None:
    """Something else wrote to it: nobody may believe that both hold the same."""
    source, target = both
    target.add([sample_row(77_777)])
    with pytest.raises(GalleryError, match=r"2027-01-15: expected the 2500 rows .* found 2501"):
        migrate(source, target, progress=lambda part, rows: None)
