"""The catalog's names, and what every network in it offers to training."""

import itertools

import pytest
import torch

from edge_runtime.contract.errors import ConfigError
from train.models.catalog import architectures, build, embedding_lengths
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
    assert {name for name in architectures() if name.startswith("osnet")} == expected


def test_every_network_offers_what_training_asks_for() -> None:
    """Named parts of a descriptor, a named backbone that pretrained weights fill, and classifiers beside it."""
    for name in (name for name in architectures() if "x0_" not in name):
        with torch.device("meta"):  # no memory, no random numbers
            network = build(name, classes=7)
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
    """Eval mode gives one descriptor of 512 numbers, train mode an output whose loss reaches every weight."""
    torch.manual_seed(0)
    network, images = build(name, classes=7), torch.randn(4, 3, 64, 32)
    assert network.eval()(images).shape == (4, 512)
    output = network.train()(images)
    assert isinstance(output, TrainingOutput)
    assert [tensor.shape for tensor in (*output.logits, *output.embeddings)] == [(4, 7), (4, 512)]
    output.logits[0].square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_an_unknown_name_is_refused_with_the_nearest_ones() -> None:
    """A misspelt recipe says what could have been meant."""
    with pytest.raises(ConfigError, match=r"unknown architecture 'osnet_x2_0'; the nearest in .* are osnet_x\d_0, "):
        build("osnet_x2_0", classes=7)


@pytest.mark.parametrize("name", ["osnet_x0_25", "plr_osnet_x0_25"])
def test_embedding_lengths_are_those_a_network_shows_to_the_losses(name: str) -> None:
    """Without computing anything."""
    network = build(name, classes=3).train()
    shown = tuple(rows.shape[1] for rows in network(torch.zeros(2, 3, 64, 32)).embeddings)
    assert embedding_lengths(name, classes=3, height_px=64, width_px=32) == shown
