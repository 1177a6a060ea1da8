"""Public checkpoints under other names go to ONNX as those under ours do."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.contract.errors import CheckpointError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.engine.catalog import open_engine
from export.graph.public_checkpoint import Facts, load_public_checkpoint
from export.to_onnx import main
from tests.support.public_weights import public_state
from train.models.checkpoint import save

FACTS = Facts(architecture="plr_osnet", data_set="patterns", licence="none", height_px=64, width_px=32)


@pytest.fixture(scope="module")
def public_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as PLR-OSNet's authors' program writes it."""
    path = tmp_path_factory.mktemp("public") / "plr.pth"
    save({"state_dict": {f"module.{key}": value for key, value in public_state("plr_osnet").items()}}, path)
    return path


def test_a_public_file_becomes_an_onnx_file(
    public_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its names are mapped, what is not used is listed, and the manifest has the parts of the descriptor."""
    facts = ["--architecture", "plr_osnet", "--data-set", "patterns", "--licence", "none"]
    assert main([str(public_file), "--output", str(tmp_path), *facts, "--height", "64", "--width", "32"]) == 0
    assert "names of PLR-OSNet, its authors' code; not used: classifier (4 entries)" in capsys.readouterr().out
    path = tmp_path / "plr.onnx"
    assert [(part.name, part.length) for part in read_manifest(path).descriptor.parts] == [
        ("local", 2048),
        ("global", 512),
    ]
    with open_engine(path) as engine:
        descriptors = engine.describe(np.zeros((2, 64, 32, 3), np.uint8))
    assert descriptors.shape == (2, 2560)


def test_the_descriptor_does_not_depend_on_the_classifiers(public_file: Path, tmp_path: Path) -> None:
    """Two files that differ in their classifiers only are one model, in one space."""
    state = {key: value for key, value in public_state("plr_osnet").items() if not key.startswith("classifier")}
    save({"state_dict": {**state, "classifier1.weight": torch.ones(9, 2048)}}, tmp_path / "other.pth")
    one = load_public_checkpoint(public_file, FACTS).manifest
    other = load_public_checkpoint(tmp_path / "other.pth", FACTS).manifest
    assert (one.weights_sha256, one.space_id) == (other.weights_sha256, other.space_id)


def test_a_file_of_another_program_is_refused(public_file: Path) -> None:
    """One sentence that says whose file it is."""
    facts = Facts(architecture="plr_osnet_x0_25", data_set="patterns", licence="none", height_px=64, width_px=32)
    with pytest.raises(CheckpointError, match=r"plr\.pth belongs to another network: .*names of PLR-OSNet"):
        load_public_checkpoint(public_file, facts)
