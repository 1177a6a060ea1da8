"""ResNet-50 and ResNet-101 as two halves, so that MGN can share the first and copy the second.

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1 and figure 5 (right).
Differs: the stride of a block is in its 3x3 convolution, as in the ImageNet weights that re-identification networks
start from.
Inside both halves modules have torchvision's names, so that its files load by name; there is no pool and no `fc`.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

MAP_CHANNELS = 2048
_EXPANSION = 4
_BLOCKS = {50: 6, 101: 23}
"""Depth of the network -> number of blocks of conv4; the other stages are the same at both depths."""


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with BN, and a shortcut past them; ReLU after the first two and the sum."""

    def __init__(self, in_channels: int, mid: int, *, stride: int) -> None:
        super().__init__()
        out_channels = mid * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, mid, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(mid)
        self.conv2 = nn.Conv2d(mid, mid, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.conv3 = nn.Conv2d(mid, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = _projection(in_channels, out_channels, stride=stride) if in_channels != out_channels else None

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, in_channels, H, W). Returns (N, 4 mid, H/stride, W/stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = torch.relu(self.bn1(self.conv1(x)))  # (N, mid, H, W)
        out = torch.relu(self.bn2(self.conv2(out)))  # (N, mid, H/stride, W/stride)
        return torch.relu(self.bn3(self.conv3(out)) + shortcut)  # (N, 4 mid, H/stride, W/stride)


def _projection(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


class ResNetStart(nn.Module):
    """Stem, conv2, conv3 and the first block of conv4: what MGN shares between its branches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _blocks(64, 64, numbers=range(3), stride=1)
        self.layer2 = _blocks(256, 128, numbers=range(4), stride=2)
        self.layer3 = _blocks(512, 256, numbers=range(1), stride=2)

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, 3, H, W). Returns (N, 1024, H/16, W/16)."""
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))  # (N, 64, H/4, W/4)
        x = self.layer2(self.layer1(x))  # (N, 512, H/8, W/8)
        maps: Tensor = self.layer3(x)  # (N, 1024, H/16, W/16)
        return maps


class ResNetEnd(nn.Module):
    """The rest of conv4, and conv5. With last_stride 1 the maps keep their height and width."""

    def __init__(self, *, depth: int, last_stride: int) -> None:
        super().__init__()
        self.layer3 = _blocks(1024, 256, numbers=range(1, _BLOCKS[depth]), stride=1)
        self.layer4 = _blocks(1024, 512, numbers=range(3), stride=last_stride)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, 1024, H/16, W/16). Returns (N, 2048, H/16, W/16), or half that height and width at stride 2."""
        maps: Tensor = self.layer4(self.layer3(x))
        return maps


def _blocks(in_channels: int, mid: int, *, numbers: range, stride: int) -> nn.Sequential:
    """Blocks of one stage under their torchvision numbers; the first one of the row changes size and channels."""
    blocks = OrderedDict[str, nn.Module]()
    for number in numbers:
        blocks[str(number)] = Bottleneck(in_channels, mid, stride=stride)
        in_channels, stride = mid * _EXPANSION, 1
    return nn.Sequential(blocks)
