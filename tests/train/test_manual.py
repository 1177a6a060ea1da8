"""train/README.md says what is true: its data sets are those of the catalog, its commands and files exist."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from train.datasets.catalog import DATA_SETS
from train.datasets.data_set import DataSet
from train.recipes.catalog import find_recipe

MANUAL = (ROOT / "train" / "README.md").read_text()
COMMANDS = re.findall(r"^(?:python|torchrun --nproc-per-node 4) (train/.*?)(?: +#.*)?$", MANUAL, flags=re.MULTILINE)
HEAD = (
    "| `--data-set` | data set | for | training images | test images | published by |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def row_of(data_set: DataSet) -> str:
    counts = data_set.counts
    people = f" of {counts['training identities']:,} people" if "training identities" in counts else ""
    train = f"{counts['training images']:,}{people}" if counts else "all of its four"
    query = f"{counts['query images']:,} queries, " if "query images" in counts else ""
    test = counts.get("gallery images", counts.get("test images"))
    cells = (
        f"`{data_set.name}`",
        data_set.title,
        data_set.kind,
        train,
        f"{query}{test:,}" if test else "-",
        data_set.paper or "-",
    )
    return f"| {' | '.join(cells)} |"


def test_the_table_of_data_sets_is_that_of_the_catalog() -> None:
    """Whoever adds a data set adds its line, which the failure prints."""
    expected = "\n".join([HEAD, *map(row_of, DATA_SETS.values())])
    [table] = re.findall(r"<!-- table data sets -->\n(.*?)\n?<!-- end -->", MANUAL, flags=re.DOTALL)
    assert table == expected


@pytest.mark.parametrize("script", ["train/run.py", "train/evaluate.py", "train/visualise.py"])
def test_every_option_and_recipe_of_a_command_exists(script: str) -> None:
    """The script's --help, or that of its kind of picture, knows the options."""
    commands = [shlex.split(command) for command in COMMANDS if command.startswith(script)]
    assert commands
    for _, *arguments in commands:
        kind = arguments[:1] if "visualise" in script else []
        command = [sys.executable, ROOT / script, *kind, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert [option for option in arguments if option.startswith("--") and option not in shown] == []
        if script == "train/run.py" and not arguments[0].startswith("--"):
            assert find_recipe(arguments[0]).name == arguments[0]


def test_every_file_named_exists() -> None:
    """Paths of the project, in code type."""
    named = re.findall(r"`(train/[\w/]+\.py)`", MANUAL)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
