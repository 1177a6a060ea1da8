"""What the demo says before it starts; `make demo` and the wheel's test run the whole of it."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import shipped_model
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


def test_a_fault_is_told_of_the_part_that_is_asked_about(tmp_path: Path) -> None:
    """A clock that nobody sets is no reason for a camera without frames: the last line about a camera is."""
    log = tmp_path / "daemon.log"
    log.write_text(
        "2026-01-01 00:00:00,000 WARNING camera door stalled: no frame for 3 s\n"
        "2026-01-01 00:00:01,000 WARNING the clock of this machine is not synchronised\n"
    )
    assert run_demo._last(log, " WARNING ", about="camera ") == "camera door stalled: no frame for 3 s"
    assert run_demo._last(log, " WARNING ") == "the clock of this machine is not synchronised"
    assert run_demo._last(log, " ERROR ") == ""


@pytest.mark.parametrize(("got", "is_told"), [(0.9, True), (4.0, False)])
def test_a_machine_that_is_too_slow_is_told(got: float, is_told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """People cannot be followed below two looks per second, so the other figures say little."""
    daemon = dict.fromkeys(
        ("frames", "frames_dropped", "people", "tracks", "descriptors", "resident_mib"), 0
    ) | dict.fromkeys(("latency_p50_ms", "latency_p95_ms", "start_to_first_message_s"))
    daemon |= {"looks": {"left": {"got": got, "wanted": 10.0}}, "engine": "none"}
    heard = {"descriptors": 0, "is_complete": True}
    run_demo._print_summary(daemon, heard, manifest=read_manifest(Path(shipped_model())))
    assert ("note: this machine is too slow" in capsys.readouterr().out) == is_told
