"""The documents say what is true: tables are those of the records, commands, settings and files exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.config import read_config
from tests.conftest import ROOT
from tests.support.script_help import help_of
from train.recipes.catalog import find_recipe

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(path for path in ROOT.glob("[a-z]*/**/README.md"))])
NAMES = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
_PROGRAMS = {
    "reid-edge": "edge_runtime/daemon.py",
    "reid-listen": "edge_runtime/listen.py",
    "reid-gallery": "edge_runtime/gallery/gallery_server.py",
    "reid-train": "train/run.py",
    "reid-evaluate": "train/evaluate.py",
    "reid-visualise": "train/visualise.py",
    "reid-average": "train/average.py",
    "reid-calibrate": "calibration/select_images.py",
    "reid-collect": "calibration/collect_site.py",
    "reid-site": "calibration/measure_site.py",
    "reid-export": "export/to_onnx.py",
    "reid-adopt": "export/adopt.py",
    "reid-build": "export/build_engine.py",
    "reid-bundle": "export/building/make_bundle.py",
    "reid-compare": "export/compare.py",
}
"""The script behind each installed command."""
_WITH_KINDS = ("train/visualise.py", "edge_runtime/daemon.py")
"""Scripts whose first argument may be a kind with options of its own."""


def blocks(name: str) -> list[tuple[str, str]]:
    """The code blocks of a document: (language, text)."""
    return re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / name).read_text(), flags=re.DOTALL | re.MULTILINE)


def commands(name: str) -> set[str]:
    """The commands of our own scripts in a document's code blocks."""
    lines = [line.split("#")[0].strip() for _, block in blocks(name) for line in block.splitlines()]
    ours = ("python ", "torchrun ", *(f"{program} " for program in _PROGRAMS))
    return {line for line in lines if line.startswith(ours)}


COMMANDS = sorted({command for name in NAMES for command in commands(name)})


def test_tables_are_those_of_the_committed_records() -> None:
    """Every figure comes from a record."""
    command = [sys.executable, ROOT / "benchmarks/readme_tables.py", "--check"]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_exists(command: str) -> None:
    """The script is there, its --help knows the options, and a recipe that is named exists."""
    program, *arguments = shlex.split(command)
    if program == "torchrun":
        arguments = arguments[next(place for place, word in enumerate(arguments) if word.endswith(".py")) :]
    script = _PROGRAMS[program] if program in _PROGRAMS else arguments.pop(0)
    kind = arguments[:1] if script in _WITH_KINDS and not arguments[0].startswith("--") else []
    for option in (argument for argument in arguments if argument.startswith("--")):
        assert option in help_of(script, *kind), option
    if script == "train/run.py" and not arguments[0].startswith("--"):
        assert find_recipe(arguments[0]).name == arguments[0]


def test_the_commands_of_the_wheel_are_those_of_the_documents() -> None:
    """A new console script is told here, or a document that names it is not checked."""
    text = (ROOT / "pyproject.toml").read_text()
    scripts = re.search(r"\[project\.scripts\]\n(.*?)\n\n", text, flags=re.DOTALL)
    assert scripts
    told = dict(re.findall(r'^(\S+) = "([\w.]+):command"$', scripts[1], flags=re.MULTILINE))
    assert {name: module.replace(".", "/") + ".py" for name, module in told.items()} == _PROGRAMS


@pytest.mark.parametrize("name", [name for name in NAMES if any(text.startswith("site:") for _, text in blocks(name))])
def test_the_configurations_shown_are_valid(name: str, tmp_path: Path) -> None:
    """They can be copied and started from, once the files they name are there."""
    for number, text in enumerate(text for _, text in blocks(name) if text.startswith("site:")):
        path = tmp_path / f"site{number}.yaml"
        path.write_text(text)
        for file in re.findall(r"[\w./-]+\.(?:onnx|pem)|(?<=_file: )\w+", text):
            (tmp_path / file).touch()
        assert read_config(path).cameras


@pytest.mark.parametrize("name", [name for name in NAMES if name != "CHANGELOG.md"])  # it names what was
def test_every_file_named_exists(name: str) -> None:
    """Links, counted from the document, and paths of the project in code style, counted from its root."""
    text, folder = (ROOT / name).read_text(), (ROOT / name).parent
    links = [link for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text) if not (folder / link).exists()]
    tops = "benchmarks|calibration|edge_runtime|export|tests|train"
    paths = re.findall(rf"`(?:python )?((?:{tops})/[\w./-]+\.\w+)`", text)
    assert links + [path for path in paths if not (ROOT / path).exists()] == []


def test_the_readme_is_one_page() -> None:
    """A stranger reads it in a minute; what is longer belongs into a manual."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130
