"""A training run that fits into its time, and what is kept of it."""

import json
from pathlib import Path

import pytest

from benchmarks import training_in_time
from benchmarks.training_in_time import EpochPace, main
from edge_runtime.contract.errors import ConfigError

# Stands in for train/run.py: an epoch takes a quarter of a second, and nothing else takes time.
TRAIN = """\
import json, pathlib, sys
_, recipe, *options = sys.argv
given = dict(zip(options[::2], options[1::2]))
folder = pathlib.Path(given["--output"]) / (recipe.replace(":", "-") + "-seed0")
folder.mkdir(parents=True)
(folder / "log.jsonl").write_text("".join(json.dumps({"epoch": n + 1, "seconds": 0.25}) + "\\n"
    for n in range(int(given["--epochs"]))))
(folder / "model.pth").write_bytes(bytes(MEGABYTES * 10**6))
if STOPS and folder.parent.name == "whole":
    sys.exit("out of memory")
(folder / "scores.json").write_text('{"rank1": 0.5}')
"""


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *, megabytes: int = 1, stops: bool = False) -> Path:
    """Train with the stand-in. Returns the folder that is kept."""
    script = folder / "train" / "run.py"
    script.parent.mkdir()
    script.write_text(f"MEGABYTES, STOPS = {megabytes}, {stops}\n{TRAIN}")
    monkeypatch.setattr(training_in_time, "ROOT", folder)
    options = ["--data", str(folder), "--runs", str(folder / "runs"), "--keep", str(folder / "records")]
    options += ["--output", str(folder / "record.json")]
    main(["osnet_cuhk03:scratch_x0_25", "--seconds", "10", *options])
    return folder / "records" / "gpu_osnet_cuhk03-scratch_x0_25-seed0"


def test_a_run_gets_the_epochs_that_fit_with_some_to_spare() -> None:
    """Of 100 seconds 85 are used: 5 once, and 8 epochs of 10."""
    assert EpochPace(epoch_s=10, once_s=5).epochs_in(100) == 8
    assert EpochPace(epoch_s=10, once_s=5).epochs_in(10) == 0


def test_a_finished_run_is_kept_with_its_small_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record says how many epochs it was, and what it scored."""
    kept = run(tmp_path, monkeypatch)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["finished_epochs"] == record["epochs"] > 2
    assert record["scores"] == {"rank1": 0.5}
    assert {path.name for path in kept.iterdir()} == {"log.jsonl", "scores.json", "model.pth"}


def test_a_large_checkpoint_is_left_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are small."""
    assert not (run(tmp_path, monkeypatch, megabytes=5) / "model.pth").exists()


def test_a_run_that_fails_leaves_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How far it came stands in the record."""
    with pytest.raises(ConfigError, match="exit code 1; its messages are above"):
        run(tmp_path, monkeypatch, stops=True)
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["scores"], record["last_epoch"]["epoch"]) == (None, record["finished_epochs"])
    [kept] = (tmp_path / "records" / "gpu_osnet_cuhk03-scratch_x0_25-seed0").iterdir()
    assert kept.name == "log.jsonl"


def test_too_little_time_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the two epochs that were tried."""
    monkeypatch.setattr(training_in_time, "_try", lambda _: EpochPace(epoch_s=20, once_s=5))
    options = ["--data", str(tmp_path), "--runs", str(tmp_path), "--output", str(tmp_path / "record.json")]
    with pytest.raises(ConfigError, match=r"one epoch takes 20\.0 s .* left of --seconds 10; give more"):
        main(["osnet_cuhk03:scratch_x0_25", "--seconds", "10", *options])
