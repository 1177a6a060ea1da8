"""Checkpoints load strictly, and what is wrong with one is listed."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_runtime.contract.errors import CheckpointError
from edge_runtime.contract.manifest import Input, Manifest, Terms, hash_file, write_manifest
from tests.support.public_weights import public_state
from train.models.catalog import build
from train.models.checkpoint import (
    checkpoint_manifest,
    class_count,
    load_network,
    save,
    start_from,
    weights_sha256,
)
from train.models.weight_files import read_weights
from train.models.weights import load_weights


def test_weights_survive_saving_with_wrapper_and_prefix(tmp_path: Path) -> None:
    """Public checkpoints sit under 'state_dict' and may carry `module.` before each name."""
    network = build("osnet_x0_25", classes=5)
    wrapped = {"state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}, "epoch": 3}
    save(wrapped, tmp_path / "model.pth")
    other = build("osnet_x0_25", classes=5)
    load_weights(other, read_weights(tmp_path / "model.pth"), source=tmp_path / "model.pth")
    assert weights_sha256(other.state_dict()) == weights_sha256(network.state_dict())


def test_the_digest_follows_every_weight_but_the_classifier() -> None:
    """Two classifiers on one network describe people alike."""
    network = build("osnet_x0_25", classes=5)
    before = weights_sha256(network.state_dict())
    with torch.no_grad():
        network.get_parameter("classifier.bias").add_(1)
    assert weights_sha256(network.state_dict()) == before
    with torch.no_grad():
        network.get_parameter("conv5.conv.weight")[0, 0] += 1e-6
    assert weights_sha256(network.state_dict()) != before


def test_the_digest_of_given_weights_never_changes() -> None:
    """Released models are known by it: another way to count would orphan their manifests."""
    network = build("osnet_x0_25", classes=1000)
    network.load_state_dict(public_state("osnet_x0_25"))
    digest = weights_sha256(network.state_dict())
    assert digest == "b283b4ad3201a5fc9a5c88f909e67ec1e84679726ab441ceea535989e91e716e"


def test_weights_of_another_network_are_refused_with_the_list(tmp_path: Path) -> None:
    """Missing and unknown names and other shapes are told apart."""
    path = tmp_path / "ibn.pth"
    save({"state_dict": build("osnet_ibn_x0_5", classes=5).state_dict()}, path)
    with pytest.raises(
        CheckpointError, match=r"missing: .*conv1\.bn\.running_mean.*unknown: .*conv2\.0\.IN.*shape: .*instead of"
    ):
        load_weights(build("osnet_x0_25", classes=5), read_weights(path), source=path)


def test_fine_tuning_keeps_a_fresh_classifier(tmp_path: Path) -> None:
    """Weights come from the file, the classifier has the new data set's size."""
    source = build("osnet_x0_25", classes=5)
    save({"state_dict": source.state_dict()}, tmp_path / "model.pth")
    network = build("osnet_x0_25", classes=9)
    start_from(network, tmp_path / "model.pth", architecture="osnet_x0_25")
    assert torch.equal(network.get_parameter("conv1.conv.weight"), source.get_parameter("conv1.conv.weight"))
    assert len(network.get_parameter("classifier.bias")) == 9


def write_ours(path: Path, network: torch.nn.Module, *, architecture: str) -> Manifest:
    """A checkpoint of ours, with its manifest beside it."""
    save({"state_dict": network.state_dict()}, path)
    manifest = checkpoint_manifest(
        path,
        network.eval(),
        architecture=architecture,
        data_set="patterns",
        recipe="none",
        input_=Input(height_px=64, width_px=32),
        terms=Terms(weights="none", training_data="none"),
    )
    write_manifest(manifest, path)
    return manifest


def test_a_network_of_many_classifiers_survives_saving(tmp_path: Path) -> None:
    """Built again with the classes it was trained for; its manifest names the parts of its descriptor."""
    torch.manual_seed(0)
    network = build("plr_osnet_multiple_id_x0_25", classes=6)
    written = write_ours(tmp_path / "model.pth", network, architecture="plr_osnet_multiple_id_x0_25")
    loaded = load_network(tmp_path / "model.pth")
    assert [(part.name, part.length) for part in loaded.manifest.descriptor.parts] == [("local", 512), ("global", 512)]
    assert loaded.manifest.descriptor.length == 1024
    assert len(loaded.network.get_parameter("classifiers.4.bias")) == 6
    images = torch.randn(2, 3, 64, 32)
    assert torch.equal(loaded.network(images), network(images))
    before = weights_sha256(network.state_dict())
    assert before == written.weights_sha256
    with torch.no_grad():
        network.get_parameter("classifiers.3.weight").add_(1)
    assert weights_sha256(network.state_dict()) == before


def test_weights_without_a_classifier_are_the_same_network(tmp_path: Path) -> None:
    """Sharing a checkpoint, people often cut its classifier off: no descriptor depends on it."""
    torch.manual_seed(0)
    network = build("osnet_x0_25", classes=6)
    manifest = write_ours(tmp_path / "model.pth", network, architecture="osnet_x0_25")
    bare = {key: value for key, value in network.state_dict().items() if not key.startswith("classifier")}
    save({"state_dict": bare}, tmp_path / "model.pth")
    artefact = manifest.artefact.model_copy(update={"sha256": hash_file(tmp_path / "model.pth")})
    write_manifest(manifest.model_copy(update={"artefact": artefact}), tmp_path / "model.pth")
    images = torch.randn(2, 3, 64, 32)
    assert torch.equal(load_network(tmp_path / "model.pth").network(images), network(images))
    assert class_count(build("plr_osnet_x0_25", classes=6).state_dict()) == 6
    assert class_count(bare) == 0


def test_fine_tuning_starts_from_a_public_program_s_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its names are mapped, its classifiers left out, and what is not used is logged."""
    save(
        {"state_dict": {f"module.{key}": value for key, value in public_state("plr_osnet").items()}}, tmp_path / "p.pth"
    )
    network = build("plr_osnet", classes=4)
    with caplog.at_level("INFO"):
        start_from(network, tmp_path / "p.pth", architecture="plr_osnet")
    assert "not used of it: classifier (4 entries)" in caplog.text
    assert torch.equal(network.get_parameter("global_head.linear.weight"), public_state("plr_osnet")["fc2.weight"])


def test_training_starts_from_imagenet_weights(tmp_path: Path) -> None:
    """A backbone's file fills the backbone, a checkpoint of the same network all but the classifiers."""
    osnet, network = build("osnet_x0_25", classes=1000), build("plr_osnet_x0_25", classes=4)
    save(osnet.state_dict(), tmp_path / "imagenet.pth")
    start_from(network, tmp_path / "imagenet.pth", architecture="plr_osnet_x0_25")
    assert torch.equal(network.get_parameter("conv1.conv.weight"), osnet.get_parameter("conv1.conv.weight"))
    save({"state_dict": network.state_dict()}, tmp_path / "ours.pth")
    other = build("plr_osnet_x0_25", classes=9)
    start_from(other, tmp_path / "ours.pth", architecture="plr_osnet_x0_25")
    assert weights_sha256(other.state_dict()) == weights_sha256(network.state_dict())
    with pytest.raises(CheckpointError, match=r"ours\.pth belongs to another network"):
        start_from(
            build("plr_osnet_without_global_x0_25", classes=9),
            tmp_path / "ours.pth",
            architecture="plr_osnet_without_global_x0_25",
        )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"PK\x03\x04 cut",
        b"hello world\n" * 50,
        pickle.dumps({"a": 1}, 2)[:-3],
        b"\x80\x02J\x01",
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    """No traceback of the unpickler."""
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pth is not a checkpoint"):
        read_weights(tmp_path / "model.pth")


@pytest.mark.parametrize("content", [{1: torch.zeros(2)}, {"state_dict": {1: torch.zeros(2)}}, {"state_dict": [1]}])
def test_a_checkpoint_without_named_weights_is_refused(tmp_path: Path, content: dict[Any, Any]) -> None:
    """Tensors by number are another program's file."""
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="holds no weights; expected tensors by name"):
        read_weights(tmp_path / "model.pth")


def test_a_checkpoint_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A missing folder, and a folder in the file's place, each in one sentence."""
    (tmp_path / "model.pth").mkdir()
    for path in (tmp_path / "model.pth", tmp_path / "nowhere" / "model.pth"):
        with pytest.raises(CheckpointError, match=r"cannot write .*model\.pth"):
            save({"state_dict": {}}, path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    """A pickle that calls a function is refused, not executed."""

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "executed"),))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


@pytest.mark.shared_data
def test_a_public_zoo_checkpoint_loads_strictly(shared_data: Path) -> None:
    """OSNet x0.25 of the Torchreid zoo, trained on MSMT17 with 1,041 classes; a wrong network refuses it."""
    path = shared_data / "osnet_x0_25_msmt17.pth"
    load_weights(build("osnet_x0_25", classes=1041), read_weights(path), source=path)
    with pytest.raises(CheckpointError, match="belongs to another network"):
        load_weights(build("osnet_ain_x0_25", classes=1041), read_weights(path), source=path)
