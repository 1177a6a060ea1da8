"""What all scripts of the benchmarks have in common."""

from pathlib import Path

import pytest

from benchmarks.readme_tables import main
from tests.conftest import ROOT

SCRIPTS = sorted(path for path in (ROOT / "benchmarks").glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_answers_a_wrong_command_line_in_three_lines(path: Path) -> None:
    """The parser that teaches does; workers, which other scripts start, lie in folders below and need it not."""
    assert "ScriptParser(" in path.read_text()
    assert "argparse.ArgumentParser(" not in path.read_text()


def test_the_three_lines_are_the_fault_what_works_and_where_to_read_on(capsys: pytest.CaptureFixture[str]) -> None:
    """As an example, the script with the fewest options."""
    with pytest.raises(SystemExit, match="2"):
        main(["--chek"])
    fault, try_, next_ = capsys.readouterr().err.splitlines()
    assert fault == "error: unrecognized arguments: --chek"
    assert try_.endswith("--check")
    assert next_.startswith("next: read benchmarks/README.md")
