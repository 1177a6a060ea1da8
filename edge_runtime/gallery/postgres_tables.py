"""The tables of a gallery in PostgreSQL: one partitioned by day for each space, and who may read which site."""

import re

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.columns import COLUMNS, NULLABLE, TEXT

SCHEMA = "reid_gallery"
_SPACE = re.compile(r"[0-9a-f]{16}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TEXT = 'text COLLATE "C"'
_COLUMNS = ", ".join(
    f"{name} {_TEXT if kind == TEXT else kind}{'' if name in NULLABLE else ' NOT NULL'}"
    for name, kind in COLUMNS.items()
)
_NO_SAMPLES = "ALTER data SET STATISTICS 0, ALTER vector SET STATISTICS 0"
SETUP = (
    "CREATE EXTENSION IF NOT EXISTS vector",
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.erased (space {_TEXT}, day date, node {_TEXT}, boot {_TEXT}, seq bigint, "
    "expires_at_ns bigint, PRIMARY KEY (space, day, node, boot, seq))",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.unfinished (space {_TEXT}, day date, PRIMARY KEY (space, day))",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.site_reader (role name, site {_TEXT}, PRIMARY KEY (role, site))",
)
"""What every database of a gallery has once. unfinished: where rows are deleted, but their bytes perhaps not yet."""


def space_table(space: str) -> str:
    """The table of a space, checked to be safe as SQL.

    Raises:
        GalleryError: it is no space.
    """
    if not _SPACE.fullmatch(space):
        raise GalleryError(f"expected a space of 16 hexadecimal digits, found {space!r}")
    return f"{SCHEMA}.descriptor_{space}"


def day_table(space: str, day: str) -> str:
    """The partition of a space and day, checked to be safe as SQL.

    Raises:
        GalleryError: it is no space or no day.
    """
    if not _DAY.fullmatch(day):
        raise GalleryError(f"expected a day such as 2026-11-27, found {day!r}")
    return f"{space_table(space)}_{day.replace('-', '')}"


def make_space(space: str, *, length: int) -> list[str]:
    """SQL that makes the table of a space. length: of its vectors.

    An f16 vector is stored once, as halfvec, which keeps its numbers to the bit; `data` has the bytes of other codecs.
    A role reads the rows of the sites that `site_reader` gives it; the owner reads and writes all.
    """
    table = space_table(space)
    return [
        f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS}, data bytea, vector halfvec({length}) NOT NULL, "
        f"day date NOT NULL, PRIMARY KEY (node, boot, seq, day)) PARTITION BY LIST (day)",
        # Compressed or sampled copies could not be found again, nor erased with the row.
        f"ALTER TABLE {table} ALTER data SET STORAGE EXTERNAL, ALTER vector SET STORAGE EXTERNAL",
        f"ALTER TABLE {table} {_NO_SAMPLES}",
        f"CREATE INDEX IF NOT EXISTS descriptor_{space}_track ON {table} (track)",
        f"CREATE INDEX IF NOT EXISTS descriptor_{space}_person ON {table} (person) WHERE person IS NOT NULL",
        f"CREATE INDEX IF NOT EXISTS descriptor_{space}_expiry ON {table} (expires_at_ns)",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"DROP POLICY IF EXISTS by_site ON {table}",
        f"CREATE POLICY by_site ON {table} FOR SELECT USING "
        f"(site IN (SELECT reader.site FROM {SCHEMA}.site_reader reader WHERE reader.role = current_user))",
    ]


def make_day(space: str, day: str) -> list[str]:
    """SQL that makes the partition of a day."""
    table = day_table(space, day)
    return [
        f"CREATE TABLE IF NOT EXISTS {table} PARTITION OF {space_table(space)} FOR VALUES IN ('{day}')",
        f"ALTER TABLE {table} {_NO_SAMPLES}",
    ]
