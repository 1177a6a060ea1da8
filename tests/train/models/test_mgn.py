"""MGN against golden descriptors and counts, and its rows of table 5."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.contract.errors import CheckpointError
from tests.support.public_weights import GOLDEN, golden_features, golden_images, public_state
from tests.support.shapes_only import build_shapes
from train.models.catalog import build
from train.models.complexity import measure_complexity
from train.models.mgn import MGN, MGNSingles
from train.models.public_names import find_layout, load_public

SOURCE = Path("mgn.pth")


def golden(beginning: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = json.loads((GOLDEN / "complexity.json").read_text())["other"]
    return next(row for row in rows if row["model"].startswith(beginning))


def test_descriptors_equal_the_golden_ones() -> None:
    """Within 1e-4 of their standard deviation in float32: rounding of the reference itself is 5e-6."""
    network, state = build("mgn", classes=2), public_state("mgn_seathiefwang")
    layout = find_layout(state)
    assert layout is not None
    load_public(network, state, layout=layout, source=SOURCE)
    expected = golden_features("mgn_seathiefwang_maxpool_384x128")
    with torch.inference_mode():
        found = network.eval()(golden_images(2, height=384).float()).numpy()
    assert found.shape == expected.shape == (2, 2048)
    assert np.abs(found - expected).max() <= 1e-4 * expected.std()


def test_cost_is_the_golden_one() -> None:
    """Parameters and Mult-Adds at 384x128; classifiers in both forms of the softmax."""
    reduced, paper = golden("mgn ResNet-50, one"), golden("mgn as the paper words it")
    found = measure_complexity(build("mgn", classes=2), height_px=384, width_px=128)
    assert found.parameters == reduced["params_test_time"] == paper["params_test_time"]
    assert round(found.mult_adds / 1e6, 1) == reduced["mult_adds_conv_millions"]
    for name, row in (("mgn_reduced_softmax", reduced), ("mgn", paper)):
        network = build_shapes(name, classes=751)
        assert sum(parameter.numel() for parameter in network.parameters()) == row["params_total"]
        assert sum(parameter.numel() for parameter in network.classifiers.parameters()) == row["classifier_params"]


ROWS = {
    # name: branches, parts, length of the global features that are classified, depth of the trunk
    "mgn": (3, 5, 2048, 50),
    "mgn_reduced_softmax": (3, 5, 256, 50),
    "mgn_without_part3": (2, 2, 2048, 50),
    "mgn_with_part4": (4, 9, 2048, 50),
    "mgn_part2_4": (3, 6, 2048, 50),
    "mgn_part3_4": (3, 7, 2048, 50),
    "mgn_single_global": (1, 0, 2048, 50),
    "mgn_single_part2": (1, 2, 2048, 50),
    "mgn_single_part3": (1, 3, 2048, 50),
    "mgn_resnet50": (1, 0, 256, 50),
    "mgn_resnet101": (1, 0, 256, 101),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_table_5_describes_and_trains(name: str) -> None:
    """Classified: a global feature per branch, then its stripes. Seen by the triplet loss: the reduced globals."""
    branches, parts, global_length, depth = ROWS[name]
    network, images = build_shapes(name, classes=7), torch.empty(4, 3, 384, 128, device="meta")
    output = network.train()(images)
    assert [tuple(x.shape) for x in output.logits] == [(4, 7)] * (branches + parts)
    assert [tuple(x.shape) for x in output.embeddings] == [(4, 256)] * branches
    assert [c.in_features for c in network.classifiers] == [global_length] * branches + [256] * parts
    assert network.eval()(images).shape == (4, 256 * (branches + parts))
    assert [length for _, length in network.descriptor_parts] == [256] * (branches + parts)
    assert len(network.branches[0].layer3) + 1 == {50: 6, 101: 23}[depth]


def test_map_sizes_are_those_of_table_1() -> None:
    """Only the global branch keeps the stride of conv5."""
    network = build_shapes("mgn", classes=2).eval()
    shared = network.shared(torch.empty(1, 3, 384, 128, device="meta"))
    assert [tuple(branch(shared).shape[2:]) for branch in network.branches] == [(12, 4), (24, 8), (24, 8)]


def test_the_descriptor_is_ordered_as_its_parts_say() -> None:
    """All globals, then each branch's stripes from top to bottom: a change in the lowest rows reaches only these."""
    names = [name for name, _ in build_shapes("mgn", classes=2).descriptor_parts]
    wholes = ["global", "part2_global", "part3_global"]
    assert names == [*wholes, "part2_1", "part2_2", "part3_1", "part3_2", "part3_3"]
    network = MGN(classes=2, stripes=(2, 3)).eval()
    network.shared, network.branches = nn.Identity(), nn.ModuleList([nn.Identity(), nn.Identity()])
    maps = torch.rand(1, 2048, 6, 2)
    changed = maps.clone()
    changed[:, :, 5] += 2
    with torch.inference_mode():
        difference = (network(changed) - network(maps)).abs().view(-1, 256).amax(dim=1) > 0
    reached = [name for (name, _), is_reached in zip(network.descriptor_parts, difference, strict=True) if is_reached]
    assert reached == ["part2_global", "part3_global", "part2_2", "part3_3"]


def test_the_losses_reach_every_weight() -> None:
    """With the paper's softmax only the triplet loss trains the global reductions; with the reduced one both do."""
    network = build("mgn_single_part2", classes=3).train()
    output = network(torch.randn(2, 3, 64, 32))
    sum(x.sum() for x in output.logits).backward()
    untouched = {key.split(".")[0] for key, value in network.named_parameters() if value.grad is None}
    assert untouched == {"reductions"}
    sum(x.sum() for x in network(torch.randn(2, 3, 64, 32)).embeddings).backward()
    assert all(value.grad is not None for value in network.parameters())


def test_imagenet_weights_fill_every_branch() -> None:
    """All copies start alike (section 4.1); reductions and classifiers keep their random weights. Names: torchvision's.

    Files from before 2019 have no counters of batches.
    """
    state = {key: value for key, value in public_state("resnet50_torchvision").items() if "num_batches" not in key}
    network = build("mgn_without_part3", classes=2)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_pretrained(state, source=SOURCE)
    for key, value in network.state_dict().items():
        public = key.removeprefix("shared.").removeprefix("branches.0.").removeprefix("branches.1.")
        assert torch.equal(value, state.get(public, before[key])), key
        assert public in state or key.startswith(("reductions", "classifiers")) or key.endswith("num_batches_tracked")
    assert {key.split(".")[0] for key in before if not before[key].equal(network.state_dict()[key])} == {
        "shared",
        "branches",
    }
    assert network.backbone_modules == ("shared", "branches")


def test_imagenet_weights_of_another_depth_are_refused() -> None:
    """The message names the file and what does not fit."""
    deeper = {key: torch.zeros(1) for key in public_state("resnet50_torchvision")} | {
        "layer3.6.bn1.bias": torch.ones(1)
    }
    with pytest.raises(CheckpointError, match=r"mgn\.pth belongs to another network: .*unknown: layer3\.6\.bn1\.bias"):
        build("mgn_single_global", classes=2).load_pretrained(deeper, source=SOURCE)


@pytest.mark.parametrize(("number", "stripes"), [(0, 1), (1, 2), (2, 3)])
def test_each_branch_is_the_single_network_of_its_name(number: int, stripes: int) -> None:
    """With the same weights its parts of the descriptor are that network's descriptor."""
    together, alone = MGNSingles(classes=2).eval(), MGN(classes=2, stripes=(stripes,)).eval()
    names = [name for name, _ in together.descriptor_parts]
    own = [names.index(name) for name, _ in alone.descriptor_parts]
    alone.shared.load_state_dict(together.starts[number].state_dict())
    alone.branches[0] = together.branches[number]
    for place, part in enumerate(own):
        alone.reductions[place] = together.reductions[part]
    with torch.inference_mode():
        images = torch.randn(2, 3, 64, 32)
        assert torch.equal(together(images).view(2, 8, 256)[:, own].flatten(1), alone(images))


def test_a_loss_of_one_network_reaches_no_other() -> None:
    """The global network's classifier trains the first start alone."""
    network = build("mgn_singles", classes=3).train()
    assert isinstance(network, MGNSingles)
    network(torch.randn(2, 3, 64, 32)).logits[0].sum().backward()
    assert [next(start.parameters()).grad is not None for start in network.starts] == [True, False, False]


def test_imagenet_weights_fill_all_three() -> None:
    """Reductions and classifiers keep their random weights."""
    network, state = MGNSingles(classes=2), public_state("resnet50_torchvision")
    network.load_pretrained(state, source=Path("resnet50.pth"))
    for start in network.starts:
        assert torch.equal(next(start.parameters()), state["conv1.weight"])
