"""Installing and going back on a node: what is in use afterwards, what is left on the disk, and the exit codes."""

import fcntl
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.measuring.small_disk import fill_disk, mount_small_disk
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.health.checks import name_file
from edge_runtime.health.server import Check, HealthServer
from edge_runtime.rollout import running_daemon
from tests.support.rollout_node import RolloutNode, make_key


@pytest.fixture
def node(tmp_path: Path) -> RolloutNode:
    """A node without an engine."""
    return RolloutNode(tmp_path)


class ToldHealth:
    """A health server that is ready with the engine in use, but for what it is told. It needs no restarts."""

    def __init__(self, node: RolloutNode) -> None:
        self.faults: dict[int, str] = {}
        """By the seed of the engine in use: why the daemon is not ready with it."""
        self._node = node
        self.server = HealthServer(liveness=list, readiness=self._checks, figures=list)
        node.settings |= {"health": {"port": self.server.port}}
        node.write()

    def _checks(self) -> list[Check]:
        if not (self._node.engines / "current").exists():
            return []
        sha256 = read_manifest(self._node.engines / "current/engine").artefact.sha256
        fault = self.faults.get(self._node.uses())
        return [Check("engine", True, name_file(sha256)), Check("cameras", fault is None, fault or "1 of 1 live")]


@pytest.fixture
def health(node: RolloutNode, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToldHealth]:
    """See `ToldHealth`."""
    monkeypatch.setattr(running_daemon, "_BETWEEN_S", 0.01)
    told = ToldHealth(node)
    yield told
    told.server.close()


def test_an_engine_is_exchanged_and_taken_back(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """The engine before is kept, older ones are not; doing it again changes nothing."""
    one, two, three = (node.bundle(seed) for seed in (1, 2, 3))
    for bundle, seed in ((one, 1), (two, 2), (three, 3)):
        assert node.install(bundle) == 0
        assert node.uses() == seed
    assert node.kept() == 2
    before = (node.engines / "current").readlink()
    assert node.install(three) == 0
    assert (node.engines / "current").readlink() == before
    assert "is in use already" in capsys.readouterr().out
    assert node.rollback() == 0
    assert (node.uses(), node.kept()) == (2, 1)
    assert node.rollback() == 2
    assert node.uses() == 2
    assert "there is no engine before" in capsys.readouterr().err


def test_going_back_from_a_bundle_twice_goes_back_once(node: RolloutNode) -> None:
    """So that whoever was interrupted can ask again, and one whose install was refused takes nothing away."""
    one, two, other = (node.bundle(seed) for seed in (1, 2, 3))
    assert node.rollback(str(one)) == 0
    assert [node.install(bundle) for bundle in (one, two)] == [0, 0]
    assert node.rollback(str(other)) == 0
    assert node.uses() == 2
    for _ in range(2):
        assert node.rollback(str(two)) == 0
        assert node.uses() == 1


def test_everybody_may_read_an_engine_in_use_and_nothing_else_is_left(node: RolloutNode) -> None:
    """The daemon is another user than who installs; the proof may be pictures of people."""
    assert node.install(node.bundle(1)) == 0
    folder = (node.engines / "current").resolve()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"engine": 0o644, "engine.json": 0o644, "bundle.json": 0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_refused_bundle_changes_nothing(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither one of somebody else's key, nor a damaged one, nor a configuration that cannot be exchanged."""
    assert node.install(node.bundle(1)) == 0
    two = node.bundle(2)
    make_key(node.folder, name="other")
    node.write(rollout={"trusted_keys": ["other.pem"], "restart": []})
    assert node.install(two) == 2
    assert "tiny2.bundle was not signed with the key of" in capsys.readouterr().err
    node.write(rollout={})
    assert node.install(two) == 2
    assert "trusted_keys" in capsys.readouterr().err
    node.write(engine={"model": "tiny1.onnx"})
    assert node.install(two) == 2
    assert "FOLDER/current/engine" in capsys.readouterr().err
    node.write()
    content = bytearray(two.read_bytes())
    content[len(content) // 2] ^= 1
    two.write_bytes(content)
    assert node.install(two) == 2
    assert "error: " in capsys.readouterr().err
    assert (node.uses(), node.kept()) == (1, 1)


def test_an_engine_that_computes_otherwise_here_is_refused(
    node: RolloutNode, capsys: pytest.CaptureFixture[str]
) -> None:
    """The proof has the descriptors of the machine that made the bundle."""
    assert node.install(node.bundle(1)) == 0
    real, other = node.network(2), node.network(3)
    bundle = node.bundle(2)
    shutil.move(other, real)  # as if this machine computed tiny2 as that one computes tiny3
    shutil.move(f"{other}.json", f"{real}.json")
    folder = node.folder / "swapped"
    folder.mkdir()
    subprocess.run(["tar", "-xf", bundle, "-C", folder], check=True)
    for path in (real, real.with_name(real.name + ".json")):
        shutil.copy(path, folder)
    sign_again(node, folder, bundle)
    assert node.install(bundle) == 2
    assert "this machine computes other descriptors than the one that made the bundle: cosine mean" in (
        capsys.readouterr().err
    )
    assert (node.uses(), node.kept()) == (1, 1)


def sign_again(node: RolloutNode, folder: Path, bundle: Path) -> None:
    """Make a bundle of unpacked files with tar, sha256sum and openssl."""
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("SHA256SUMS"))
    sums = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, check=True).stdout
    (folder / "SHA256SUMS").write_bytes(sums)
    signing = ["openssl", "pkeyutl", "-sign", "-inkey", node.key, "-rawin", "-in", "SHA256SUMS"]
    subprocess.run([*signing, "-out", "SHA256SUMS.sig"], cwd=folder, check=True)
    packing = ["tar", "-cf", bundle, "SHA256SUMS", "SHA256SUMS.sig", *names]
    subprocess.run(packing, cwd=folder, check=True)


def test_a_damaged_engine_is_replaced_by_the_same_bundle(node: RolloutNode) -> None:
    """What is in use already is only left alone while it is whole."""
    bundle = node.bundle(1)
    assert node.install(bundle) == 0
    (node.engines / "current/engine").write_bytes(b"rotten")
    assert node.install(bundle) == 0
    assert node.uses() == 1


@pytest.mark.machine
def test_a_full_disk_leaves_the_engine_before(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 1, since room can be made; nothing is left that takes room."""
    one, two = node.bundle(1), node.bundle(2)
    with mount_small_disk(node.engines, size="256k") as is_mounted:
        if not is_mounted:
            pytest.skip("this process may not mount a disk")
        assert node.install(one) == 0
        hog = fill_disk(node.engines)
        assert node.install(two) == 1
        assert "No space left on device" in capsys.readouterr().err
        assert (node.uses(), node.kept()) == (1, 1)
        hog.unlink()
        assert node.install(two) == 0
        assert node.uses() == 2


def test_two_at_a_time_are_refused(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """The second one can try again later."""
    bundle = node.bundle(1)
    node.engines.mkdir()
    with (node.engines / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert node.install(bundle) == 1
    assert "another install or rollback works in" in capsys.readouterr().err
    assert node.install(bundle) == 0


def test_a_folder_of_somebody_else_is_left_alone(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """`current` must be our link."""
    bundle = node.bundle(1)
    (node.engines / "current").mkdir(parents=True)
    assert node.install(bundle) == 2
    assert "move it away" in capsys.readouterr().err


def test_the_daemon_is_restarted_only_for_another_engine(node: RolloutNode, health: ToldHealth) -> None:
    """It says itself which one it runs; a restart that is there already would lose looks."""
    note = node.folder / "restarts"
    command = [sys.executable, "-c", f"open({str(note)!r}, 'a').write('x')"]
    node.settings["rollout"]["restart"] = command
    health.server.close()  # nobody answers: it is started
    node.write()
    bundle = node.bundle(1)
    assert node.install(bundle) == 0
    assert note.read_text() == "x"
    again = ToldHealth(node)
    assert node.install(bundle, "--wait-ready", "60") == 0
    assert note.read_text() == "x"
    again.server.close()


def test_a_daemon_that_cannot_be_restarted_is_told(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """The new engine is in use from the next start on; asking again tries the restart again."""
    node.settings["rollout"]["restart"] = ["sh", "-c", "echo no such unit >&2; exit 5"]
    node.write()
    bundle = node.bundle(1)
    for _ in range(2):
        assert node.install(bundle) == 1
        assert "which restarts the daemon, ends with 5: no such unit" in capsys.readouterr().err
        assert node.uses() == 1
    node.settings["rollout"]["restart"] = ["no-such-command"]
    node.write()
    assert node.install(bundle) == 1
    assert "cannot run `no-such-command`" in capsys.readouterr().err


def test_an_engine_that_does_not_become_ready_is_taken_back(
    node: RolloutNode, health: ToldHealth, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also by a second install, after the first one was cut off while it waited."""
    one, two = node.bundle(1), node.bundle(2)
    assert node.install(one, "--wait-ready", "60") == 0
    health.faults[2] = "0 of 1 live"
    assert node.install(two, "--wait-ready", "0.1") == 3
    said = capsys.readouterr().err
    assert "the daemon is not ready with it after 0.1 s: cameras 0 of 1 live" in said
    assert "the engine before is in use again" in said
    assert (node.uses(), node.kept()) == (1, 1)
    assert node.install(two) == 0
    assert node.install(two, "--wait-ready", "0.1") == 3
    assert node.uses() == 1


def test_the_first_engine_stays_even_if_the_daemon_is_not_ready(
    node: RolloutNode, health: ToldHealth, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is none before it, and none at all would be worse."""
    health.faults[1] = "0 of 1 live"
    assert node.install(node.bundle(1), "--wait-ready", "0.1") == 3
    assert "there is no engine before it, so it stays in use" in capsys.readouterr().err
    assert node.uses() == 1


def test_a_node_that_is_not_ready_keeps_its_engine(
    node: RolloutNode, health: ToldHealth, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new engine would be blamed for a camera that was away before."""
    one, two = node.bundle(1), node.bundle(2)
    assert node.install(one) == 0
    health.faults = {1: "0 of 1 live", 2: "0 of 1 live"}
    assert node.install(two, "--wait-ready", "0.1") == 1
    assert "the node is not ready now: cameras 0 of 1 live" in capsys.readouterr().err
    assert node.uses() == 1
    assert node.install(two) == 0
    assert node.uses() == 2


def test_waiting_needs_somebody_who_answers(node: RolloutNode, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a health server, or with one that is not there."""
    bundle = node.bundle(1)
    assert node.install(bundle, "--wait-ready", "1") == 2
    assert "health: {port: ...}" in capsys.readouterr().err
    node.write(health={"port": 1})
    assert node.install(bundle, "--wait-ready", "0.1") == 3
    assert "nobody answers on 127.0.0.1:1" in capsys.readouterr().err
    for never in ("nan", "inf", "0"):
        assert node.install(bundle, "--wait-ready", never) == 2
        assert "a number of seconds above 0" in capsys.readouterr().err
