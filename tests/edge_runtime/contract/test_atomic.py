"""Files are there as a whole or not at all."""

from pathlib import Path

import pytest

from edge_runtime.contract.atomic import replace_file


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """By text or by bytes, and nothing else is left in its folder."""
    path = tmp_path / "record.json"
    for content in ("längerer Text\n", b"short"):
        replace_file(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Here a folder bears its name: the error reaches the caller, the half-written file is gone."""
    (tmp_path / "record.json").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "record.json", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
