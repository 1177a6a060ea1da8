"""What the demo says before it starts; `make demo` and the wheel's test run the whole of it."""

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.demo import run_demo


def test_typed_bare_it_names_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, a command with a source that may be at hand, and where to read on."""
    with pytest.raises(SystemExit) as ended:
        run_demo.main([])
    purpose, shortest, next_step = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert "on one machine" in purpose
    assert shortest.split(" --source ")[1]
    assert "edge_runtime/README.md" in next_step


@pytest.mark.parametrize("picture", ["walks.gif", "nowhere/walks.png"])
def test_a_picture_that_cannot_be_written_is_refused_first(picture: str) -> None:
    """Before the cameras run, not after a minute of them."""
    with pytest.raises(ConfigError, match=r"expected --picture to be a \.png or \.jpg file"):
        run_demo.main(["--source", "clip.avi", "--picture", picture])
