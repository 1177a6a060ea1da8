"""Make a signed bundle of a network, with what a node needs to build an engine of it and to judge it."""

import argparse
import re
import sys
import tempfile
from pathlib import Path

from edge_runtime.contract.bundle import (
    ACCEPTANCE_FILE,
    PLAIN_NAME,
    PROOF_FILE,
    BundleCard,
    CosineLimits,
    DeviceBuild,
    write_bundle,
)
from edge_runtime.contract.engine_proof import EngineProof, write_proof
from edge_runtime.contract.errors import ConfigError, ExportError
from edge_runtime.contract.manifest import Manifest, manifest_path, read_manifest
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from edge_runtime.engine.catalog import open_engine
from export.acceptance.packed_images import read_packed_images
from export.acceptance.proof_images import proof_images
from export.acceptance.tolerance import TOLERANCES
from export.building.backends import BACKENDS
from export.building.engine_source import find_sibling

_CROPS = 32  # of the acceptance images, in the proof
_EXAMPLES = """\
examples, with a key of `openssl genpkey -algorithm ed25519 -out release.key`:
  nodes run the file as it is:
  python export/building/make_bundle.py models/model_int8_openvino.onnx --key release.key --output shop.bundle
  each node builds its engine, and accepts it on the images of export/acceptance/pack_images.py:
  python export/building/make_bundle.py models/model_int8.onnx --key release.key --output shop.bundle \\
      --build int8 --backend tensorrt --acceptance acceptance.npz
"""


def command() -> int:
    """The installed command `reid-bundle`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Write the bundle. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    model = arguments.model
    manifest = read_manifest(model)
    build = _read_build(arguments, manifest)
    networks = _find_networks(model, build)
    files = {name: file for path in networks for name, file in _with_manifest(path)}
    card = BundleCard(
        name=_plain_name(arguments.name or arguments.output.stem),
        network=_plain_name(model.name),
        build=build,
        limits={
            precision: CosineLimits(mean=limits.cosine_mean, least=limits.cosine_least)
            for precision, limits in TOLERANCES.items()
        },
    )
    with tempfile.TemporaryDirectory(prefix="reid-edge-bundle-") as folder:
        files[PROOF_FILE] = Path(folder) / PROOF_FILE
        write_proof(_make_proof(arguments, networks[-1]), files[PROOF_FILE])
        if build:
            files[ACCEPTANCE_FILE] = arguments.acceptance
        bundle_id = write_bundle(arguments.output, card=card, files=files, key_file=arguments.key)
    size_mb = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {card.name}, bundle {bundle_id}, {size_mb:.2f} MB: {', '.join(sorted(files))}")
    if build:
        print(f"it holds pictures of people, {arguments.acceptance}: a node deletes them after the engine was accepted")
    return 0


def _plain_name(name: str) -> str:
    if not re.fullmatch(PLAIN_NAME, name):
        raise ConfigError(f"expected a name of letters, digits, dots and hyphens in a bundle, found {name!r}")
    return name


def _read_build(arguments: argparse.Namespace, manifest: Manifest) -> DeviceBuild | None:
    """What nodes build, as the options say; None for nothing.

    Raises:
        ConfigError: the options do not go together, or not with the model.
    """
    if manifest.build.backend in ("torch", "tensorrt"):
        raise ConfigError(
            f"expected an ONNX file, which every node can run or build from, found {arguments.model} for "
            f"{manifest.build.backend}; give the ONNX file, with --build for TensorRT"
        )
    if (arguments.build is None) != (arguments.acceptance is None):
        raise ConfigError("--build and --acceptance go together: an engine that a node builds is accepted on images")
    if arguments.build is None:
        return None
    read_packed_images(arguments.acceptance, manifest.input)
    return DeviceBuild(precision=arguments.build, backend=arguments.backend)


def _find_networks(model: Path, build: DeviceBuild | None) -> list[Path]:
    """The model, and with it what building it needs; the last one gives the descriptors of the proof.

    Raises:
        ExportError: a file that building needs is not beside the model.
    """
    if build is None:
        return [model]
    networks = [model]
    if build.precision in ("fp16", "best"):
        try:
            networks.append(find_sibling(model, "fp16"))
        except ExportError:
            if build.precision == "fp16":
                raise
    return list(dict.fromkeys([*networks, find_sibling(model, "fp32")]))


def _with_manifest(path: Path) -> list[tuple[str, Path]]:
    return [(path.name, path), (f"{path.name}.json", manifest_path(path))]


def _make_proof(arguments: argparse.Namespace, network: Path) -> EngineProof:
    """What the network computes here: on people if nodes compare another engine with it, else on patterns."""
    with open_engine(network) as engine:
        spec = engine.manifest.input
        if arguments.acceptance:
            crops = read_packed_images(arguments.acceptance, spec).query.read(slice(_CROPS))
        else:
            crops = proof_images(spec)
        return EngineProof(crops, engine.describe(crops))


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest=f"{shipped_model()} --key release.key --output shop.bundle",
        next_step="copy it to a node, and there: reid-edge install shop.bundle --config site.yaml",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "model", type=Path, help="an ONNX file that was exported, quantised or built, its manifest beside it"
    )
    parser.add_argument("--key", type=Path, required=True, help="the ed25519 private key to sign with, a PEM file")
    parser.add_argument("--output", type=Path, required=True, help="the file to write")
    parser.add_argument("--name", help="for people, of letters, digits, dots and hyphens (default: that of the output)")
    parser.add_argument(
        "--build", choices=("fp16", "bf16", "int8", "best"), help="each node builds this, as reid-build does"
    )
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="what each node builds for (default: %(default)s)",
    )
    parser.add_argument(
        "--acceptance", metavar="FILE", type=Path, help="for --build: images of export/acceptance/pack_images.py"
    )
    return parser


if __name__ == "__main__":
    sys.exit(command())
