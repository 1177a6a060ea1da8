"""The one command for a machine with a GPU, as far as it goes without one."""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from benchmarks.gpu_evidence import main
from edge_runtime.contract.errors import ConfigError
from edge_runtime.engine.cuda import driver_unavailable
from measuring.evidence_steps import Site, steps
from tests.conftest import ROOT

STEPS = ("tensorrt", "latency", "accuracy", "training", "crop_kernel")


def site(folder: Path) -> Site:
    """A machine on which everything can be done, so that every command is whole."""
    return Site(
        python=sys.executable,
        tensorrt_python=sys.executable,
        work=folder,
        data=folder / "data",
        checkpoint=folder / "model.pth",
        recipes=("osnet_cuhk03:scratch",),
        no_device=None,
        no_tensorrt=None,
    )


@pytest.mark.gpu
@pytest.mark.skipif(driver_unavailable() is None, reason="is about machines without an NVIDIA driver, this has one")
def test_without_a_gpu_every_step_ends_in_a_record_that_says_so(tmp_path: Path) -> None:
    """At once, with the moment, the commit and the commands that would have run."""
    (tmp_path / "data").mkdir()
    options = ["--data", str(tmp_path / "data"), "--records", str(tmp_path / "records"), "--minutes", "1"]
    assert main(options) == 1
    for name in STEPS:
        record = json.loads((tmp_path / "records" / f"gpu_{name}.json").read_text())
        assert record["benchmark"] == f"gpu_{name}"
        assert record["commit"]
        assert record["gpu"] is None
        assert record["errors"]
        assert all("no CUDA device" in command["error"] for command in record["commands"])
        assert record["spent_s"] < 1
        assert str(ROOT) not in json.dumps(record)


@cache
def _help(script: str) -> str:
    return subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_every_command_knows_its_options(tmp_path: Path) -> None:
    """The scripts live on; a renamed option would be found on the rented machine only."""
    found = steps(site(tmp_path))
    assert tuple(step.name for step in found) == STEPS
    for command in (command for step in found for command in step.commands):
        _, script, *arguments = command.arguments
        assert Path(script).is_relative_to(ROOT)
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in _help(script), f"{script} {option}"


def test_engines_are_scored_after_they_were_built(tmp_path: Path) -> None:
    """What the last command of the accuracy step takes are the outputs of those before it."""
    [*builders, score] = next(step for step in steps(site(tmp_path)) if step.name == "accuracy").commands
    engines = {path for path in score.inputs if path.suffix == ".engine"}
    built = {Path(one.arguments[-1]) for one in builders if "build_engine.py" in one.arguments[1]}
    assert engines == built


def test_without_tensorrt_pytorch_is_still_measured(tmp_path: Path) -> None:
    """Latency, accuracy and training have commands that need only CUDA."""
    without = Site(**(vars(site(tmp_path)) | {"no_tensorrt": "no TensorRT"}))
    left = {step.name for step in steps(without) if any(one.unavailable is None for one in step.commands)}
    assert left == {"latency", "accuracy", "training", "crop_kernel"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--minutes", "0"], "--minutes above 0"), (["--bundle", "missing"], "expected missing to exist")],
)
def test_bad_input_ends_in_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    """Before time is spent."""
    with pytest.raises(ConfigError, match=sentence):
        main(["--data", str(tmp_path), *options])
