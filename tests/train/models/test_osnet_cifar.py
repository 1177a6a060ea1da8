"""OSNet for CIFAR against the paper's depths and parameter counts."""

import json

import pytest
import torch
from torch import nn

from tests.conftest import ROOT
from train.models.catalog import build

OTHER = json.loads((ROOT / "tests" / "golden" / "complexity.json").read_text())["other"]
FIGURES = {row["model"]: row for row in OTHER}
# The golden figures are for the 7x7 stem of the re-identification network; ours is 3x3.
STEM_DIFFERENCE = 64 * 3 * (7 * 7 - 3 * 3)


@pytest.mark.parametrize(("depth", "blocks"), [(78, "2-2-2"), (210, "3-8-6")])
def test_parameters_are_those_of_table_8(depth: int, blocks: str) -> None:
    """Classifier included; the smaller stem does not change the paper's rounded figure."""
    row = FIGURES[f"osnet bottlenecks {blocks}, CIFAR-10"]
    found = sum(p.numel() for p in build(f"osnet_cifar_{depth}", classes=10).parameters())
    assert found == row["params_with_classifier"] - STEM_DIFFERENCE
    assert round(found / 1e6, 1) == row["paper_params_millions"]


@pytest.mark.parametrize("depth", [78, 210])
def test_depth_is_that_of_table_8(depth: int) -> None:
    """Layers with weights on the longest path: only a block's deepest stream counts, and no shortcut."""
    network = build(f"osnet_cifar_{depth}_x0_25", classes=10)
    beside = ("conv2a", "conv2b", "conv2c", "downsample")
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and not any(part in beside for part in name.split("."))
    ]
    assert len(layers) == depth


@pytest.mark.parametrize("name", ["78", "210", "78_t1", "78_addition"])
def test_maps_of_a_cifar_image_end_at_8_by_8(name: str) -> None:
    """32 pixels are halved by the two transitions only."""
    network = build(f"osnet_cifar_{name}_x0_25", classes=10).eval()
    shapes: list[torch.Size] = []
    network.conv5.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    descriptors = network(torch.randn(2, 3, 32, 32))
    assert shapes == [(2, 128, 8, 8)]
    assert network.classifier(descriptors).shape == (2, 10)
