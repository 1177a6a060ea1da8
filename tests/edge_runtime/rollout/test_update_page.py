"""The page about updating is typed as it stands: real tools, a real camera, a daemon that is really restarted."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import yaml

from edge_runtime.contract.manifest import hash_file, read_manifest, write_manifest
from edge_runtime.health.checks import name_file
from edge_runtime.health.server import HealthSettings
from edge_runtime.rollout.running_daemon import RunningDaemon
from export.acceptance import pack_images
from tests.conftest import ROOT
from tests.edge_runtime.conftest import MakeSite
from tests.support.daemon_site import Site
from tests.support.market_folder import write_market_folder
from tests.support.rtsp_camera import RtspCamera
from tests.support.sample_messages import wait_for
from tests.support.tiny_network import write_tiny_network

PAGE = (ROOT / "edge_runtime/rollout/README.md").read_text()
COMMANDS = [text for kind, text in re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.DOTALL) if not kind]
SETTINGS = [text for kind, text in re.findall(r"```(\w*)\n(.*?)```", PAGE, flags=re.DOTALL) if kind == "yaml"]
_SYSTEMCTL = 'test "$*" = "restart reid-edge" && touch asked && while [ -e asked ]; do sleep 0.05; done'


class Supervisor:
    """Restarts the daemon of a site whenever the site's `systemctl` asks for it, as systemd would."""

    def __init__(self, site: Site) -> None:
        self.daemon: subprocess.Popen[str] | None = None
        self._site, self._asked, self._ended = site, site.folder / "asked", threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            if self._asked.exists():
                self.stop()
                self.daemon = self._site.daemon()
                self._asked.unlink()

    def stop(self) -> None:
        """Let the daemon end, if one runs."""
        if self.daemon:
            self.daemon.terminate()
            self.daemon.communicate(timeout=120)

    def end(self) -> None:
        """Stop watching; the daemon goes on."""
        self._ended.set()
        self._thread.join()


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    """A camera that serves."""
    camera = RtspCamera()
    camera.start()
    yield camera
    camera.kill()


@pytest.fixture
def site(make_site: MakeSite, camera: RtspCamera) -> Site:
    """A node with the page's settings, and beside it what an engineer has: networks, packed images, a second key."""
    site = make_site(camera.uri)
    site.settings["cameras"][0]["max_fps"] = 1  # asking for no more, it is never too slow
    [text] = SETTINGS
    site.settings |= yaml.safe_load(text.replace("/var/lib/reid-edge-engines", "engines"))
    write_tiny_network(site.folder, name="osnet.onnx")
    quantized = write_tiny_network(site.folder, seed=1, name="osnet_int8.onnx")
    manifest = read_manifest(quantized)  # it is float32; on this page only its manifest is read
    build = manifest.build.model_copy(update={"precision": "int8"})
    write_manifest(manifest.model_copy(update={"build": build}), quantized)
    data = write_market_folder(site.folder / "people")
    packing = ["--model", str(site.folder / "osnet.onnx"), "--output", str(site.folder / "acceptance.npz")]
    assert pack_images.main([str(data), *packing, "--identities", "5"]) == 0
    programs = site.folder / "bin"
    programs.mkdir()
    for name, script in (("reid-edge", "edge_runtime/daemon.py"), ("reid-bundle", "export/building/make_bundle.py")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT / script} "$@"\n')
    (programs / "systemctl").write_text(f"#!/bin/sh\n{_SYSTEMCTL}\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    (site.folder / "site.yaml").write_text(yaml.safe_dump(site.settings))
    return site


def typed(site: Site, commands: str) -> str:
    """Type commands into a shell in the site's folder; each must end with 0. Returns what they print."""
    environment = os.environ | {"PATH": f"{site.folder / 'bin'}:{os.environ['PATH']}"}
    shell = subprocess.run(
        ["bash", "-e"], input=commands, cwd=site.folder, env=environment, text=True, capture_output=True, timeout=500
    )
    assert shell.returncode == 0, f"{commands}\n{shell.stdout}\n{shell.stderr}"
    return shell.stdout


@pytest.mark.timeout(600)  # a dozen processes, three of them daemons
def test_the_page_is_typed_as_it_stands(site: Site) -> None:
    """From the key to the engine in use and back; the daemon says itself which engine it runs."""
    key, *others = COMMANDS
    typed(site, key)
    typed(site, "reid-bundle osnet_int8.onnx --key release.key --output before.bundle")
    supervisor = Supervisor(site)
    try:
        typed(site, "reid-edge install before.bundle --config site.yaml")
        said = "".join(typed(site, commands) for commands in others)
    finally:
        supervisor.end()
    assert "Signature Verified Successfully" in said
    assert "osnet.onnx: OK" in said
    assert "the daemon is ready with it" in said
    assert "the engine before is in use again" in said
    before = name_file(hash_file(site.folder / "osnet_int8.onnx"))
    health = RunningDaemon((), HealthSettings(port=site.health_port), None)
    wait_for(lambda: before in getattr(health.readiness(), "text", ""), timeout_s=60)
    supervisor.stop()
