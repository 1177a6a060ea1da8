"""From a bundle to an engine that may be used here: unpacked, built where that is needed, and judged."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from edge_runtime.contract.bundle import ACCEPTANCE_FILE, PROOF_FILE, Bundle, DeviceBuild, unpack_bundle
from edge_runtime.contract.engine_proof import read_proof
from edge_runtime.contract.errors import BundleError
from edge_runtime.contract.manifest import Manifest, manifest_path
from edge_runtime.engine.catalog import open_engine
from edge_runtime.rollout.installed_engines import ENGINE_FILE

_PACKAGES = Path(__file__).resolve().parents[2]
_CARD = "bundle.json"


def take_in(path: Path, folder: Path, *, keys: tuple[Path, ...]) -> Manifest:
    """Make the engine of a bundle in an empty folder: `engine` with its manifest, and the bundle's card.

    Returns the engine's manifest. Nothing else of the bundle stays; it may hold pictures of people.

    Raises:
        BundleError, ManifestError, EngineError: it cannot be trusted, built or run, or is not good enough.
        OSError: the folder cannot be written.
    """
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    bundle = unpack_bundle(path, unpacked, keys=keys)
    print(f"{path}: {bundle.card.name}, bundle {bundle.id}, its signature is right", flush=True)
    engine = folder / ENGINE_FILE
    if bundle.card.build:
        _build(bundle, bundle.card.build, engine=engine)
    else:
        network = unpacked / bundle.card.network
        manifest_path(network).rename(manifest_path(engine))
        network.rename(engine)
    manifest = _judge(bundle, engine)
    (unpacked / _CARD).rename(folder / _CARD)
    shutil.rmtree(unpacked)
    return manifest


def _build(bundle: Bundle, build: DeviceBuild, *, engine: Path) -> None:
    """Build in a process of its own, which gives all memory back, with what a person would type."""
    command = [
        *(sys.executable, "-m", "export.build_engine", str(bundle.folder / bundle.card.network)),
        *(f"--{build.precision}", "--backend", build.backend),
        *("--acceptance", str(bundle.folder / ACCEPTANCE_FILE), "--output", str(engine)),
    ]
    paths = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
    if subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}).returncode:
        raise BundleError(
            f"no engine of {bundle.card.name} was built and accepted here, see above; nothing was changed"
        )


def _judge(bundle: Bundle, engine: Path) -> Manifest:
    """Open the engine as the daemon does, and compare what it computes with the bundle's proof."""
    with open_engine(engine) as opened:
        precision = opened.manifest.build.precision
        limits = bundle.card.limits.get(precision)
        if limits is None:
            raise BundleError(
                f"{bundle.card.name} has no limits for {precision} engines; make it again with reid-bundle"
            )
        said = read_proof(bundle.folder / PROOF_FILE).judge(opened.describe, limits=limits)
        print(f"{opened.manifest.model_id} ({precision}) runs on {opened.backend}: {said}", flush=True)
        return opened.manifest
