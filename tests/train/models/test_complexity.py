"""Parameters and multiply-adds against the papers' figures and a literal count."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from tests.conftest import ROOT
from train.models.catalog import build
from train.models.complexity import Complexity, measure_complexity

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "complexity.json").read_text())
OTHER = {row["model"]: row for row in GOLDEN["other"] if row.get("input") != [320, 160]}
FULL_CONVOLUTIONS = OTHER["osnet_x1_0 with plain 3x3 convolutions instead of Lite"]


@pytest.mark.parametrize("row", GOLDEN["osnet_table6"], ids=lambda row: f"x{row['width']}-{row['height']}")
def test_complexity_is_that_of_table_6(row: dict[str, Any]) -> None:
    """All 16 Mult-Add figures of the OSNet paper, and parameters counted once."""
    name = f"osnet_x{row['width']}".replace(".", "_")
    found = measure_complexity(build(name, classes=10), height_px=row["height"], width_px=row["width_px"])
    assert found.parameters == row["params_test_time_counted_once"]
    assert found.mult_adds == row["mult_adds_torchreid_counter"]
    assert round(found.mult_adds / 1e6, 1) == row["paper_mult_adds_millions"]


@pytest.mark.parametrize("name", ["osnet_ibn_x1_0", "osnet_ain_x1_0"])
def test_variants_cost_what_the_public_ones_do(name: str) -> None:
    """Instance norms change parameters a little and Mult-Adds not at all."""
    found = measure_complexity(build(name, classes=10), height_px=256, width_px=128)
    assert found.parameters == OTHER[name]["params_test_time"]
    assert round(found.mult_adds / 1e6, 1) == OTHER[name]["mult_adds_torchreid_counter_millions"]


def test_a_larger_input_costs_what_the_supplement_says() -> None:
    """320 x 160 pixels: 1,529.3 million (supplement B)."""
    found = measure_complexity(build("osnet_x1_0", classes=10), height_px=320, width_px=160)
    assert round(found.mult_adds / 1e6, 1) == 1529.3


@pytest.mark.parametrize("width", ["x1_0", "x0_75", "x0_5"])
def test_imagenet_figures_are_those_of_table_10(width: str) -> None:
    """The paper's Mult-Adds of table 10 are ours plus one operation per output of a norm."""
    row = OTHER[f"osnet_{width} ImageNet, 1000 classes"]
    network = build(f"osnet_{width}", classes=1000)
    found = measure_complexity(network, height_px=224, width_px=224)
    assert sum(p.numel() for p in network.parameters()) == row["params_with_classifier"]
    assert round(row["params_with_classifier"] / 1e6, 1) == row["paper_params_millions"]
    assert round(found.mult_adds / 1e6, 1) == row["mult_adds_torchreid_counter_millions"]
    assert round((found.mult_adds + found.norm_mult_adds) / 1e6) == row["paper_millions"]


def test_full_convolutions_cost_what_section_3_says() -> None:
    """6.9 million parameters; the 3,384.9 million Mult-Adds count norms, and 0.7 million that we do not find."""
    found = measure_complexity(build("osnet_x1_0_full_conv", classes=10), height_px=256, width_px=128)
    assert found.parameters == FULL_CONVOLUTIONS["params_test_time"]
    assert round(found.parameters / 1e6, 1) == FULL_CONVOLUTIONS["paper_params_millions"]
    assert round(found.mult_adds / 1e6, 1) == FULL_CONVOLUTIONS["mult_adds_torchreid_counter_millions"]
    total = (found.mult_adds + found.norm_mult_adds) / 1e6
    assert total == pytest.approx(FULL_CONVOLUTIONS["paper_millions"], abs=0.8)


class _Everything(nn.Module):
    """A grouped convolution with bias, called twice, a norm, an attention product, a linear layer, an unused one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.ones(1))
        self.first = nn.Conv2d(3, 4, 1, bias=False)
        self.linear = nn.Linear(4, 5)
        self.classifier = nn.Linear(5, 100)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.conv(self.conv(self.first(images))))
        rows = x.flatten(2)  # (N, 4, HW)
        attended = rows @ (rows.transpose(1, 2) @ rows * self.scale)  # (N, 4, HW)
        return self.linear(attended.mean(dim=2))


def test_every_kind_of_step_is_counted_as_said() -> None:
    """Against loops over outputs and what each one reads; what does not run is not counted."""
    pixels = 6 * 5
    mult_adds = norms = attention = 0
    for _ in range(4 * pixels):
        mult_adds += 3  # first: three input channels
        mult_adds += 2 * (2 * 3 * 3 + 1)  # conv, twice: two channels per group, 3x3, bias
        norms += 1
        attention += pixels  # rows by the weights of all positions
    for _ in range(pixels * pixels):
        attention += 4  # similarity of two positions: four channels
    for _ in range(5):
        mult_adds += 4 + 1
    parameters = (4 * 2 * 9 + 4) + (4 + 4) + 1 + 4 * 3 + (4 * 5 + 5)
    assert measure_complexity(_Everything(), height_px=6, width_px=5) == Complexity(
        parameters, mult_adds, norms, attention
    )


def test_the_network_is_left_as_it_was() -> None:
    """Mode, running statistics and hooks."""
    network = _Everything().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    measure_complexity(network, height_px=6, width_px=5)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
