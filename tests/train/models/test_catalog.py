"""The catalog's names, and what every network in it offers to training."""

import itertools
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import nn

from edge_runtime.contract.errors import ConfigError
from tests.support.shapes_only import build_shapes
from train.models.catalog import ARCHITECTURES, architectures, build, embedding_lengths
from train.models.osnet import OSNet, OSNetHead, OSNetIBN
from train.models.osnet_ain import OSNetAIN
from train.models.osnet_attributes import OSNetAttributes
from train.models.osnet_cifar import OSNetCifar
from train.models.plr_osnet import PLROSNet
from train.models.training_output import TrainingOutput

WIDTHS = ("x1_0", "x0_75", "x0_5", "x0_25")
ROWS = (
    "full_conv",
    "same_depth",
    "concatenation",
    "addition",
    "separate_gates",
    "stream_wise_gate",
    "fixed_gates",
    "t1",
    "t2",
    "t3",
)


def test_all_forms_of_osnet_are_there_at_every_width() -> None:
    """Main paper, supplement, AIN, attributes, the ten ablations, and CIFAR at two widths."""
    kinds = ("osnet", "osnet_ibn", "osnet_ain", "osnet_attributes")
    expected = {f"{kind}_{width}" for kind, width in itertools.product(kinds, WIDTHS)}
    expected |= {f"osnet_{width}_{row}" for width, row in itertools.product(WIDTHS, ROWS)}
    cifar = ("78", "210", "78_t1", "78_addition")
    expected |= {f"osnet_cifar_{name}{width}" for name, width in itertools.product(cifar, ("", "_x0_25"))}
    assert expected <= set(architectures())


def test_every_network_offers_what_training_asks_for() -> None:
    """Named parts of a descriptor, a named backbone that pretrained weights fill, and classifiers beside it."""
    for name in (name for name in architectures() if "x0_" not in name):
        network = build_shapes(name, classes=7)
        children = {child for child, _ in network.named_children()}
        parts = [part for part, _ in network.descriptor_parts]
        assert parts, name
        assert len(set(parts)) == len(parts), name
        assert network.backbone_modules, name
        assert set(network.backbone_modules) <= {c for c in children if not c.startswith("classifier")}, name
        assert any(child.startswith("classifier") for child in children), name
        assert callable(network.load_pretrained), name


@pytest.mark.parametrize("name", [name for name in architectures() if name.startswith("osnet") and "x0_25" in name])
def test_every_form_of_osnet_describes_and_trains(name: str) -> None:
    """Eval mode gives one descriptor of the length it states, train mode an output whose loss reaches every weight."""
    torch.manual_seed(0)
    network, images = build(name, classes=7), torch.randn(4, 3, 64, 32)
    [(_, length)] = cast(OSNetHead, network).descriptor_parts
    assert network.eval()(images).shape == (4, length)
    output = network.train()(images)
    assert isinstance(output, TrainingOutput)
    assert [tensor.shape for tensor in (*output.logits, *output.embeddings)] == [(4, 7), (4, length)]
    output.logits[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_no_two_rows_give_one_name() -> None:
    """The second would hide the first."""
    names = [name for row in ARCHITECTURES for name, _ in row.builders()]
    assert len(names) == len(set(names)) == len(architectures())


@pytest.mark.parametrize("network", [OSNet, OSNetIBN, OSNetAIN, OSNetAttributes, OSNetCifar])
def test_every_osnet_takes_another_descriptor_length(network: Callable[..., nn.Module]) -> None:
    """Descriptor, its parts, embedding and classifier follow one argument."""
    built = network(width=0.25, classes=7, descriptor_length=256)
    assert built.eval()(torch.zeros(2, 3, 64, 32)).shape == (2, 256)
    assert built.descriptor_parts == (("global", 256),)
    assert built.train()(torch.zeros(2, 3, 64, 32)).embeddings[0].shape == (2, 256)


def test_the_global_branch_of_plr_osnet_takes_another_length() -> None:
    """The local branch follows the width alone."""
    built = PLROSNet(width=0.25, classes=7, global_length=128)
    assert built.descriptor_parts == (("local", 4 * 128), ("global", 128))
    assert built.eval()(torch.zeros(2, 3, 64, 32)).shape == (2, 5 * 128)


def test_an_unknown_name_is_refused_with_the_nearest_ones() -> None:
    """A misspelt recipe says what could have been meant."""
    with pytest.raises(ConfigError, match=r"unknown architecture 'osnet_x2_0'; the nearest in .* are osnet_x\d_0, "):
        build("osnet_x2_0", classes=7)


@pytest.mark.parametrize("name", ["osnet_x0_25", "plr_osnet_x0_25"])
def test_embedding_lengths_are_those_a_network_shows_to_the_losses(name: str) -> None:
    """The catalog tells them without running a network."""
    network = build(name, classes=3).train()
    shown = tuple(rows.shape[1] for rows in network(torch.zeros(2, 3, 64, 32)).embeddings)
    assert embedding_lengths(name, classes=3, height_px=64, width_px=32) == shown
