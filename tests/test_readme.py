"""The README says what is true: its tables are those of the records, its commands and settings exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.config import read_config
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = sorted(
    {line.split("#")[0].strip() for _, block in BLOCKS for line in block.splitlines() if line.startswith("python ")}
)


def test_tables_are_those_of_the_committed_records() -> None:
    """Every figure comes from a record."""
    command = [sys.executable, ROOT / "benchmarks/readme_tables.py", "--check"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_exists(command: str) -> None:
    """The script is there and its --help knows the options."""
    _, script, *arguments = shlex.split(command)
    found = subprocess.run([sys.executable, ROOT / script, "--help"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in found.stdout, option


def test_the_configuration_shown_is_valid(tmp_path: Path) -> None:
    """It can be copied and started from, once the files it names are there."""
    [text] = [block for language, block in BLOCKS if language == "yaml"]
    (tmp_path / "site.yaml").write_text(text)
    for name in re.findall(r"[\w./-]+\.(?:onnx|pem)|(?<=_file: )\w+", text):
        (tmp_path / name).touch()
    config = read_config(tmp_path / "site.yaml")
    assert [camera.id for camera in config.cameras] == ["entrance", "till"]


def test_every_file_named_exists() -> None:
    """Links and paths of the project."""
    named = re.findall(r"\]\(([\w./-]+)\)", README) + re.findall(
        r"`((?:benchmarks|edge_runtime|tests)/[\w./-]+)`", README
    )
    assert named
    assert [path for path in named if not Path(ROOT / path).exists()] == []
