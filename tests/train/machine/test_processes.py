"""Several processes train as one, on the CPU, over gloo; started by torchrun or as torchrun does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import read_manifest
from tests.conftest import ROOT
from tests.support import train_together
from tests.support.market_folder import write_market_folder
from train.machine.processes import join_processes

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TWO = [sys.executable, ROOT / "tests" / "support" / "ranks.py", "2"]
"""As torchrun, in a third of its time."""


def output_of(command: list[str | Path]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_processes_train_as_one_with_the_whole_batch(capsys: pytest.CaptureFixture[str]) -> None:
    """The same losses, accuracy, weights and centres, but for the order of float32 sums.

    With triplets, centres and mutual learning. Batch norms are left out: PyTorch has none over processes without GPUs.
    """
    train_together.main()
    alone = json.loads(capsys.readouterr().out)
    together = json.loads(output_of([*TWO, train_together.__file__]))
    for ours, expected in zip(together["epochs"], alone["epochs"], strict=True):
        assert ours == pytest.approx(expected, rel=1e-5)
    assert together["weights"] == pytest.approx(alone["weights"], rel=1e-4, abs=1e-4)
    assert alone["epochs"][-1]["loss"] < alone["epochs"][0]["loss"]


def test_torchrun_leaves_one_run_folder(tmp_path: Path) -> None:
    """The first process alone writes; the scores are those of all images."""
    data = write_market_folder(tmp_path / "people", train=8, test=5)
    run = ["train/run.py", "osnet_cuhk03:scratch_x0_25", "--data", data, "--data-set", "folder", "--epochs", "1"]
    shown = output_of([*TORCHRUN, *run, "--device", "cpu", "--batch", "16", "--output", tmp_path / "runs"])
    assert shown.count("mean ap") == 1
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "settings.json").read_text())["processes"] == 2
    assert len((folder / "log.jsonl").read_text().splitlines()) == 1
    evidence = read_manifest(folder / "model.pth").evidence
    assert evidence is not None
    assert (evidence.queries, evidence.gallery) == (10, 20)


def test_a_mistake_among_several_is_one_sentence_and_no_traceback_of_ours(tmp_path: Path) -> None:
    """The others wait for the first to open the data; when it ends instead, they have nothing to add."""
    broken = write_market_folder(tmp_path / "people", train=8, test=5)
    for path in (broken / "query").iterdir():
        path.write_bytes(b"no picture")
    run = ["train/run.py", "osnet_cuhk03:scratch_x0_25", "--data", broken, "--data-set", "folder", "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*TWO, *run, "--output", tmp_path / "runs"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1
    assert "train/machine/processes.py" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.gpu
def test_a_gpu_that_is_not_there_is_said() -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match="finds no CUDA device; use --device cpu"), join_processes("cuda"):
        pass
