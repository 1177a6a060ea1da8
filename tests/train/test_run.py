"""The commands `train/run.py` and `train/evaluate.py` as a researcher types them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import pytest
import torch

from edge_runtime.contract.errors import CheckpointError, ConfigError, DataError
from edge_runtime.contract.manifest import read_manifest, write_manifest
from tests.conftest import ROOT
from tests.support.market_folder import pattern, write_market_folder
from tests.support.small_checkpoint import write_checkpoint
from tests.support.tiny_network import write_tiny_network
from train import evaluate, run, visualise
from train.datasets import catalog as datasets
from train.machine.processes import Processes
from train.models.catalog import build
from train.models.checkpoint import save
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Expected
from train.training import runs

RECIPE = "osnet_cuhk03:scratch_x0_25"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data set that passes for CUHK03: 16 people, 96 training images."""
    folder = write_market_folder(tmp_path / "data", train=16, test=16)
    counts = {"training images": 96, "query images": 32, "gallery images": 64}
    small = replace(datasets.DATA_SETS["cuhk03_np_detected"], terms="made by the test", counts=counts)
    monkeypatch.setitem(datasets.DATA_SETS, "cuhk03_np_detected", small)
    return folder


def test_a_short_run_leaves_everything_a_researcher_needs(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoint with manifest and scores, log, curves, settings; evaluate finds the same scores again."""
    published = find_recipe(RECIPE).variant(RECIPE, expected=Expected("a paper", rank1=0.571))
    monkeypatch.setattr(run, "find_recipe", lambda name: published)
    arguments = [RECIPE, "--data", str(data), "--output", str(tmp_path / "runs"), "--epochs", "2"]
    threads = torch.get_num_threads()
    try:
        assert run.main([*arguments, "--threads", "1"]) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert " on cuhk03_np_detected; published: rank1 0.571\n" in capsys.readouterr().out
    folder = tmp_path / "runs" / "osnet_cuhk03-scratch_x0_25-seed0"
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in log] == [1, 2]
    assert list((folder / "events").glob("events.out.tfevents.*"))
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
    (tmp_path / "osnet_cuhk03-scratch_x0_25-seed0" / "settings.json").unlink()
    with pytest.raises(ConfigError, match=r"nothing to resume: expected .*settings\.json"):
        run.main([*arguments, "--resume"])


def test_a_resumed_run_keeps_its_beginning(data: Path, tmp_path: Path) -> None:
    """Options may not say something else than at the start; what a stop left in the log is dropped; settings stay."""
    arguments = [RECIPE, "--data", str(data), "--output", str(tmp_path), "--epochs", "1"]
    assert run.main(arguments) == 0
    folder = tmp_path / "osnet_cuhk03-scratch_x0_25-seed0"
    with pytest.raises(ConfigError, match=r"was started with --epochs 1, not 2; continue with the same options"):
        run.main([*arguments[:-1], "2", "--resume"])
    with pytest.raises(ConfigError, match=r"was started with --batch 64, not 32; continue with the same options"):
        run.main([*arguments, "--batch", "32", "--resume"])
    with pytest.raises(ConfigError, match=r"was not started from .*; leave --weights out"):
        run.main([*arguments, "--resume", "--weights", str(folder / "model.pth")])
    settings = (folder / "settings.json").read_bytes()
    log = (folder / "log.jsonl").read_bytes()
    (folder / "log.jsonl").write_bytes(log + b'{"epoch": 2, "lo')
    assert run.main([*arguments, "--resume"]) == 0
    assert (folder / "log.jsonl").read_bytes() == log
    assert (folder / "settings.json").read_bytes() == settings


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_says_how_to_go_on(data: Path, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """Ctrl-C and a scheduler's SIGTERM end training with one sentence."""
    options = ["--data", data, "--data-set", "folder", "--epochs", "500", "--output", tmp_path / "runs"]
    command = [sys.executable, "train/run.py", RECIPE, *options, "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stderr is not None
            next(line for line in running.stderr if line.startswith("epoch 1 "))
            running.send_signal(sent)
            rest = running.communicate(timeout=60)[1].splitlines()
        finally:
            running.kill()
    assert running.returncode == code
    assert re.fullmatch(r"stopped by the user in epoch \d+; continue with --resume", rest[-1])


LIST_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from train.run import command
sys.argv = ["reid-train", "--list", "pyramid table 1"]
command()
"""


def test_recipes_are_listed_without_torch() -> None:
    """Whoever only looks for a recipe need not install it, and does not wait for it."""
    done = subprocess.run([sys.executable, "-c", LIST_WITHOUT_TORCH], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "95.7 / 88.2" in done.stdout


@pytest.mark.parametrize("main", [run.main, evaluate.main, visualise.main])
def test_a_script_typed_bare_answers_in_three_lines(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """What it does, the shortest command, and where to read on; the exit code is that of a wrong call."""
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert [line.partition(" ")[0] for line in capsys.readouterr().err.splitlines()[1:]] == ["try:", "next:"]


EVALUATE_WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from edge_runtime.contract.script import run
from train import evaluate
sys.exit(run(evaluate.main))
"""


def test_an_onnx_file_is_scored_without_torch(data: Path, tmp_path: Path) -> None:
    """A camera has no PyTorch: ONNX files and engines do not need it, and a checkpoint says that it does."""
    model = write_tiny_network(tmp_path)
    command = [sys.executable, "-c", EVALUATE_WITHOUT_TORCH, str(model), "--data", str(data)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "by onnxruntime" in done.stdout
    manifest = read_manifest(model)
    artefact = manifest.artefact.model_copy(update={"kind": "checkpoint"})
    write_manifest(manifest.model_copy(update={"artefact": artefact}), model)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {model} is a checkpoint, which needs PyTorch")


def test_what_cannot_work_is_said_before_training_starts(data: Path, tmp_path: Path) -> None:
    """Missing weights, weights of another network, a wrong recipe, an empty folder, no epochs."""
    common = ["--data", str(data), "--output", str(tmp_path / "runs")]
    with pytest.raises(ConfigError, match="give them with --weights"):
        run.main(["osnet_cuhk03:x0_25", *common])
    save({"state_dict": build("osnet_x0_5", classes=5).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="belongs to another network"):
        run.main(["osnet_cuhk03:x0_25", *common, "--weights", str(tmp_path / "other.pth")])
    stated = write_checkpoint(tmp_path, "osnet_x0_5")
    with pytest.raises(CheckpointError, match=r"holds osnet_x0_5, the recipe trains osnet_x0_25; .* another network"):
        run.main(["osnet_cuhk03:x0_25", *common, "--weights", str(stated)])
    with pytest.raises(ConfigError, match="--threads must be at least 1"):
        run.main([RECIPE, *common, "--threads", "0"])
    with pytest.raises(ConfigError, match="unknown recipe"):
        run.main(["osnet", *common])
    with pytest.raises(ConfigError, match="at least 1"):
        run.main([RECIPE, *common, "--epochs", "0"])
    with pytest.raises(ConfigError, match="--seed must be from 0 to 4294967295, found -1"):
        run.main([RECIPE, *common, "--seed", "-1"])
    with pytest.raises(ConfigError, match=r"cannot make the folder .*other\.pth"):
        run.main([RECIPE, "--data", str(data), "--output", str(tmp_path / "other.pth")])
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="finds no CUDA device; use --device cpu"):
            run.main([RECIPE, *common, "--device", "cuda"])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["osnet_cuhk03-x0_25-seed0"]  # of the wrong weights
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="bounding_box_train, which is missing"):
        run.main([RECIPE, "--data", str(tmp_path / "empty")])


def test_a_broken_test_image_is_said_before_training_starts(data: Path, tmp_path: Path) -> None:
    """It is needed only at the end, but then the training would have been for nothing."""
    broken = next((data / "query").glob("*.jpg"))
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.raises(DataError, match=broken.name):
        run.main([RECIPE, "--data", str(data), "--output", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()


def test_the_list_shows_what_papers_report_and_takes_a_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    """A row's figures stand beside its recipe's name."""
    assert run.main(["--list", "cuhk03:scratch"]) == 0
    shown = capsys.readouterr().out
    assert "57.1 / 54.2" in next(line for line in shown.splitlines() if "osnet_cuhk03:scratch " in line)
    assert "osnet_market1501" not in shown


def test_an_own_folder_of_few_people_trains_without_tricks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A folder for each person, fewer images than a batch; and it is scored on another folder if that is wished."""
    for person in range(12):
        for camera in (1, 2):
            path = tmp_path / "My People" / f"person{person}" / f"{person:04d}_c{camera}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pattern(person, camera=camera, copy=0))
    other = write_market_folder(tmp_path / "elsewhere", train=2, test=4)
    arguments = [RECIPE, "--data", str(tmp_path / "My People"), "--data-set", "folder", "--epochs", "1"]
    arguments += ["--output", str(tmp_path / "runs"), "--test-data", str(other)]
    assert run.main(arguments) == 0
    assert "smaller than a batch of 64: batches shrink to 12 (choose with --batch N)" in caplog.text
    assert "on elsewhere" in capsys.readouterr().out
    manifest = read_manifest(tmp_path / "runs" / "osnet_cuhk03-scratch_x0_25-on-my_people-seed0" / "model.pth")
    assert manifest.model_id.startswith("osnet_x0_25-my_people-")
    assert manifest.evidence is not None
    assert manifest.evidence.data_set == "elsewhere"


def test_random_splits_end_in_mean_and_deviation(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run folder per split; a stopped series goes on with the splits that are missing, with the same options."""
    small = find_recipe(RECIPE).variant(RECIPE, splits=2, height_px=64, width_px=32)
    monkeypatch.setattr(run, "find_recipe", lambda name: small)
    monkeypatch.setattr(runs, "open_data", lambda name, folder, split: datasets.open_data(name, folder))
    arguments = [RECIPE, "--data", str(data), "--output", str(tmp_path / "runs"), "--epochs", "1"]
    assert run.main(arguments) == 0
    folder = tmp_path / "runs" / "osnet_cuhk03-scratch_x0_25-seed0"
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    each = [json.loads((folder / f"split{n}" / "scores.json").read_text())["scores"]["first"] for n in (0, 1)]
    assert scores["mean"]["mean_ap"] == pytest.approx((each[0]["mean_ap"] + each[1]["mean_ap"]) / 2)
    first = (folder / "split0" / "model.pth").stat().st_mtime_ns
    shutil.rmtree(folder / "split1")
    capsys.readouterr()
    assert run.main([*arguments, "--resume"]) == 0
    assert (folder / "split0" / "model.pth").stat().st_mtime_ns == first
    assert "over 2 splits" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"split0 was started with --epochs 1, not 2; continue with the same options"):
        run.main([*arguments[:-1], "2", "--resume"])
    shutil.rmtree(folder / "split1")
    with pytest.raises(ConfigError, match=r"split0 was started with --epochs 1, not 2; continue with the same options"):
        run.main([*arguments[:-1], "2", "--resume"])


def test_splits_that_are_still_to_begin_need_their_weights_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without them, or with others, they would train from another start than their series; the rest needs none."""
    small = find_recipe("osnet_cuhk03:x0_25").variant("small", splits=2, height_px=64, width_px=32)
    monkeypatch.setattr(run, "find_recipe", lambda name: small)
    monkeypatch.setattr(runs, "open_data", lambda name, folder, split: datasets.open_data(name, folder))
    weights, others = tmp_path / "weights.pth", tmp_path / "others.pth"
    for path in (weights, others):
        save({"state_dict": build("osnet_x0_25", classes=5).state_dict()}, path)
    arguments = ["small", "--data", str(data), "--output", str(tmp_path), "--epochs", "1"]
    assert run.main([*arguments, "--weights", str(weights)]) == 0
    assert run.main([*arguments, "--resume"]) == 0
    shutil.rmtree(tmp_path / "small-seed0" / "split1")
    with pytest.raises(ConfigError, match=r"split1 has not begun, and .* started from weights; add the --weights"):
        run.main([*arguments, "--resume"])
    with pytest.raises(ConfigError, match=r"not started from .*others\.pth; give the file that it was started from"):
        run.main([*arguments, "--resume", "--weights", str(others)])
    assert not (tmp_path / "small-seed0" / "split1").exists()
    assert run.main([*arguments, "--resume", "--weights", str(weights)]) == 0


def test_several_gpus_do_not_compile(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch norms over all of them cannot be part of a compiled network."""
    several = Processes(torch.device("cuda"), rank=0, count=2)
    monkeypatch.setattr(runs, "join_processes", lambda wish: nullcontext(several))
    with pytest.raises(ConfigError, match="--compile is for one GPU, found several processes; leave --compile out"):
        run.main([RECIPE, "--data", str(data), "--compile"])


def test_options_that_a_recipe_cannot_take_are_refused(data: Path) -> None:
    """Before any data is read."""
    common = ["--data", str(data)]
    with pytest.raises(ConfigError, match="is tested on dukemtmcreid; give its folder with --test-data DIR"):
        run.main(["osnet_ibn_market1501_to_dukemtmcreid", *common, "--weights", "any.pth"])
    with pytest.raises(ConfigError, match="--test-data is for re-identification"):
        run.main(["osnet_cifar10", *common, "--test-data", str(data)])
    with pytest.raises(ConfigError, match=r"expected a checkpoint at --weights .*nothing\.pth, found no file"):
        run.main([RECIPE, *common, "--weights", str(data / "nothing.pth")])
    with pytest.raises(ConfigError, match="--evaluate-every must be at least 1"):
        run.main([RECIPE, *common, "--evaluate-every", "0"])
