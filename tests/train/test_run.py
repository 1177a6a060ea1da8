"""The commands `train/run.py` and `train/evaluate.py` as a researcher types them."""

import json
from pathlib import Path

import pytest

from edge_runtime.contract.errors import CheckpointError, ConfigError, DataError
from edge_runtime.contract.manifest import read_manifest
from tests.market_folder import write_market_folder
from train import evaluate, run
from train.checkpoint import save
from train.data import datasets
from train.models.catalog import build

RECIPE = "osnet_cuhk03:scratch_x0_25"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data set that passes for CUHK03: 16 people, 96 training images."""
    folder = write_market_folder(tmp_path / "data", identities=16, images=3, size=(32, 16))
    images = {"train": 96, "query": 32, "gallery": 96}
    published = datasets._Published("small", images, "made by the test")
    monkeypatch.setitem(datasets._PUBLISHED, "cuhk03_np_detected", published)
    return folder


def test_a_short_run_leaves_everything_a_researcher_needs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Checkpoint with manifest and scores, log, curves, settings; evaluate finds the same scores again."""
    arguments = [RECIPE, "--data", str(data), "--output", str(tmp_path / "runs"), "--epochs", "2"]
    assert run.main(arguments) == 0
    folder = tmp_path / "runs" / "osnet_cuhk03-scratch_x0_25-seed0"
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    settings = json.loads((folder / "settings.json").read_text())
    assert (settings["seed"], settings["recipe"]["schedule"]["epochs"]) == (0, 2)
    manifest = read_manifest(folder / "model.pth")
    assert manifest.evidence is not None
    assert manifest.terms.training_data == "made by the test"
    assert evaluate.main([str(folder / "model.pth"), "--data", str(data)]) == 0
    assert f"rank-1  {manifest.evidence.rank1.value:.4f}" in capsys.readouterr().out


def test_a_run_is_not_overwritten_and_nothing_is_resumed_from_nothing(data: Path, tmp_path: Path) -> None:
    """Each gets a sentence that says what to do."""
    arguments = [RECIPE, "--data", str(data), "--output", str(tmp_path), "--epochs", "1"]
    with pytest.raises(ConfigError, match="nothing to resume"):
        run.main([*arguments, "--resume"])
    assert run.main(arguments) == 0
    with pytest.raises(ConfigError, match="holds a run already; add --resume"):
        run.main(arguments)
    assert run.main([*arguments, "--resume"]) == 0


def test_what_cannot_work_is_said_before_training_starts(data: Path, tmp_path: Path) -> None:
    """Missing weights, weights of another network, a wrong recipe, an empty folder, no epochs."""
    common = ["--data", str(data), "--output", str(tmp_path / "runs")]
    with pytest.raises(ConfigError, match="give them with --weights"):
        run.main(["osnet_cuhk03:x0_25", *common])
    save({"state_dict": build("osnet_x0_5", classes=5).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="belongs to another network"):
        run.main(["osnet_cuhk03:x0_25", *common, "--weights", str(tmp_path / "other.pth")])
    with pytest.raises(ConfigError, match="unknown recipe"):
        run.main(["osnet", *common])
    with pytest.raises(ConfigError, match="at least 1"):
        run.main([RECIPE, *common, "--epochs", "0"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="bounding_box_train, which is missing"):
        run.main([RECIPE, "--data", str(tmp_path / "empty")])


def test_the_list_shows_every_recipe_with_its_papers_scores(capsys: pytest.CaptureFixture[str]) -> None:
    """What a paper reports stands beside the recipe's name."""
    assert run.main(["--list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("osnet_cuhk03:scratch "))
    assert "0.571 / 0.542" in line
    assert "table 3" in line
