"""The examples for Ansible and Mender call what there is, with its exit codes."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.support.script_help import help_of

FOLDER = ROOT / "edge_runtime/install"
MENDER = FOLDER / "rollout_mender.sh"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """A folder as Mender makes it, and a `reid-edge` that notes how it was called and ends as `code` says."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/shop.bundle").touch()
    program = tmp_path / "reid-edge"
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\nexit $(cat {tmp_path}/code)\n')
    program.chmod(0o755)
    (tmp_path / "code").write_text("0")
    return tmp_path


def mender(node: Path, state: str) -> "subprocess.CompletedProcess[str]":
    """Call the update module as Mender's client does, in the folder of the payload."""
    environment = os.environ | {"PATH": f"{node}:{os.environ['PATH']}"}
    return subprocess.run([MENDER, state, node], cwd=node, env=environment, text=True, capture_output=True)


def test_mender_installs_and_goes_back(node: Path) -> None:
    """An install that is refused is a failed state, after which Mender asks for the rollback, of this bundle alone."""
    assert mender(node, "NeedsArtifactReboot").stdout == "No\n"
    assert mender(node, "SupportsRollback").stdout == "Yes\n"
    assert mender(node, "ArtifactInstall").returncode == 0
    (node / "code").write_text("3")
    assert mender(node, "ArtifactInstall").returncode == 3
    (node / "code").write_text("0")
    assert mender(node, "ArtifactRollback").returncode == 0
    install, again, rollback = (node / "calls").read_text().splitlines()
    config = "--config /etc/reid-edge/site.yaml"
    assert install == again == f"install {node}/files/shop.bundle {config} --wait-ready 120"
    assert rollback == f"rollback {node}/files/shop.bundle {config}"


@pytest.mark.parametrize("state", ["Download", "ArtifactCommit", "ArtifactFailure", "Cleanup", "ArtifactVerifyReboot"])
def test_mender_states_that_are_not_ours_do_nothing(node: Path, state: str) -> None:
    """They succeed without a word, so that Mender does what it does by itself."""
    found = mender(node, state)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    assert not (node / "calls").exists()


def test_the_playbook_calls_commands_that_exist() -> None:
    """It goes in stages, and no failed node is passed over."""
    [play] = yaml.safe_load((FOLDER / "rollout_ansible.yaml").read_text())
    assert play["serial"] == [1, "5%", "25%", "100%"]
    assert play["max_fail_percentage"] == 0
    [command] = [task["ansible.builtin.command"]["argv"] for task in play["tasks"] if "ansible.builtin.command" in task]
    for verb in ("install", "rollback"):
        assert verb in play["vars"]["verb"]
        shown = help_of("edge_runtime/daemon.py", verb)
        assert all(word in shown for word in command if word.startswith("--"))
