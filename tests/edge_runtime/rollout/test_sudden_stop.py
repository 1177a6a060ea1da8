"""Whenever an install or a rollback is cut off, the engine before or the new one is in use, whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.rollout_node import RolloutNode
from tests.support.stop_at_change import Attempt

SWAP = "current.new"


@pytest.fixture
def node(tmp_path: Path) -> RolloutNode:
    """A node that uses the first of two bundles."""
    node = RolloutNode(tmp_path)
    assert node.install(node.bundle(1)) == 0
    node.bundle(2)
    return node


def attempts(node: RolloutNode, command: str) -> list[Attempt]:
    """See `tests.support.stop_at_change`."""
    bundles = [str(node.folder / f"tiny{seed}.bundle") for seed in (1, 2)]
    words = [sys.executable, "-m", "tests.support.stop_at_change", command, str(node.config), *bundles]
    found = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert found.returncode == 0
    return [Attempt(**json.loads(line)) for line in found.stdout.splitlines()]


@pytest.mark.parametrize(("command", "kept"), [("install", 2), ("rollback", 1)])
def test_kill_9_before_each_change_of_the_disk(node: RolloutNode, command: str, kept: int) -> None:
    """All changes up to the exchange leave the engine before, all later ones the new one; asking again ends it."""
    *killed, last = attempts(node, command)
    assert last.status == 0
    assert all(attempt.status < 0 for attempt in killed)
    [swap] = [
        place
        for place, attempt in enumerate(killed)
        if attempt.change.startswith("os.rename") and SWAP in attempt.change
    ]
    assert [attempt.after == attempt.before for attempt in killed] == [place <= swap for place in range(len(killed))]
    assert len(killed) - 1 > swap > (10 if command == "install" else 2)
    for attempt in (*killed, last):
        assert (attempt.again, attempt.kept) == (0, kept)
        assert attempt.at_last != attempt.before


def test_a_power_cut_finds_all_of_the_engine_on_the_disk(node: RolloutNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders are stored for good before the exchange, and the exchange itself before it is told."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(file: int) -> None:
        calls.append(os.path.relpath(os.readlink(f"/proc/self/fd/{file}"), node.engines))
        fsync(file)

    def note_replace(source: Path, target: Path) -> None:
        calls.append(f"to {target.name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    assert node.install(node.folder / "tiny2.bundle") == 0
    name = (node.engines / "current").readlink().name
    before, after = calls[: calls.index("to current")], calls[calls.index("to current") + 1 :]
    assert set(before) == {".", name, f"{name}/engine", f"{name}/engine.json", f"{name}/bundle.json"}
    assert before.index(name) > max(before.index(f"{name}/{file}") for file in ("engine", "engine.json", "bundle.json"))
    assert after == ["."]
