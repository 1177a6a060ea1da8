"""A node that takes bundles, and an engineer who makes them: keys, tiny networks, a configuration."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from edge_runtime.contract.manifest import hash_file, read_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.rollout import commands
from export.building import make_bundle
from tests.support.tiny_network import write_tiny_network


def make_key(folder: Path, *, name: str = "release") -> Path:
    """NAME.key and NAME.pem, made by openssl as the manual says. Returns the private key."""
    private, public = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private


class RolloutNode:
    """A folder with a key, bundles of tiny networks that differ in their seed, and a configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.key = folder, make_key(folder)
        self.engines = folder / "engines"
        self.settings: dict[str, Any] = {
            "site": "lab",
            "node": "gate",
            "cameras": [{"id": "door", "source": "rtsp://127.0.0.1:1/none"}],
            "engine": {"model": "engines/current/engine"},
            "broker": {"host": "127.0.0.1"},
            "spool": {"path": "spool.sqlite"},
            "health": {"port": 0},
            "rollout": {"trusted_keys": ["release.pem"], "restart": []},
        }
        self.config = folder / "site.yaml"
        self.write()

    def write(self, **changes: object) -> None:
        """Write the configuration."""
        self.config.write_text(yaml.safe_dump(self.settings | changes))

    def network(self, seed: int) -> Path:
        """A tiny network of this seed."""
        return write_tiny_network(self.folder, seed=seed, name=f"tiny{seed}.onnx")

    def bundle(self, seed: int, *options: str) -> Path:
        """A bundle of the tiny network of this seed."""
        path = self.folder / f"tiny{seed}.bundle"
        arguments = [str(self.network(seed)), "--key", str(self.key), "--output", str(path), *options]
        assert make_bundle.main(arguments) == 0
        return path

    def install(self, bundle: Path, *options: str) -> int:
        """`reid-edge install`."""
        return commands.install([str(bundle), "--config", str(self.config), *options])

    def rollback(self, *words: str) -> int:
        """`reid-edge rollback`."""
        return commands.rollback([*words, "--config", str(self.config)])

    def uses(self) -> int:
        """The seed of the engine in use, which is opened as the daemon opens it."""
        engine = self.engines / "current" / "engine"
        with open_engine(engine):
            sha256 = read_manifest(engine).artefact.sha256
        [seed] = [
            int(path.stem.removeprefix("tiny")) for path in self.folder.glob("tiny*.onnx") if hash_file(path) == sha256
        ]
        return seed

    def kept(self) -> int:
        """How many engines are on the disk."""
        return len([path for path in self.engines.iterdir() if path.is_dir() and not path.is_symlink()])
