"""The one command for a machine with a GPU, as far as it goes without one."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from benchmarks.gpu_evidence import Interpreter, find_tensorrt_interpreter, hide_paths, main
from benchmarks.measuring.evidence_steps import Site, list_steps
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import manifest_path
from edge_runtime.engine.tensorrt.cuda import driver_unavailable
from tests.conftest import ROOT

STEPS = ("tensorrt", "latency", "accuracy", "training", "crop_kernel")


def site(folder: Path) -> Site:
    """A machine on which everything can be done, so that every command is whole."""
    return Site(
        python=sys.executable,
        tensorrt_python=sys.executable,
        work=folder,
        records=folder / "records",
        data=folder / "data",
        model=folder / "models" / "model.onnx",
        checkpoint=folder / "model.pth",
        recipes=("osnet_cuhk03:scratch",),
        no_device=None,
        no_tensorrt=None,
    )


def test_only_whole_paths_are_called_by_what_they_are() -> None:
    """A word that a folder's name begins with stays what it is."""
    named = {"/home/me/data": "DATA", "/home/me": "HOME"}
    assert hide_paths("--data /home/me/data --data-set data_set /home/me/x", named) == (
        "--data DATA --data-set data_set HOME/x"
    )


@pytest.mark.gpu
@pytest.mark.skipif(driver_unavailable() is None, reason="is about machines without an NVIDIA driver, this has one")
def test_without_a_gpu_every_step_ends_in_a_record_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, with the moment, the commit and the commands that would have run."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    options = ["--data", "data", "--records", "records", "--minutes", "1"]
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
        assert str(tmp_path) not in json.dumps(record)


@cache
def _help(script: str) -> str:
    return subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_every_command_knows_its_options(tmp_path: Path) -> None:
    """The scripts live on; a renamed option would be found on the rented machine only."""
    found = list_steps(site(tmp_path))
    assert tuple(step.name for step in found) == STEPS
    for command in (command for step in found for command in step.commands):
        _, script, *arguments = command.arguments
        assert Path(script).is_relative_to(ROOT)
        for option in (argument for argument in arguments if argument.startswith("--")):
            assert option in _help(script), f"{script} {option}"


@pytest.mark.parametrize("has_checkpoint", [True, False])
@pytest.mark.parametrize("name", STEPS)
def test_what_a_command_takes_was_made_before_it(name: str, has_checkpoint: bool, tmp_path: Path) -> None:
    """In the same step, so that each can be run without the others."""
    here = site(tmp_path)
    found = here if has_checkpoint else replace(here, checkpoint=None)
    there = {manifest_path(found.checkpoint or found.model)}
    for command in next(step for step in list_steps(found) if step.name == name).commands:
        assert {manifest_path(path) for path in command.inputs} <= there, command.arguments
        there |= set(command.makes)


def test_without_tensorrt_pytorch_is_still_measured(tmp_path: Path) -> None:
    """Every step has commands that need only CUDA."""
    without = replace(site(tmp_path), no_tensorrt="no TensorRT")
    left = {step.name for step in list_steps(without) if any(one.unavailable is None for one in step.commands)}
    assert left == set(STEPS)


def test_only_tensorrts_python_runs_engines(tmp_path: Path) -> None:
    """The one with torch writes networks and trains; it may have no TensorRT, and the other one no torch."""
    here = replace(site(tmp_path), python="/torch", tensorrt_python="/tensorrt")
    torch_free = {
        "benchmarks/tensorrt_smoke.py",
        "benchmarks/gpu_cropping.py",
        "benchmarks/latency.py",
        "benchmarks/accuracy.py",
        "calibration/quantize.py",
        "export/build_engine.py",
    }
    scripts = {
        str(Path(command.arguments[1]).relative_to(ROOT))
        for step in list_steps(here)
        for command in step.commands
        if command.arguments[0] == "/tensorrt"
    }
    assert scripts == torch_free


def write_bundle(folder: Path, *, unpacks: bool = True) -> Path:
    """A bundle as pack_tensorrt.py makes them, or a damaged one."""
    folder.mkdir()
    unpack = "import pathlib, sys; dest = pathlib.Path(sys.argv[-1]); dest.mkdir(); (dest / 'env.sh').write_text("
    environment = 'export PYTHONPATH="SITE${PYTHONPATH:+:$PYTHONPATH}"; export LD_LIBRARY_PATH=LIBRARIES'
    fault = "import sys; sys.exit('parts not usable: part-001 damaged')"
    (folder / "pack_tensorrt.py").write_text(f"{unpack}{environment!r})" if unpacks else fault)
    return folder


def test_each_python_has_an_environment_of_its_own(tmp_path: Path) -> None:
    """Packages of one Python break the other one."""
    own = Interpreter("/torch", {"PYTHONPATH": "packages"})
    bundle = write_bundle(tmp_path / "bundle")
    other = find_tensorrt_interpreter(Path("python/bin/python3"), bundle, own=own, work=tmp_path)
    assert other.path == str(tmp_path / "tensorrt" / "python/bin/python3")
    assert other.environment["PYTHONPATH"] == f"SITE:{ROOT}"
    assert other.environment["LD_LIBRARY_PATH"] == "LIBRARIES"
    assert own.environment == {"PYTHONPATH": "packages"}


def test_a_broken_bundle_becomes_the_reason_why_there_is_no_tensorrt(tmp_path: Path) -> None:
    """PyTorch is measured all the same."""
    bundle = write_bundle(tmp_path / "bundle", unpacks=False)
    other = find_tensorrt_interpreter(None, bundle, own=Interpreter(sys.executable, os.environ), work=tmp_path)
    assert other.fault is not None
    assert other.fault.endswith("parts not usable: part-001 damaged")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [(["--minutes", "0"], "--minutes above 0"), (["--bundle", "missing"], "expected missing to exist")],
)
def test_bad_input_ends_in_a_sentence(options: list[str], sentence: str, tmp_path: Path) -> None:
    """Before time is spent."""
    with pytest.raises(ConfigError, match=sentence):
        main(["--data", str(tmp_path), *options])
