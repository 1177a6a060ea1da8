"""What a generated table is, and how it is written from the files it is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.records import read_record
from benchmarks.reporting.text import Record, network_title
from edge_runtime.contract.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CPU_RECORDS = "benchmarks/records/cpu-epyc"
MODELS = "edge_runtime/models"


@dataclass(frozen=True)
class Table:
    """One table.

    name: as its marker in a document says, `<!-- table NAME -->`. sources: the files it is made of, as patterns from
    the project's root. command: what measures them. render: the Markdown of the table, from the files that were found.
    caption: the line below; its fields are those of the JSON files, and `network` and `size`.
    """

    name: str
    sources: tuple[str, ...]
    command: str
    render: Callable[[Sequence[Path]], str]
    caption: str


def of_record(render: Callable[[Record], str]) -> Callable[[Sequence[Path]], str]:
    """For a table that is made of one record."""
    return lambda paths: render(read_record(paths[0]))


def render_table(table: Table, *, root: Path = ROOT) -> str:
    """The table with its caption, or where a source is missing the command that measures it.

    Raises:
        ConfigError: a source is no record of this table.
    """
    found = [sorted(root.glob(pattern)) for pattern in table.sources]
    if not all(found):
        return f"Not measured yet: `{table.command}`."
    paths = [path for some in found for path in some]
    try:
        return f"{table.render(paths)}\n\n{table.caption.format_map(_caption_fields(paths))}"
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{', '.join(map(str, paths))}: no record of table {table.name}, {error} is missing or wrong; "
            f"run {table.command}"
        ) from error


def _caption_fields(paths: Sequence[Path]) -> dict[str, object]:
    """The fields of all JSON files, the first file's where several have one of a name."""
    fields: dict[str, object] = {}
    for path in (path for path in reversed(paths) if path.suffix == ".json"):
        record = read_record(path)
        fields |= record
        if "architecture" in record:
            fields["network"] = network_title(record["architecture"])
        if isinstance(record.get("input"), list):
            fields["size"] = "x".join(map(str, record["input"]))
    return fields
