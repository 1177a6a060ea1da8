"""Pyramid: ResNet's last maps in six stripes; every window of adjacent stripes gives a part of the descriptor.

Source: Zheng, Sun, Jiang, Guo, Yu, Huang, "A Coarse-to-fine Pyramidal Model for Person Re-identification via Multi-Loss
Dynamic Training", CVPR 2019, section 3.1, figures 2 and 3.
Differs: ResNet-101, a bias in the 1x1 convolutions and dropout before the classifiers, as in the authors' code; the
paper names no depth and no dropout.

Images have a height that is a multiple of 96; others give stripes that overlap, and cannot be exported.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.osnet import initialise
from train.models.public_names import load_renamed
from train.models.resnet import MAP_CHANNELS, ResNetEnd, ResNetStart
from train.models.training_output import TrainingOutput
from train.models.weights import StateDict

TABLE_4_LEVELS = ("000001", "100000", "001111", "110011", "111100")
"""The sub-pyramids of table 4; from the left, a digit says whether level 1, 2, ... 6 exists."""
_STRIPES = 6
_DROPOUT = 0.2


class Pyramid(nn.Module):
    """Coarse-to-fine pyramid: level l has the 7 - l windows of l adjacent stripes.

    levels: which levels exist, from 1 (single stripes) to 6 (whole body), as table 4 writes them.
    length: numbers per window (D in the paper).
    """

    backbone_modules = ("backbone",)

    def __init__(self, *, classes: int, depth: int = 101, levels: str = "1" * _STRIPES, length: int = 128) -> None:
        super().__init__()
        self.levels = tuple(level for level, used in enumerate(levels, start=1) if used == "1")
        self.length = length
        windows = sum(_STRIPES + 1 - level for level in self.levels)
        self.backbone = nn.Sequential(ResNetStart(), ResNetEnd(depth=depth, last_stride=1))
        self.stripe_maxima = nn.AdaptiveMaxPool2d((_STRIPES, 1))
        self.stripe_means = nn.AdaptiveAvgPool2d((_STRIPES, 1))
        self.reductions = nn.ModuleList(_reduction(length) for _ in range(windows))
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifiers = nn.ModuleList(nn.Linear(length, classes) for _ in range(windows))
        initialise(self)

    @property
    def descriptor_parts(self) -> tuple[tuple[str, int], ...]:
        """Windows from the finest level to the coarsest, each level top to bottom."""
        return tuple(
            (f"level{level}_{number}", self.length)
            for level in self.levels
            for number in range(1, _STRIPES + 2 - level)
        )

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W) float32, RGB, normalised. Eval: (N, length per window), non-negative."""
        windows = self._windows(self.backbone(images))  # each (N, 2048, 1, 1)
        x = [reduce(window).flatten(1) for reduce, window in zip(self.reductions, windows, strict=True)]  # (N, length)
        if not self.training:
            return torch.cat(x, dim=1)  # (N, length per window)
        logits = tuple(classify(self.dropout(one)) for classify, one in zip(self.classifiers, x, strict=True))
        return TrainingOutput(logits, tuple(x))

    def _windows(self, maps: Tensor) -> list[Tensor]:
        """Maximum plus mean of every window. maps: (N, 2048, H, W), H a multiple of 6. Each: (N, 2048, 1, 1).

        Source: section 3.1.2. A window's maximum is that of its stripes' maxima, and its mean that of their means.
        """
        maxima, means = self.stripe_maxima(maps), self.stripe_means(maps)  # (N, 2048, 6, 1)
        windows = []
        for level in self.levels:
            size = (level, 1)
            pooled = functional.max_pool2d(maxima, size, stride=1) + functional.avg_pool2d(means, size, stride=1)
            windows += [pooled[:, :, row : row + 1] for row in range(_STRIPES + 1 - level)]
        return windows

    def load_pretrained(self, state: StateDict, *, source: Path) -> None:
        """Fill the backbone from ImageNet weights in torchvision's layout.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        renames = ((r"backbone\.\d\.(.+)", r"\1"),)
        fresh = ("reductions", "classifiers")
        load_renamed(self, state, renames=renames, fresh=fresh, unused=("fc.",), source=source)


def _reduction(length: int) -> nn.Sequential:
    """1x1 convolution, BN, ReLU: from 2048 channels to the length of a window's feature."""
    return nn.Sequential(nn.Conv2d(MAP_CHANNELS, length, 1), nn.BatchNorm2d(length), nn.ReLU())
