"""Public networks that were adopted are scored under their rows' names."""

import json
from pathlib import Path

import pytest

from benchmarks import public_models
from benchmarks.reporting.public_tables import public_table
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.model_list import PUBLIC_MODELS, read_public_models
from tests.benchmarks.test_street import write_clip
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import write_tiny_network


def pretend(folder: Path, digest: str) -> Path:
    """A tiny network whose manifest says that it was made of the weights with this digest."""
    path = write_tiny_network(folder)
    manifest = folder / "tiny.onnx.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"artefact": _artefact(manifest, digest)}))
    return path


def _artefact(manifest: Path, digest: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(manifest.read_text())["artefact"]
    return found | {"parent_sha256": digest}


def test_a_network_is_scored_under_its_rows_name(tmp_path: Path) -> None:
    """The row is found by the digest of the weights; street and data set stand in one record."""
    row = read_public_models()[0]
    model, output = pretend(tmp_path, row.sha256), tmp_path / "record.json"
    video, truth = write_clip(tmp_path)
    folder = write_market_folder(tmp_path / "patterns")
    arguments = [str(model), "--clip", str(video), str(truth), "--data", str(folder), "--output", str(output)]
    assert public_models.main(arguments) == 0
    record = json.loads(output.read_text())
    (found,) = record["networks"]
    assert found["name"] == row.name
    assert found["street"]["rank1"]["value"] > 0.8
    assert list(found["data_sets"]) == ["patterns"]


def test_a_network_of_no_row_is_refused(tmp_path: Path) -> None:
    """Its figures would stand beside another's licence."""
    with pytest.raises(ConfigError, match=r"was made from no network of export/models\.json"):
        public_models.main([str(pretend(tmp_path, "b" * 64)), "--clip", "a", "b"])


def test_every_row_has_its_line_in_the_table() -> None:
    """With terms, and `not measured` where no record has figures."""
    lines = public_table([PUBLIC_MODELS]).splitlines()[2:]
    rows = read_public_models()
    assert [line.split("]")[0] for line in lines] == [f"| [{row.name}" for row in rows]
    assert all(row.licence.weights in line for row, line in zip(rows, lines, strict=True))
