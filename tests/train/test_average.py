"""The command `train/average.py` as a researcher types it."""

from pathlib import Path

import pytest
import torch

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Input, Terms, read_manifest, write_manifest
from tests.support.market_folder import write_market_folder
from train import average
from train.models.catalog import build
from train.models.checkpoint import checkpoint_manifest, load_network, save


def write_checkpoint(folder: Path, name: str, *, seed: int, architecture: str = "osnet_x0_25") -> Path:
    """A network with random weights and a manifest."""
    torch.manual_seed(seed)
    network, path = build(architecture, classes=3 + seed).eval(), folder / name
    save({"state_dict": network.state_dict()}, path)
    manifest = checkpoint_manifest(
        path,
        network,
        architecture=architecture,
        data_set="made_up",
        recipe=f"recipe {seed}",
        input_=Input(height_px=64, width_px=32),
        terms=Terms(weights="free", training_data=f"images of {name}"),
    )
    write_manifest(manifest, path)
    return path


@pytest.fixture
def two(tmp_path: Path) -> list[str]:
    """Two checkpoints, 64 images to take statistics of, and where the result goes."""
    write_market_folder(tmp_path / "people", train=16, test=4)
    names = [str(write_checkpoint(tmp_path, f"{name}.pth", seed=seed)) for seed, name in enumerate(("one", "two"))]
    return [*names, "--data", str(tmp_path / "people"), "--output", str(tmp_path / "mean.pth")]


def test_the_average_is_a_checkpoint_like_any_other(tmp_path: Path, two: list[str]) -> None:
    """Its manifest names both networks and the terms of both; its descriptors are those of no parent."""
    assert average.main([*two, "--share", "0.25"]) == 0
    mean = load_network(tmp_path / "mean.pth")
    assert mean.manifest.terms == Terms(weights="free", training_data="images of one.pth; images of two.pth")
    assert mean.manifest.recipe.startswith("0.75 of osnet_x0_25-made_up-")
    one, other = (load_network(tmp_path / f"{name}.pth").network.state_dict() for name in ("one", "two"))
    weight = mean.network.state_dict()["conv1.conv.weight"]
    torch.testing.assert_close(weight, 0.75 * one["conv1.conv.weight"] + 0.25 * other["conv1.conv.weight"])
    assert not torch.equal(mean.network.state_dict()["conv1.bn.running_mean"], one["conv1.bn.running_mean"])
    assert read_manifest(tmp_path / "mean.pth").space_id not in {
        read_manifest(tmp_path / f"{name}.pth").space_id for name in ("one", "two")
    }


@pytest.mark.parametrize(
    ("share", "architecture", "sentence"),
    [("1.5", "osnet_x0_25", "--share is between 0"), ("0.5", "osnet_x0_5", "the same architecture")],
)
def test_what_cannot_be_averaged_is_refused(
    tmp_path: Path, two: list[str], share: str, architecture: str, sentence: str
) -> None:
    """Before anything is written."""
    write_checkpoint(tmp_path, "two.pth", seed=1, architecture=architecture)
    with pytest.raises(ConfigError, match=sentence):
        average.main([*two, "--share", share])
    assert not (tmp_path / "mean.pth").exists()


def test_few_images_are_no_statistics(tmp_path: Path, two: list[str]) -> None:
    """A handful would give every batch norm the colours of a handful."""
    write_market_folder(tmp_path / "few", train=2, test=2)
    with pytest.raises(DataError, match="expected 64 crops or more"):
        average.main([*two, "--data", str(tmp_path / "few")])
