"""OSNet's ablations: each row of table 5 changes what it names, and nothing else."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input
from export.graph.deploy import DeployedNetwork, deploy
from tests.support.small_osnet import HEIGHT_PX, WIDTH_PX, calibrated
from train.models.catalog import build
from train.models.osnet import OSBlock
from train.models.osnet_ablations import (
    ABLATIONS,
    Addition,
    Concatenation,
    Design,
    DesignedBlock,
    FixedGate,
    SeparateGates,
    StreamGate,
    UnifiedGate,
)

STAGES = (256, 384, 512)


def _lite(c: int) -> int:
    """Pointwise and depthwise weights, and a norm."""
    return c * c + 9 * c + 2 * c


def _full(c: int) -> int:
    return 9 * c * c + 2 * c


def _gate(c: int, *, outputs: int) -> int:
    hidden = max(c // 16, 1)
    return (c * hidden + hidden) + (hidden * outputs + outputs)


# Parameters that a row adds to one block with streams of c channels.
ADDED: dict[str, Callable[[int], int]] = {
    "full_conv": lambda c: 10 * (_full(c) - _lite(c)),
    "same_depth": lambda c: 6 * _lite(c),
    "concatenation": lambda c: 3 * c * 4 * c - _gate(c, outputs=c),
    "addition": lambda c: -_gate(c, outputs=c),
    "separate_gates": lambda c: 3 * _gate(c, outputs=c),
    "stream_wise_gate": lambda c: _gate(c, outputs=1) - _gate(c, outputs=c),
    "fixed_gates": lambda c: 4 * c - _gate(c, outputs=c),
    "t1": lambda c: -9 * _lite(c) - _gate(c, outputs=c),
    "t2": lambda c: -7 * _lite(c),
    "t3": lambda c: -4 * _lite(c),
}


def _parameters(name: str) -> int:
    return sum(parameter.numel() for parameter in build(name, classes=10).parameters())


@pytest.mark.parametrize(("width", "factor"), [("x1_0", 1.0), ("x0_25", 0.25)])
@pytest.mark.parametrize("row", ABLATIONS)
def test_a_row_adds_the_parameters_of_what_it_changes(row: str, width: str, factor: float) -> None:
    """Against the primary model, over two blocks in each of the three stages."""
    added = sum(2 * ADDED[row](int(channels * factor) // 4) for channels in STAGES)
    assert _parameters(f"osnet_{width}_{row}") == _parameters(f"osnet_{width}") + added


@pytest.mark.parametrize("channels", [(64, 64), (64, 128)], ids=["same-width", "other-width"])
def test_the_default_design_is_the_primary_block(channels: tuple[int, int]) -> None:
    """With the same weights, both blocks give the same numbers in train and eval mode."""
    torch.manual_seed(0)
    primary, designed = OSBlock(*channels), DesignedBlock(*channels, design=Design())
    weights = iter(primary.state_dict().values())
    designed.load_state_dict({key: next(weights) for key in designed.state_dict()})
    assert next(weights, None) is None
    images = torch.randn(2, channels[0], 8, 4)
    torch.testing.assert_close(designed(images), primary(images), rtol=0, atol=0)
    torch.testing.assert_close(designed.eval()(images), primary.eval()(images), rtol=0, atol=0)


@pytest.mark.parametrize(("row", "sides"), [("same_depth", [9] * 4), ("t1", [3]), ("t2", [3, 5]), ("t3", [3, 5, 7])])
def test_streams_see_as_far_as_their_row_says(row: str, sides: list[int]) -> None:
    """A change of one position changes a stream's output in a square of 2t + 1 positions."""
    streams = DesignedBlock(32, 32, design=ABLATIONS[row]).eval().streams
    images = torch.zeros(1, 8, 15, 15)
    touched = images.clone()
    touched[:, :, 7, 7] = 1
    for module in streams.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.1)
    found = [(stream(touched) != stream(images)).any(dim=1).sum().item() for stream in streams]
    assert found == [side**2 for side in sides]


def _streams() -> list[Tensor]:
    return list(torch.randn(4, 2, 32, 5, 3, generator=torch.Generator().manual_seed(0)))


def _gated(stream: Tensor, first: nn.Conv2d, second: nn.Conv2d) -> Tensor:
    """Average, two linear layers, sigmoid, product: one image, channel and unit at a time."""
    result = torch.empty_like(stream)
    for n, channels in enumerate(stream):
        averages = [channel.mean().item() for channel in channels]
        hidden = [
            max(0.0, sum(w * a for w, a in zip(row.flatten().tolist(), averages, strict=True)) + bias.item())
            for row, bias in zip(first.weight, first.bias, strict=True)
        ]
        for c in range(len(channels)):
            unit = c if len(second.weight) > 1 else 0
            score = sum(w * h for w, h in zip(second.weight[unit].flatten().tolist(), hidden, strict=True))
            result[n, c] = channels[c] / (1 + math.exp(-score - second.bias[unit].item()))
    return result


@torch.no_grad()
def test_gates_weigh_streams_as_their_rows_say() -> None:
    """Shared or not, per channel or per stream, against a literal count."""
    torch.manual_seed(0)
    streams = _streams()
    unified, separate = UnifiedGate(32, 4), SeparateGates(32, 4)
    stream_wise = UnifiedGate(32, 4, gate=StreamGate)
    layers = stream_wise.gate.weight
    expected = sum(_gated(stream, unified.gate.fc1, unified.gate.fc2) for stream in streams)
    torch.testing.assert_close(unified(streams), expected)
    expected = sum(_gated(stream, gate.fc1, gate.fc2) for stream, gate in zip(streams, separate.gates, strict=True))
    torch.testing.assert_close(separate(streams), expected)
    expected = sum(_gated(stream, layers[0], layers[2]) for stream in streams)
    torch.testing.assert_close(stream_wise(streams), expected)


@torch.no_grad()
def test_fixed_gates_are_the_same_for_every_image() -> None:
    """One learned weight per stream and channel, whatever the streams hold."""
    fusion = SeparateGates(32, 4, gate=FixedGate)
    for gate in fusion.gates:
        gate.logits.normal_()
    streams = _streams()
    expected = sum(x / (1 + torch.exp(-gate.logits)) for x, gate in zip(streams, fusion.gates, strict=True))
    torch.testing.assert_close(fusion(streams), expected)
    torch.testing.assert_close(fusion([2 * x for x in streams]), 2 * expected)


def test_addition_and_concatenation_have_no_weights() -> None:
    """The plain sum, and all channels of the first stream, then of the second, and so on."""
    streams = _streams()
    addition, concatenation = Addition(32, 4), Concatenation(32, 4)
    torch.testing.assert_close(addition(streams), streams[0] + streams[1] + streams[2] + streams[3], rtol=0, atol=0)
    joined = concatenation(streams)
    assert joined.shape[1] == concatenation.out_channels == 128
    assert all(torch.equal(joined[:, 32 * t : 32 * (t + 1)], stream) for t, stream in enumerate(streams))
    assert not [*addition.parameters(), *concatenation.parameters()]


@pytest.mark.parametrize("name", [*(f"osnet_x0_25_{row}" for row in ABLATIONS), "osnet_cifar_78_x0_25"])
def test_deployment_computes_the_same_descriptors(name: str) -> None:
    """Rewrites know the primary model; they leave the other ones right. Only float32 rounding differs."""
    network, input_ = calibrated(name), Input(height_px=HEIGHT_PX, width_px=WIDTH_PX)
    pixels = torch.randint(0, 256, (3, HEIGHT_PX, WIDTH_PX, 3), dtype=torch.uint8)
    with torch.inference_mode():
        expected = DeployedNetwork(network, input_).eval()(pixels)
        for graph in ("stack", "end_dense"):  # the other rewrites are parts of these
            found = deploy(network, input_, graph=graph)(pixels)
            assert (found - expected).abs().max() <= 1e-4 * expected.abs().max(), graph
