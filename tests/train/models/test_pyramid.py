"""Pyramid against golden descriptors and counts, and its rows of table 4."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.support.public_weights import GOLDEN, golden_features, golden_images, public_shapes, public_state
from tests.support.shapes_only import build_shapes
from train.models.catalog import build
from train.models.complexity import measure_complexity
from train.models.public_names import find_layout, load_public
from train.models.pyramid import Pyramid

SOURCE = Path("pyramid.pth")


def golden(name: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = json.loads((GOLDEN / "complexity.json").read_text())["other"]
    return next(row for row in rows if row["model"].startswith(name))


def test_descriptors_equal_the_golden_ones() -> None:
    """Within 1e-4 of their standard deviation in float32: rounding of the reference itself is 5e-6."""
    network, state = build("pyramid", classes=2), public_state("pyramid_tencent_resnet101")
    layout = find_layout(state)
    assert layout is not None
    load_public(network, state, layout=layout, source=SOURCE)
    expected = golden_features("pyramid_tencent_resnet101_384x128")
    with torch.inference_mode():
        found = network.eval()(golden_images(2, height=384).float()).numpy()
    assert found.shape == expected.shape == (2, 2688)
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


@pytest.mark.parametrize(("name", "row"), [("pyramid", "pyramid official"), ("pyramid_r50", "pyramid, ResNet-50")])
def test_cost_is_the_golden_one(name: str, row: str) -> None:
    """Parameters and Mult-Adds at 384x128; the golden figure leaves out the 21 x 128 additions of a bias."""
    expected = golden(row)
    found = measure_complexity(build(name, classes=2), height_px=384, width_px=128)
    assert found.parameters == expected["params_test_time"]
    assert round((found.mult_adds - 21 * 128) / 1e6, 1) == expected["mult_adds_conv_millions"]
    classifiers = build_shapes(name, classes=751).classifiers
    assert sum(parameter.numel() for parameter in classifiers.parameters()) == expected["classifier_params"]


ROWS = {
    # name: windows, length of each
    "pyramid": (21, 128),
    "pyramid_000001": (1, 128),
    "pyramid_100000": (6, 128),
    "pyramid_001111": (10, 128),
    "pyramid_110011": (14, 128),
    "pyramid_111100": (18, 128),
    "pyramid_f64": (21, 64),
    "pyramid_f256": (21, 256),
    "pyramid_r50": (21, 128),
    "pyramid_r50_000001": (1, 128),
    "pyramid_r50_f64": (21, 64),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_table_4_describes_and_trains(name: str) -> None:
    """One classifier and one embedding per window."""
    windows, length = ROWS[name]
    network, images = build_shapes(name, classes=7), torch.empty(4, 3, 384, 128, device="meta")
    output = network.train()(images)
    assert [tuple(x.shape) for x in output.logits] == [(4, 7)] * windows
    assert [tuple(x.shape) for x in output.embeddings] == [(4, length)] * windows
    assert network.eval()(images).shape == (4, windows * length)
    assert [length for _, length in network.descriptor_parts] == [length] * windows
    assert network.backbone(images).shape == (4, 2048, 24, 8)


@pytest.mark.parametrize(("levels", "kept"), [("111111", range(1, 7)), ("110011", (1, 2, 5, 6)), ("000001", (6,))])
def test_windows_are_those_of_equation_1(levels: str, kept: tuple[int, ...]) -> None:
    """Level l, window k: rows (k-1) H/n to (k-1) H/n + l H/n; maximum plus mean; fine to coarse, top to bottom."""
    with torch.device("meta"):
        network = Pyramid(classes=2, depth=50, levels=levels)
    maps, n = torch.randn(2, 5, 24, 8), 6
    expected = []
    for level in kept:
        for k in range(1, n - level + 2):
            rows = maps[:, :, (k - 1) * 24 // n : (k - 1) * 24 // n + level * 24 // n]
            expected.append(rows.amax(dim=(2, 3), keepdim=True) + rows.mean(dim=(2, 3), keepdim=True))
    found = network._windows(maps)
    assert len(found) == len(expected)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected))
    names = [name for name, _ in network.descriptor_parts]
    assert names == [f"level{level}_{k}" for level in kept for k in range(1, n - level + 2)]


def test_only_classifiers_see_dropout() -> None:
    """Embeddings and descriptors do not change from call to call."""
    network = Pyramid(classes=3, depth=50, levels="000001").train()
    network.backbone = nn.Identity()
    maps = torch.rand(4, 2048, 6, 2)
    first, second = network(maps), network(maps)
    assert torch.equal(first.embeddings[0], second.embeddings[0])
    assert not torch.equal(first.logits[0], second.logits[0])
    assert torch.equal(network.eval()(maps), network(maps))


def test_imagenet_weights_fill_the_backbone() -> None:
    """Torchvision's ResNet-101 names; reductions and classifiers keep their random weights."""
    names = public_shapes("resnet101_torchvision")
    own = build_shapes("pyramid", classes=2).state_dict()
    public = {key: list(value.shape) for key, value in own.items() if key.startswith("backbone.")}
    assert {key.split(".", 2)[2]: shape for key, shape in public.items()} == {
        name: shape for name, shape in names.items() if not name.startswith("fc.")
    }
    network, state = build("pyramid_r50_000001", classes=2), public_state("resnet50_torchvision")
    network.load_pretrained(state, source=SOURCE)
    assert torch.equal(network.backbone[0].layer3[0].conv1.weight, state["layer3.0.conv1.weight"])
    assert torch.equal(network.backbone[1].layer3[0].conv1.weight, state["layer3.1.conv1.weight"])
    assert torch.equal(network.backbone[1].layer4[2].conv3.weight, state["layer4.2.conv3.weight"])
    assert network.backbone_modules == ("backbone",)
