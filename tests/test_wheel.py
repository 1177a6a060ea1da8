"""The wheel, installed into an empty environment, works without the checkout it was built from."""

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import pytest

from edge_runtime.contract.script import SAMPLE_CLIP
from tests.conftest import ROOT

SCRIPTS = sorted(script.name for script in distribution("reid-edge").entry_points)
SOURCES = ("train", "export", "calibration", "edge_runtime", "benchmarks", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that holds the wheel and what it asks for, and no torch."""
    folder = tmp_path_factory.mktemp("wheel")
    sources = folder / "sources"
    for name in SOURCES:  # a copy, because setuptools leaves its build folders in what it builds from
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        sources.mkdir(exist_ok=True)
        copy(ROOT / name, sources / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, sources], check=True)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "empty")
    needs = f"{wheel}[runtime,cpu,gstreamer,gallery,export]"
    subprocess.run([*pip, "--python", folder / "empty/bin/python", "install", "--no-compile", needs], check=True)
    return folder / "empty/bin"


def answer(installed: Path, command: Sequence[str | Path], *, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run an installed command away from the checkout."""
    program, *arguments = command
    return subprocess.run([installed / program, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("script", SCRIPTS)
def test_installed_commands_teach(installed: Path, tmp_path: Path, script: str) -> None:
    """Each command of the wheel is there and explains itself, without torch."""
    found = answer(installed, [script, "--help"], cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert script in found.stdout


def test_a_missing_library_is_named_with_what_installs_it(installed: Path, tmp_path: Path) -> None:
    """Without torch a checkpoint cannot be exported: one sentence, no traceback."""
    found = answer(installed, ["reid-export", "model.pth", "--output", "models"], cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr == "error: this needs torch, which is not installed: pip install 'reid-edge[train]'\n"


def test_recipes_are_listed_with_our_figures(installed: Path, tmp_path: Path) -> None:
    """The records that `--list` shows are in the wheel."""
    found = answer(installed, ["reid-train", "--list", "reduced cuhk03"], cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    row = next(line for line in found.stdout.splitlines() if " reduced_cuhk03 " in line)
    assert "6.5 / 8.9" in row


def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Model, daemon and listener are in the wheel: ten seconds of the clip give descriptors, and none is missing."""
    command = [
        "python",
        "-m",
        "edge_runtime.demo.run_demo",
        "--source",
        SAMPLE_CLIP,
        "--seconds",
        "10",
        "--record",
        "record.json",
    ]
    found = answer(installed, command, cwd=tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    record = json.loads((tmp_path / "record.json").read_text())
    assert 0 < record["gallery"]["people"] <= record["gallery"]["tracks"] <= record["daemon"]["tracks"]
    assert (tmp_path / "demo.png").stat().st_size > 0
    assert record["listener"]["is_complete"]
    assert record["listener"]["descriptors"] == record["daemon"]["descriptors"] > 0
