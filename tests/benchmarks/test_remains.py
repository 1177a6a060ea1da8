"""What deleting leaves behind."""

from pathlib import Path

import pytest

from benchmarks.measuring.records import read_record
from benchmarks.remains import main
from benchmarks.reporting.system_tables import remains_table
from edge_runtime.contract.errors import ConfigError


def test_sqlite_leaves_vectors_behind_and_our_store_does_not(tmp_path: Path) -> None:
    """By SQLite's own default; what stays is found in both, so the search can see them."""
    output = tmp_path / "remains.json"
    assert main(["--stores", "sqlite", "sqlite, secure_delete", "--output", str(output)]) == 0
    record = read_record(output)
    ours, careless, careful = record["stores"]
    assert all(one["kept_found"] == 20 for one in record["stores"])
    assert ours["deleted_found"] == careful["deleted_found"] == careless["compacted"] == 0
    assert careless["deleted_found"] > 10
    assert "| sqlite |" in remains_table(record)


def test_a_store_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """With the way to install it."""
    with pytest.raises(ConfigError, match=r"lancedb failed in .*No module named 'lancedb'; see --help"):
        main(["--stores", "lancedb", "--output", str(tmp_path / "remains.json")])
