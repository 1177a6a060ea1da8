"""OSNet-AIN: OSNet whose instance norms sit inside the residual, in places found by search.

Source: Zhou, Yang, Cavallaro, Xiang, "Learning Generalisable Omni-Scale Representations for Person Re-Identification",
TPAMI 2021, section 3.3, figure 5. It is not one of the four papers; it is here because its public checkpoints are
widely used.
"""

import torch
from torch import Tensor, nn

from train.models.osnet import (
    DESCRIPTOR_LENGTH,
    ChannelGate,
    Conv1x1Linear,
    ConvLayer,
    LightConv3x3,
    OSNetHead,
    add_gated_streams,
    initialise,
    instance_norm,
    stage_widths,
    transition,
)
from train.models.training_output import TrainingOutput


class LightConvStream(nn.Module):
    """A stream of Lite layers, under the public code's name."""

    def __init__(self, channels: int, *, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(LightConv3x3(channels) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, channels, H, W). Returns the same shape."""
        out: Tensor = self.layers(x)
        return out


class AINBlock(nn.Module):
    """Omni-scale block; with `with_instance_norm` IN takes the place of the last BN, before the residual sum."""

    def __init__(self, in_channels: int, out_channels: int, *, with_instance_norm: bool) -> None:
        super().__init__()
        mid = out_channels // 4
        self.conv1 = ConvLayer(in_channels, mid, kernel=1)
        self.conv2 = nn.ModuleList(LightConvStream(mid, depth=depth) for depth in (1, 2, 3, 4))
        self.gate = ChannelGate(mid)
        self.conv3 = Conv1x1Linear(mid, out_channels, bn=not with_instance_norm)
        self.downsample = Conv1x1Linear(in_channels, out_channels) if in_channels != out_channels else None
        self.IN = instance_norm(out_channels) if with_instance_norm else None

    def streams(self, x: Tensor) -> tuple[Tensor, ...]:
        """The four streams before their gates, each (N, mid, H, W)."""
        return tuple(stream(x) for stream in self.conv2)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.conv3(add_gated_streams(self.gate, self.streams(self.conv1(x))))
        return torch.relu((out if self.IN is None else self.IN(out)) + shortcut)


class OSNetAIN(OSNetHead):
    """OSNet-AIN at any width."""

    def __init__(self, *, width: float, classes: int, descriptor_length: int = DESCRIPTOR_LENGTH) -> None:
        super().__init__()
        stem, first, second, third = stage_widths(width)
        self.conv1 = ConvLayer(3, stem, kernel=7, stride=2, norm=instance_norm)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = _pair(stem, first, with_instance_norm=(True, True))
        self.pool2 = transition(first)
        self.conv3 = _pair(first, second, with_instance_norm=(False, True))
        self.pool3 = transition(second)
        self.conv4 = _pair(second, third, with_instance_norm=(True, False))
        self.conv5 = ConvLayer(third, third, kernel=1)
        self._add_head(third, classes=classes, length=descriptor_length)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W) float32, RGB, normalised. Eval: (N, descriptor_length), non-negative."""
        x = self.maxpool(self.conv1(images))  # (N, C, H/4, W/4)
        x = self.pool2(self.conv2(x))  # (N, C, H/8, W/8)
        x = self.pool3(self.conv3(x))  # (N, C, H/16, W/16)
        return self._describe(self.conv5(self.conv4(x)))


def _pair(in_channels: int, out_channels: int, *, with_instance_norm: tuple[bool, bool]) -> nn.Sequential:
    first, second = with_instance_norm
    return nn.Sequential(
        AINBlock(in_channels, out_channels, with_instance_norm=first),
        AINBlock(out_channels, out_channels, with_instance_norm=second),
    )
