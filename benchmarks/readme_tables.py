"""Write the tables of the documents anew from the records, or check that they are up to date.

A table stands between `<!-- table NAME -->` and `<!-- end -->`; the names are those of benchmarks/reporting/tables.py.
"""

import sys
from pathlib import Path

from benchmarks.reporting.document_table import ROOT, render_table
from benchmarks.reporting.tables import TABLES
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run

DOCUMENTS = tuple(
    ROOT / name
    for name in ("README.md", "benchmarks/README.md", "train/README.md", "export/README.md", "edge_runtime/README.md")
)
"""Where tables may stand; a document that does not exist is left out."""


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns 1 when `--check` finds a table that is out of date."""
    arguments = _parser().parse_args(argv)
    old = {path: path.read_text() for path in DOCUMENTS if path.exists()}
    new = {path: fill_tables(text, document=path.relative_to(ROOT)) for path, text in old.items()}
    stale = [path for path in old if old[path] != new[path]]
    if arguments.check:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"{names}: out of date, run benchmarks/readme_tables.py" if stale else "all tables are up to date")
        return int(bool(stale))
    for path in stale:
        path.write_text(new[path])
    return 0


def fill_tables(text: str, *, document: Path) -> str:
    """The text with every table made anew. document: where it stands, for messages.

    Raises:
        ConfigError: a table has no row in TABLES, or no end.
    """
    tables = {table.name: table for table in TABLES}
    first, *parts = text.split("<!-- table ")
    done = [first]
    for part in parts:
        name, _, rest = part.partition(" -->")
        _, end, after = rest.partition("<!-- end -->")
        if name not in tables or not end:
            raise ConfigError(f"{document}: table {name!r} is unknown or has no end; known: {', '.join(tables)}")
        done.append(f"<!-- table {name} -->\n{render_table(tables[name])}\n<!-- end -->{after}")
    return "".join(done)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--check",
        next_step="read benchmarks/README.md",
        examples="example: python benchmarks/readme_tables.py --check",
    )
    parser.add_argument("--check", action="store_true", help="change nothing, only say whether the tables are right")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
