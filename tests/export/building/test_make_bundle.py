"""What an engineer packs for nodes, and that a node builds from it what it accepts, or nothing."""

from pathlib import Path

import pytest

from edge_runtime.contract.bundle import BundleCard, unpack_bundle
from edge_runtime.contract.engine_proof import read_proof
from edge_runtime.contract.errors import BundleError, ConfigError, ExportError
from edge_runtime.contract.manifest import read_manifest, write_manifest
from export.acceptance import pack_images
from export.building.make_bundle import main
from tests.support.rollout_node import RolloutNode


@pytest.fixture
def node(tmp_path: Path) -> RolloutNode:
    """A node without an engine."""
    folder = tmp_path / "node"
    folder.mkdir()
    return RolloutNode(folder)


@pytest.fixture
def packed(data: Path, model: Path) -> Path:
    """Images of five people, at the size of the tiny network's input."""
    path = model.with_name("acceptance.npz")
    assert pack_images.main([str(data), "--model", str(model), "--output", str(path), "--identities", "5"]) == 0
    return path


def bundle_of(model: Path, node: RolloutNode, *options: str) -> Path:
    """A bundle of this model."""
    output = node.folder / "shop.bundle"
    assert main([str(model), "--key", str(node.key), "--output", str(output), *options]) == 0
    return output


def card_of(bundle: Path, node: RolloutNode) -> BundleCard:
    """Its card; its files are unpacked beside it."""
    folder = node.folder / "unpacked"
    folder.mkdir()
    return unpack_bundle(bundle, folder, keys=[node.folder / "release.pem"]).card


def test_a_network_that_runs_as_it_is_brings_patterns_of_nobody(model: Path, node: RolloutNode) -> None:
    """No picture of a person leaves the engineer's machine."""
    card = card_of(bundle_of(model, node, "--name", "shop-7"), node)
    assert (card.name, card.network, card.build) == ("shop-7", "tiny.onnx", None)
    assert card.limits["int8"].mean == 0.997
    names = {path.name for path in (node.folder / "unpacked").iterdir()}
    assert names == {"bundle.json", "tiny.onnx", "tiny.onnx.json", "proof.npz"}
    assert set(read_proof(node.folder / "unpacked/proof.npz").crops[-2].ravel()) == {255}


def test_a_node_builds_and_accepts_its_own_engine(
    model: Path, packed: Path, node: RolloutNode, capfd: pytest.CaptureFixture[str]
) -> None:
    """As `reid-build` does it; nothing but the engine stays on the node, and no picture of a person."""
    options = ("--build", "best", "--backend", "onnxruntime", "--acceptance", str(packed))
    bundle = bundle_of(model, node, *options)
    assert "it holds pictures of people" in capfd.readouterr().out
    assert node.install(bundle) == 0
    said = capfd.readouterr().out
    assert "not tried: int8 onnxruntime" in said
    assert "(fp32) runs on onnxruntime" in said
    engine = read_manifest(node.engines / "current/engine")
    assert (engine.build.precision, engine.artefact.kind) == ("fp32", "engine")
    assert engine.evidence is not None
    assert engine.evidence.images_sha256 is not None
    assert {path.name for path in (node.engines / "current/").iterdir()} == {"engine", "engine.json", "bundle.json"}


def test_a_node_that_cannot_build_keeps_its_engine(
    model: Path, packed: Path, node: RolloutNode, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reason is that of `reid-build`, and nothing has changed."""
    assert node.install(node.bundle(1)) == 0
    bundle = bundle_of(model, node, "--build", "int8", "--backend", "tensorrt", "--acceptance", str(packed))
    assert node.install(bundle) == 2
    said = capfd.readouterr().err
    assert "no engine of shop was built and accepted here" in said
    assert "error: " in said.partition("no engine of shop")[0]
    assert (node.uses(), node.kept()) == (1, 1)


def test_a_half_precision_bundle_needs_the_file_in_half_precision(model: Path, packed: Path, node: RolloutNode) -> None:
    """Said while the bundle is made, not on 500 nodes."""
    with pytest.raises(ExportError, match="found no fp16 ONNX file"):
        bundle_of(model, node, "--build", "fp16", "--acceptance", str(packed))


def test_what_does_not_go_together_is_refused(model: Path, packed: Path, node: RolloutNode) -> None:
    """An engine that nobody could accept, one of another GPU, a name with a space, a key that is none."""
    with pytest.raises(ConfigError, match="--build and --acceptance go together"):
        bundle_of(model, node, "--build", "int8")
    with pytest.raises(ConfigError, match="--build and --acceptance go together"):
        bundle_of(model, node, "--acceptance", str(packed))
    with pytest.raises(ConfigError, match=r"letters, digits, dots and hyphens .* found 'shop 7'"):
        bundle_of(model, node, "--name", "shop 7")
    node.key.write_text("no key")
    with pytest.raises(BundleError, match="expected a private key without a password"):
        bundle_of(model, node)
    manifest = read_manifest(model)
    build = manifest.build.model_copy(update={"backend": "tensorrt"})
    write_manifest(manifest.model_copy(update={"build": build}), model)
    with pytest.raises(ConfigError, match="expected an ONNX file, which every node can run or build from"):
        bundle_of(model, node)
