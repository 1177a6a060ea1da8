"""Models 1 to 11 of OSNet's ablation study: the omni-scale block with other streams or another fusion.

Source: Zhou, Yang, Cavallaro, Xiang, "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019,
section 4.1, table 5. Models 5 and 9 are also those of table 9 (CIFAR) and figure 6 (activation maps).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from train.models.osnet import ChannelGate, Conv1x1Linear, ConvLayer, LightConv3x3, OSNet, add_streams


class Fusion(nn.Module):
    """Takes streams, each (N, C, H, W), and returns one map (N, out_channels, H, W)."""

    def __init__(self, channels: int, streams: int) -> None:
        super().__init__()
        self.out_channels = channels


class UnifiedGate(Fusion):
    """One gate that all streams share: the primary model."""

    def __init__(self, channels: int, streams: int, *, gate: Callable[[int], nn.Module] = ChannelGate) -> None:
        super().__init__(channels, streams)
        self.gate = gate(channels)

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """See `Fusion`."""
        return add_streams([self.gate(stream) for stream in streams])


class StreamGate(nn.Module):
    """`ChannelGate` with one weight for the whole stream instead of one per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // 16, 1)
        self.weight = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape."""
        weight: Tensor = self.weight(x.mean(dim=(2, 3), keepdim=True))  # (N, 1, 1, 1)
        return x * weight


class SeparateGates(Fusion):
    """A separate gate for each stream."""

    def __init__(self, channels: int, streams: int, *, gate: Callable[[int], nn.Module] = ChannelGate) -> None:
        super().__init__(channels, streams)
        self.gates = nn.ModuleList(gate(channels) for _ in range(streams))

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """See `Fusion`."""
        return add_streams([gate(stream) for gate, stream in zip(self.gates, streams, strict=True)])


class FixedGate(nn.Module):
    """One learned weight in (0, 1) per channel, the same for every image.

    The paper gives no formula. Ours keeps the sigmoid, so that only the dependence on the image is gone, and starts at
    one half, which is where the primary model's gates start.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape."""
        return x * torch.sigmoid(self.logits)


class Addition(Fusion):
    """The plain sum."""

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """See `Fusion`."""
        return add_streams(streams)


class Concatenation(Fusion):
    """Streams side by side; the 1x1 convolution behind reads all of them."""

    def __init__(self, channels: int, streams: int) -> None:
        super().__init__(channels, streams)
        self.out_channels = channels * streams

    def forward(self, streams: Sequence[Tensor]) -> Tensor:
        """See `Fusion`."""
        return torch.cat(tuple(streams), dim=1)


def full_convolution(channels: int) -> ConvLayer:
    """Standard 3x3 convolution, BN, ReLU, in the place of a Lite layer."""
    return ConvLayer(channels, channels, kernel=3)


@dataclass(frozen=True)
class Design:
    """What the rows of table 5 change; the defaults are the primary model.

    layer: what streams are made of. depths: layers of each stream. fusion: built from channels and number of streams.
    """

    layer: Callable[[int], nn.Module] = LightConv3x3
    depths: tuple[int, ...] = (1, 2, 3, 4)
    fusion: Callable[[int, int], Fusion] = UnifiedGate


# The paper does not print the depth of model 3. Four keeps the largest scale and the depth, so only the mix of scales
# is removed.
ABLATIONS = {
    "full_conv": Design(layer=full_convolution),  # model 2
    "same_depth": Design(depths=(4, 4, 4, 4)),  # model 3
    "concatenation": Design(fusion=Concatenation),  # model 4
    "addition": Design(fusion=Addition),  # model 5
    "separate_gates": Design(fusion=SeparateGates),  # model 6
    "stream_wise_gate": Design(fusion=partial(UnifiedGate, gate=StreamGate)),  # model 7
    "fixed_gates": Design(fusion=partial(SeparateGates, gate=FixedGate)),  # model 8
    "t1": Design(depths=(1,), fusion=Addition),  # model 9: a single stream has nothing to fuse
    "t2": Design(depths=(1, 2)),  # model 10
    "t3": Design(depths=(1, 2, 3)),  # model 11
}


class DesignedBlock(nn.Module):
    """`osnet.OSBlock` with the streams and the fusion of a design; with `Design()` it is the same function.

    A forward hook on `conv4.1.fusion.gate.fc2`, or `conv4.1.fusion.gates.0.fc2` and so on, gives the gates as in
    `osnet`.
    """

    def __init__(self, in_channels: int, out_channels: int, *, design: Design) -> None:
        super().__init__()
        mid = out_channels // 4
        self.conv1 = ConvLayer(in_channels, mid, kernel=1)
        self.streams = nn.ModuleList(
            nn.Sequential(*(design.layer(mid) for _ in range(depth))) for depth in design.depths
        )
        self.fusion = design.fusion(mid, len(design.depths))
        self.conv3 = Conv1x1Linear(self.fusion.out_channels, out_channels)
        self.downsample = Conv1x1Linear(in_channels, out_channels) if in_channels != out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        reduced = self.conv1(x)
        fused = self.fusion([stream(reduced) for stream in self.streams])
        return torch.relu(self.conv3(fused) + shortcut)


def ablation(*, width: float, classes: int, design: Design) -> OSNet:
    """OSNet with the blocks of a design."""
    block = partial(DesignedBlock, design=design)
    return OSNet(width=width, classes=classes, blocks=(block, block, block))
