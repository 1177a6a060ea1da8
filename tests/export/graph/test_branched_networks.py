"""Networks of several branches go from a checkpoint of ours to ONNX with all parts of their descriptors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.manifest import Input, Terms, read_manifest, write_manifest
from edge_runtime.engine.catalog import open_engine
from export.to_onnx import main
from train.models.catalog import build
from train.models.checkpoint import checkpoint_manifest, save
from train.models.pixels import normalise_pixels

INPUT = Input(height_px=96, width_px=32)


@pytest.mark.parametrize(
    ("architecture", "input_"),
    [
        ("plr_osnet_x0_25", Input(height_px=128, width_px=32)),
        ("mgn_single_part3", INPUT),
        ("pyramid_r50_001111", INPUT),
    ],
)
def test_the_file_describes_as_the_network_does(architecture: str, input_: Input, tmp_path: Path) -> None:
    """Same numbers up to rounding, which random weights enlarge, and the same parts in the manifest."""
    torch.manual_seed(0)
    network = build(architecture, classes=2).eval()
    settle(network, input_)
    path = tmp_path / "model.pth"
    save({"state_dict": network.state_dict()}, path)
    facts = {"architecture": architecture, "data_set": "patterns", "recipe": "none"}
    terms = Terms(weights="none", training_data="none")
    write_manifest(checkpoint_manifest(path, network, input_=input_, terms=terms, **facts), path)
    assert main([str(path), "--output", str(tmp_path)]) == 0
    pixels = np.random.default_rng(0).integers(0, 256, (3, input_.height_px, input_.width_px, 3), np.uint8)
    with open_engine(tmp_path / "model.onnx") as engine, torch.inference_mode():
        images = normalise_pixels(torch.from_numpy(pixels).permute(0, 3, 1, 2), input_)
        np.testing.assert_allclose(engine.describe(pixels), normalise(network(images).numpy()), atol=1e-4)
        assert [(part.name, part.length) for part in engine.manifest.descriptor.parts] == list(network.descriptor_parts)
    assert read_manifest(path).space_id == read_manifest(tmp_path / "model.onnx").space_id
    for file in (path, tmp_path / "model.onnx"):
        file.unlink()  # a hundred megabytes each, which pytest would keep


def settle(network: nn.Module, input_: Input) -> None:
    """Give batch norms the statistics of random images, without which signals fade, and switch attention on."""
    for key, value in network.named_parameters():
        if key.endswith("gamma"):
            nn.init.ones_(value)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(4, 3, input_.height_px, input_.width_px))
    network.eval()
