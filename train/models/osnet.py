"""OSNet and OSNet-IBN: omni-scale features by streams of different depth behind one shared gate.

Source: Zhou, Yang, Cavallaro, Xiang, "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019, section 3.
Differs: the descriptor is taken after BN and ReLU of the last linear layer, as in the authors' code. Module names are
those of that code too, so that its checkpoints load by name.

To look inside, register a forward hook on a named module: `conv4.1.gate.fc2` is in the last block; it runs once per
stream, the shallowest first, and gives (N, C, 1, 1), the gating vector before its sigmoid (figure 5). `conv5` gives the
last feature maps, (N, C, H/16, W/16) (figure 6).
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from train.models.training_output import TrainingOutput
from train.models.weights import CLASSIFIER, StateDict, load_all_but_classifiers

Norm = Callable[[int], nn.Module]
Block = Callable[[int, int], nn.Module]
"""Builds a block from its numbers of input and output channels."""
DESCRIPTOR_LENGTH = 512
"""The paper's descriptor length; the argument `descriptor_length` of a network chooses another one."""
_STAGES = (64, 256, 384, 512)
_STREAMS = 4


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Instance normalisation with learned scale and shift and without running statistics."""
    return nn.InstanceNorm2d(channels, affine=True)


class ConvLayer(nn.Module):
    """Convolution, normalisation, ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel: int, stride: int = 1, norm: Norm = nn.BatchNorm2d
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = norm(out_channels)
        self.relu = nn.ReLU(inplace=True)  # the backward pass does not need the norm's output, so save memory

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H/stride, W/stride)."""
        out: Tensor = self.relu(self.bn(self.conv(x)))
        return out


class Conv1x1Linear(nn.Module):
    """1x1 convolution with BN and without non-linearity; AIN leaves the BN out too."""

    def __init__(self, in_channels: int, out_channels: int, *, bn: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels) if bn else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W)."""
        out: Tensor = self.conv(x)
        return out if self.bn is None else cast(Tensor, self.bn(out))


class LightConv3x3(nn.Module):
    """Lite 3x3: a linear pointwise convolution, then a depthwise one, BN, ReLU. Source: section 3.1, figure 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns the same shape."""
        out: Tensor = self.relu(self.bn(self.conv2(self.conv1(x))))
        return out


class ChannelGate(nn.Module):
    """Unified aggregation gate: one weight per channel, from the stream's own global average.

    Source: section 3.2, eq. (3). The hidden layer has channels // 16 units, rounded down but at least one.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, max(channels // 16, 1), 1)
        self.fc2 = nn.Conv2d(max(channels // 16, 1), channels, 1)

    def weights(self, pooled: Tensor) -> Tensor:
        """Gate values in (0, 1). pooled: (N, C, 1, 1). Returns (N, C, 1, 1)."""
        return torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W), one stream. Returns the same shape, each channel multiplied by its gate value."""
        return x * self.weights(x.mean(dim=(2, 3), keepdim=True))


def add_gated_streams(gate: ChannelGate, streams: Sequence[Tensor]) -> Tensor:
    """Sum of the gated streams. All: (N, C, H, W). Source: section 3.2, eq. (3)."""
    return add_streams([gate(stream) for stream in streams])


def add_streams(streams: Sequence[Tensor]) -> Tensor:
    """Plain sum of the streams."""
    first, *others = streams
    return sum(others, first)


class OSBlock(nn.Module):
    """Omni-scale residual block: four streams of 1 to 4 Lite layers, gated and summed.

    Source: section 3.2, figure 4(b); `with_instance_norm`: supplement A, IN after the residual sum, before ReLU.
    """

    def __init__(self, in_channels: int, out_channels: int, *, with_instance_norm: bool = False) -> None:
        super().__init__()
        mid = out_channels // 4
        self.conv1 = ConvLayer(in_channels, mid, kernel=1)
        self.conv2a = LightConv3x3(mid)
        self.conv2b = nn.Sequential(*(LightConv3x3(mid) for _ in range(2)))
        self.conv2c = nn.Sequential(*(LightConv3x3(mid) for _ in range(3)))
        self.conv2d = nn.Sequential(*(LightConv3x3(mid) for _ in range(4)))
        self.gate = ChannelGate(mid)
        self.conv3 = Conv1x1Linear(mid, out_channels)
        self.downsample = Conv1x1Linear(in_channels, out_channels) if in_channels != out_channels else None
        self.IN = instance_norm(out_channels) if with_instance_norm else None

    def streams(self, x: Tensor) -> tuple[Tensor, ...]:
        """The four streams before their gates, each (N, mid, H, W)."""
        return self.conv2a(x), self.conv2b(x), self.conv2c(x), self.conv2d(x)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.conv3(add_gated_streams(self.gate, self.streams(self.conv1(x)))) + shortcut
        return torch.relu(out if self.IN is None else self.IN(out))


def stage_widths(width: float) -> tuple[int, int, int, int]:
    """Channels of stem and stages at a width multiplier. Source: section 4.1, table 6."""
    stem, first, second, third = (int(channels * width) for channels in _STAGES)
    return stem, first, second, third


def stage(block: Block, in_channels: int, *, out_channels: int, count: int = 2) -> list[nn.Module]:
    """Blocks of one stage; the first one changes the width."""
    return [block(in_channels, out_channels), *(block(out_channels, out_channels) for _ in range(count - 1))]


def transition(channels: int) -> nn.Sequential:
    """1x1 convolution, BN, ReLU and 2x2 average pool between two stages."""
    return nn.Sequential(ConvLayer(channels, channels, kernel=1), nn.AvgPool2d(2, stride=2))


class OSNetHead(nn.Module):
    """The end that all OSNets share: global average pool, linear layer, BN, ReLU, classifier.

    Class scores of a network in eval mode are `network.classifier(network(images))`.
    """

    fc: nn.Sequential
    classifier: nn.Linear
    descriptor_length: int

    @property
    def descriptor_parts(self) -> tuple[tuple[str, int], ...]:
        """Name and length of the descriptor's parts, in order."""
        return (("global", self.descriptor_length),)

    @property
    def backbone_modules(self) -> tuple[str, ...]:
        """The children that pretrained weights fill: all with parameters, except the classifier."""
        children = self.named_children()
        return tuple(name for name, child in children if name != CLASSIFIER and any(True for _ in child.parameters()))

    def load_pretrained(self, state: StateDict, *, source: Path) -> None:
        """Load public weights of the same architecture; their classifier is ignored.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        load_all_but_classifiers(self, state, source=source)

    def _add_head(self, channels: int, *, classes: int, length: int) -> None:
        self.descriptor_length = length
        self.fc = nn.Sequential(nn.Linear(channels, length), nn.BatchNorm1d(length), nn.ReLU(inplace=True))
        self.classifier = nn.Linear(length, classes)

    def _pool(self, maps: Tensor) -> Tensor:
        return maps.mean(dim=(2, 3))  # (N, C)

    def _describe(self, maps: Tensor) -> Tensor | TrainingOutput:
        descriptor: Tensor = self.fc(self._pool(maps))  # (N, D)
        if not self.training:
            return descriptor
        return TrainingOutput((self.classifier(descriptor),), (descriptor,))


class OSNet(OSNetHead):
    """OSNet at any width. Source: section 3.3, table 1.

    blocks: the kind of block in conv2, conv3 and conv4; they and the stem's norm make the variants.
    descriptor_length: D, numbers per descriptor.
    """

    def __init__(
        self,
        *,
        width: float,
        classes: int,
        descriptor_length: int = DESCRIPTOR_LENGTH,
        blocks: tuple[Block, Block, Block] = (OSBlock, OSBlock, OSBlock),
        stem_norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        stem, first, second, third = stage_widths(width)
        self.conv1 = ConvLayer(3, stem, kernel=7, stride=2, norm=stem_norm)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Sequential(*stage(blocks[0], stem, out_channels=first), transition(first))
        self.conv3 = nn.Sequential(*stage(blocks[1], first, out_channels=second), transition(second))
        self.conv4 = nn.Sequential(*stage(blocks[2], second, out_channels=third))
        self.conv5 = ConvLayer(third, third, kernel=1)
        self._add_head(third, classes=classes, length=descriptor_length)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W) float32, RGB, normalised. Eval: (N, D), non-negative."""
        x = self.maxpool(self.conv1(images))  # (N, C, H/4, W/4)
        x = self.conv2(x)  # (N, C, H/8, W/8)
        x = self.conv3(x)  # (N, C, H/16, W/16)
        return self._describe(self.conv5(self.conv4(x)))


class OSNetIBN(OSNet):
    """OSNet with instance normalisation in conv1 and conv2: it replaces the stem's BN and is added in both blocks.

    Source: supplement A.
    """

    def __init__(self, *, width: float, classes: int, descriptor_length: int = DESCRIPTOR_LENGTH) -> None:
        with_norm = partial(OSBlock, with_instance_norm=True)
        super().__init__(
            width=width,
            classes=classes,
            descriptor_length=descriptor_length,
            blocks=(with_norm, OSBlock, OSBlock),
            stem_norm=instance_norm,
        )


def initialise(network: nn.Module) -> None:
    """He initialisation for convolutions, 1 and 0 for norms, N(0, 0.01) for linear layers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
