"""How tables, page and picture write networks, scores and rows."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]
"""A JSON record, as benchmarks/measuring/records.py reads it."""


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def network_title(architecture: str) -> str:
    """`osnet_x0_25` as papers write it: OSNet x0.25."""
    name = re.sub(r"x(\d)_(\d+)", r"x\1.\2", architecture).replace("osnet", "OSNet").replace("_", " ")
    return name if "OSNet" in name else name.upper() if len(name) < 4 else name.capitalize()


def network_and_size(record: Record) -> str:
    """`OSNet x0.25 256x128`, from a record's `architecture` and `input`."""
    height, width = record["input"]
    return f"{network_title(record['architecture'])} {height}x{width}"


def score_text(score: Record) -> str:
    """A score in per cent with its 95 % interval: `42.6 (40.0 to 45.1)`."""
    return f"{100 * score['value']:.1f} ({100 * score['low']:.1f} to {100 * score['high']:.1f})"
