"""The public state dicts of PLR-OSNet, MGN and Pyramid fill our networks, and what is left of them is listed."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge_runtime.contract.errors import CheckpointError
from tests.support.public_weights import public_shapes, public_state
from tests.support.shapes_only import build_shapes
from train.models.catalog import build
from train.models.public_names import LAYOUTS, find_layout, load_public, load_renamed

SOURCE = Path("public.pth")
FILES = {
    "plr_osnet": "plr_osnet",
    "mgn_seathiefwang": "mgn",
    "mgn_gnayuohz": "mgn_reduced_softmax",
    "pyramid_tencent_resnet101": "pyramid",
}


def numbered(name: str) -> dict[str, Tensor]:
    """The names of a public state dict, each weight one number of its own, stretched to its shape without memory."""
    shapes = public_shapes(name).items()
    return {key: torch.tensor(float(number)).expand(shape) for number, (key, shape) in enumerate(shapes, start=1)}


@pytest.mark.parametrize("name", FILES)
def test_each_entry_of_a_file_is_used_or_listed(name: str) -> None:
    """Each layout is found by its mark alone. What fills the network and what is listed make up the whole file."""
    state, network = numbered(name), build(FILES[name], classes=2)
    [layout] = [layout for layout in LAYOUTS if layout.mark in state]
    left = load_public(network, state, layout=layout, source=SOURCE)
    used = {value.max().item() for key, value in network.state_dict().items() if not key.startswith("classifier")}
    counts = {entry.split(" (")[0]: int(entry.split("(")[1].split()[0]) for entry in left}
    listed = {number for number, key in enumerate(state, start=1) if key.startswith(tuple(counts))}
    assert len(listed) == sum(counts.values())
    assert used.isdisjoint(listed)
    assert used | listed == set(range(1, len(state) + 1))


def test_the_dead_half_of_pyramid_is_listed() -> None:
    """Every public Pyramid file holds a second set of reductions and classifiers that its program never calls."""
    state = numbered("pyramid_tencent_resnet101")
    layout = find_layout(state)
    assert layout is not None
    assert load_public(build("pyramid", classes=2), state, layout=layout, source=SOURCE) == (
        "pyramid_fc_list0. (42 entries)",
        "pyramid_conv_list1. (147 entries)",
        "pyramid_fc_list1. (42 entries)",
    )


def test_one_shared_reduction_becomes_eight() -> None:
    """ReID-MGN reduces all eight features with the same weights."""
    state = public_state("mgn_gnayuohz")
    network, layout = build("mgn", classes=2), find_layout(state)
    assert layout is not None
    load_public(network, state, layout=layout, source=SOURCE)
    for reduction in network.reductions:
        assert torch.equal(reduction[0].weight, state["reduction.0.weight"])
        assert torch.equal(reduction[1].running_var, state["reduction.1.running_var"])
    assert torch.equal(network.branches[2].layer3[4].conv1.weight, state["p3.0.4.conv1.weight"])


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("osnet_x0_25", r"missing: conv4\.0\.conv1.*unknown: attention_module1.*names of PLR-OSNet, its authors' code"),
        ("plr_osnet_x0_25", r"unknown: nothing; other shape: attention1\.gate\.fc1\.bias is \(16,\) instead of \(4,\)"),
        ("plr_osnet_without_global", r"missing: nothing; unknown: bn2\.bias"),
        ("mgn", r"missing: branches\.0\.layer3\.1\.bn1\.bias.*and \d+ more; unknown"),
    ],
)
def test_another_network_refuses_the_file(architecture: str, message: str) -> None:
    """Whose file it is, what misses, what is unknown and what has another shape stand in one sentence."""
    state = numbered("plr_osnet")
    layout = find_layout(state)
    assert layout is not None
    network = build_shapes(architecture, classes=2)
    with pytest.raises(CheckpointError, match=message):
        load_public(network, state, layout=layout, source=SOURCE)


def test_names_of_ours_are_no_public_layout() -> None:
    """Our own checkpoints, OSNet's public ones and torchvision's are loaded by their own ways."""
    for architecture in ("plr_osnet_x0_25", "mgn", "pyramid_r50", "osnet_x0_25"):
        assert find_layout(build_shapes(architecture, classes=2).state_dict()) is None
    assert find_layout(numbered("resnet50_torchvision")) is None


def test_a_leftover_under_a_name_of_ours_is_refused() -> None:
    """It would be loaded by accident otherwise."""
    network = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    state = {"x.weight": torch.ones(1, 1), "x.bias": torch.ones(1), "b.bias": torch.ones(1)}
    renames = ((r"[ab]\.(.+)", r"x.\1"),)
    with pytest.raises(CheckpointError, match=r"unknown: b\.bias"):
        load_renamed(network, state, renames=renames, fresh=("none",), unused=("none",), source=SOURCE)
    del state["b.bias"]
    load_renamed(network, state, renames=renames, fresh=("none",), unused=("none",), source=SOURCE)
    assert network["a"].weight == network["b"].weight == 1
