"""From one store to another, such as from SQLite to PostgreSQL; it can be stopped at any moment and run again."""

from collections.abc import Callable, Iterator
from itertools import islice

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.descriptor_store import Row, Store, StoredDay

_ROWS_AT_ONCE = 2_000
Progress = Callable[[StoredDay, int], None]
"""Called with a part and how many of its rows were read so far."""


def migrate(source: Store, target: Store, *, progress: Progress) -> int:
    """Copy all rows, and the names of erased ones, day by day. Nobody else may write to either store meanwhile.

    A day whose names are the same on both sides is done and is skipped, so a run that was stopped repeats one day at
    most, and rows of it that are there already are not added again. Returns how many rows were added.

    Raises:
        GalleryError: a store cannot be read or written, or the target has other rows of a day than the source.
    """
    return sum(_migrate_part(source, target, part=part, progress=progress) for part in source.days())


def _migrate_part(source: Store, target: Store, *, part: StoredDay, progress: Progress) -> int:
    where = part.where()
    expected, added, read = source.digest(where), 0, 0
    if target.digest(where) != expected:
        for batch in _batches(source.rows(where)):
            added += target.add(batch)
            read += len(batch)
            progress(part, read)
    target.add_erased_keys(part, source.erased_keys(part))
    found = target.digest(where)
    if found != expected:
        raise GalleryError(
            f"space {part.space}, {part.day}: expected the {expected.rows} rows of the source, found {found.rows} in "
            "the target with other names; did something else write to one of them?"
        )
    return added


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _ROWS_AT_ONCE)):
        yield batch
