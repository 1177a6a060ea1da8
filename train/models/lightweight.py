"""The general lightweight networks that the OSNet paper compares with: ShuffleNet and MobileNetV2.

Source: X. Zhang, X. Zhou, M. Lin, J. Sun, "ShuffleNet", CVPR 2018, table 1 (three groups) and figure 2;
M. Sandler, A. Howard, M. Zhu, A. Zhmoginov, L.-C. Chen, "MobileNetV2", CVPR 2018, tables 1 and 2.
Differs: in place of 1,000 classes there are people. The OSNet paper does not say where it takes the descriptor; here it
is the mean of the last map, in front of the classifier.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from train.models.training_output import TrainingOutput
from train.models.weights import StateDict, load_all_but_classifiers

_GROUPS = 3
_SHUFFLENET_STAGES = ((240, 4), (480, 8), (960, 4))
"""Channels and units of the stages 2 to 4."""
_MOBILENET_BLOCKS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion t, channels c, repetitions n, and stride s of the first."""


class _Lightweight(nn.Module):
    """What both share: maps, their mean as the descriptor, and a classifier."""

    features: nn.Sequential
    classifier: nn.Linear
    backbone_modules = ("features",)

    @property
    def descriptor_parts(self) -> tuple[tuple[str, int], ...]:
        """Name and length of the descriptor's only part."""
        return (("global", self.classifier.in_features),)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W). Returns descriptors (N, D), in train mode with class scores."""
        descriptor: Tensor = self.features(images).mean(dim=(2, 3))  # (N, D)
        return TrainingOutput((self.classifier(descriptor),), (descriptor,)) if self.training else descriptor

    def load_pretrained(self, state: StateDict, *, source: Path) -> None:
        """Load weights of the same network; their classifier is ignored.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        load_all_but_classifiers(self, state, source=source)


class ShuffleNet(_Lightweight):
    """ShuffleNet of full width with three groups; D is 960."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_convolution(3, 24, kernel=3, stride=2), nn.MaxPool2d(3, stride=2, padding=1)]
        channels = 24
        for out_channels, count in _SHUFFLENET_STAGES:
            for number in range(count):
                layers.append(_ShuffleUnit(channels, out_channels, stride=1 if number else 2))
                channels = out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)


class MobileNetV2(_Lightweight):
    """MobileNetV2 of full width; D is 1280."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_convolution(3, 32, kernel=3, stride=2, activation=nn.ReLU6)]
        channels = 32
        for expansion, out_channels, count, stride in _MOBILENET_BLOCKS:
            for number in range(count):
                layers.append(
                    _InvertedResidual(channels, out_channels, expansion=expansion, stride=1 if number else stride)
                )
                channels = out_channels
        self.features = nn.Sequential(*layers, *_convolution(channels, 1280, activation=nn.ReLU6))
        self.classifier = nn.Linear(1280, classes)


class _ShuffleUnit(nn.Module):
    """Grouped 1x1, shuffle, depthwise 3x3, grouped 1x1, added to the input or, at stride 2, put beside its mean pool.

    The first unit of all has an ungrouped first layer, because 24 channels are few.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        mid = out_channels // 4
        new = out_channels - in_channels if stride > 1 else out_channels
        self.expand = nn.Sequential(*_convolution(in_channels, mid, groups=1 if in_channels < mid else _GROUPS))
        self.depthwise = nn.Sequential(*_convolution(mid, mid, kernel=3, stride=stride, groups=mid, activation=None))
        self.project = nn.Sequential(*_convolution(mid, new, groups=_GROUPS, activation=None))
        self.pool = nn.AvgPool2d(3, stride=2, padding=1) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H/stride, W/stride)."""
        out = self.project(self.depthwise(_shuffle(self.expand(x))))
        return torch.relu(x + out if self.pool is None else torch.cat((self.pool(x), out), dim=1))


def _shuffle(x: Tensor) -> Tensor:
    """Channels in turn from each group. x: (N, C, H, W). Returns the same shape."""
    _, channels, height, width = x.shape
    grouped = x.reshape(-1, _GROUPS, channels // _GROUPS, height, width)
    return grouped.transpose(1, 2).reshape(-1, channels, height, width)


class _InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise 3x3, and 1x1 without activation, added to the input where shapes allow it."""

    def __init__(self, in_channels: int, out_channels: int, *, expansion: int, stride: int) -> None:
        super().__init__()
        mid = in_channels * expansion
        self.layers = nn.Sequential(
            *(_convolution(in_channels, mid, activation=nn.ReLU6) if expansion > 1 else ()),
            *_convolution(mid, mid, kernel=3, stride=stride, groups=mid, activation=nn.ReLU6),
        )
        self.project = nn.Sequential(*_convolution(mid, out_channels, activation=None))
        self._is_residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, out_channels, H/stride, W/stride)."""
        out: Tensor = self.project(self.layers(x))
        return x + out if self._is_residual else out


def _convolution(
    in_channels: int,
    out_channels: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = nn.ReLU,
) -> list[nn.Module]:
    """Convolution and BN, and an activation if there is one."""
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [convolution, nn.BatchNorm2d(out_channels), *([] if activation is None else [activation()])]
