"""PLR-OSNet: OSNet with attention, whose last stage exists twice: in a global branch and a local one of four stripes.

Source: Xie, Wu, Zhang, Zhao, Li, "Learning Diverse Features with Part-Level Resolution for Person Re-Identification",
PRCV 2020, section III, figure 3.
Differs, always as in the authors' code, because their results depend on it: attention stands after the transitions; the
channel gate looks at each position by itself; the global branch has a linear layer; both branches have a BN before the
classifier, and the descriptor is taken after it, each branch L2-normalised by itself.

Images have a height that is a multiple of 64; others give stripes that overlap, and cannot be exported.

To look inside, register a forward hook on `local_branch` or `global_branch`: each gives its last feature maps,
(N, C, H/16, W/16) (figure 4).
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.osnet import (
    DESCRIPTOR_LENGTH,
    ChannelGate,
    ConvLayer,
    OSBlock,
    initialise,
    stage,
    stage_widths,
    transition,
)
from train.models.public_names import load_renamed
from train.models.training_output import TrainingOutput
from train.models.weights import StateDict

_STRIPES = 4
_QUERY_REDUCTION = 8  # r of section III.B.1


class PositionAttention(nn.Module):
    """Self-attention over positions: each one adds the average over the map, weighted by similarity to it.

    Source: section III.B.1 (SAM). gamma scales that average and starts at 0. The BN behind it removes gamma's magnitude
    again, so gamma's first gradients are large: do not change only one of the two.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels // _QUERY_REDUCTION, 1)
        self.key = nn.Conv2d(channels, channels // _QUERY_REDUCTION, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.bn = nn.BatchNorm2d(channels)

    def start_softly(self) -> None:
        """Give query and key small weights: with He's, softmax would select one position instead of weighing all."""
        self.query.reset_parameters()
        self.key.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape."""
        query, key = self.query(x).flatten(2), self.key(x).flatten(2)  # (N, C/8, H W)
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=2)  # (N, H W, H W), a row per position
        gathered = (x.flatten(2) @ weights.transpose(1, 2)).view_as(x)  # (N, C, H, W)
        out: Tensor = self.bn(self.gamma * gathered) + x
        return out


class Attention(nn.Module):
    """Position attention, then a channel gate.

    Source: section III.B.1 (SAM and CAM). pools: the gate sees the average over all positions, as the paper says;
    in the authors' code that line is commented out, and each position is gated by its own values.
    """

    def __init__(self, channels: int, *, pools: bool) -> None:
        super().__init__()
        self.position = PositionAttention(channels)
        self.gate = ChannelGate(channels)
        self.pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, C, H, W). Returns the same shape."""
        x = self.position(x)
        out: Tensor = self.gate(x) if self.pools else x * self.gate.weights(x)
        return out


class LocalHead(nn.Module):
    """Averages of the stripes, concatenated top to bottom; BN. Source: section III.A, eq. (3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stripes = nn.AdaptiveAvgPool2d((_STRIPES, 1))
        self.bn = nn.BatchNorm1d(_STRIPES * channels)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """maps: (N, C, H, W). Returns the embedding before and the feature after the BN, both (N, 4 C)."""
        embedding = self.stripes(maps).transpose(1, 2).flatten(1)  # (N, 4 C)
        return embedding, self.bn(embedding)


class GlobalHead(nn.Module):
    """Global maximum, a linear layer, BN. Source: section III.B.3; the linear layer is the authors' code's."""

    def __init__(self, channels: int, *, length: int) -> None:
        super().__init__()
        self.peak = nn.AdaptiveMaxPool2d(1)
        self.linear = nn.Linear(channels, length)
        self.bn = nn.BatchNorm1d(length)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """maps: (N, C, H, W). Returns the embedding before and the feature after the BN, both (N, length)."""
        embedding = self.linear(self.peak(maps).flatten(1))  # (N, length)
        return embedding, self.bn(embedding)


class PLROSNet(nn.Module):
    """PLR-OSNet at any width: the width scales all channels but the `global_length` of the global branch's descriptor.

    with_attention, with_global, multiple_id: the rows of tables VI, IV and V. multiple_id classifies each stripe by
    itself, as PCB does, where one classifier sees all four. pools_gate: see `Attention`.
    """

    def __init__(
        self,
        *,
        classes: int,
        width: float = 1.0,
        with_attention: bool = True,
        pools_gate: bool = False,
        with_global: bool = True,
        multiple_id: bool = False,
        global_length: int = DESCRIPTOR_LENGTH,
    ) -> None:
        super().__init__()
        stem, first, second, third = stage_widths(width)
        self.stripe_length = third
        self.multiple_id = multiple_id
        self.global_length = global_length
        self.conv1 = ConvLayer(3, stem, kernel=7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Sequential(*stage(OSBlock, stem, out_channels=first), transition(first))
        self.attention1 = Attention(first, pools=pools_gate) if with_attention else nn.Identity()
        self.conv3 = nn.Sequential(*stage(OSBlock, first, out_channels=second), transition(second))
        self.attention2 = Attention(second, pools=pools_gate) if with_attention else nn.Identity()
        self.local_branch = _branch(second, third)
        self.local_head = LocalHead(third)
        self.global_branch = _branch(second, third) if with_global else None
        self.global_head = GlobalHead(third, length=global_length) if with_global else None
        self.classifiers = nn.ModuleList(nn.Linear(length, classes) for length in self._classified_lengths())
        initialise(self)
        for module in self.modules():
            if isinstance(module, PositionAttention):
                module.start_softly()

    @property
    def backbone_modules(self) -> tuple[str, ...]:
        """The children that pretrained weights fill."""
        shared = ("conv1", "conv2", "conv3", "local_branch")
        return shared if self.global_branch is None else (*shared, "global_branch")

    @property
    def descriptor_parts(self) -> tuple[tuple[str, int], ...]:
        """Name and length of each branch's part; both have length 1."""
        local = ("local", _STRIPES * self.stripe_length)
        return (local,) if self.global_branch is None else (local, ("global", self.global_length))

    def _classified_lengths(self) -> list[int]:
        (_, local), *others = self.descriptor_parts
        first = [self.stripe_length] * _STRIPES if self.multiple_id else [local]
        return first + [length for _, length in others]

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W) float32, RGB, normalised. Eval: (N, 2560) at width 1, L2-normalised per branch."""
        x = self.maxpool(self.conv1(images))  # (N, C, H/4, W/4)
        x = self.attention1(self.conv2(x))  # (N, C, H/8, W/8)
        x = self.attention2(self.conv3(x))  # (N, C, H/16, W/16)
        heads = [self.local_head(self.local_branch(x))]  # (N, 4 C) before and after the BN
        if self.global_branch is not None and self.global_head is not None:
            heads.append(self.global_head(self.global_branch(x)))  # (N, global_length) before and after the BN
        embeddings, features = zip(*heads, strict=True)
        if not self.training:
            return torch.cat([_unit(feature) for feature in features], dim=1)  # (N, 4 C + global_length)
        return TrainingOutput(self._classify(features), embeddings)

    def _classify(self, features: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        local, *others = features
        stripes = local.chunk(_STRIPES, dim=1) if self.multiple_id else (local,)
        return tuple(classify(x) for classify, x in zip(self.classifiers, (*stripes, *others), strict=True))

    def load_pretrained(self, state: StateDict, *, source: Path) -> None:
        """Fill the layers of OSNet, in both branches alike, from ImageNet weights of OSNet at the same width.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        renames = ((r"(?:local|global)_branch\.(.+)", r"\1"),)
        fresh = ("attention", "local_head", "global_head", "classifiers")
        load_renamed(self, state, renames=renames, fresh=fresh, unused=("fc.", "classifier."), source=source)


def _branch(in_channels: int, channels: int) -> nn.Sequential:
    """One copy of OSNet's conv4 and conv5, under their names."""
    conv4 = nn.Sequential(*stage(OSBlock, in_channels, out_channels=channels))
    return nn.Sequential(OrderedDict(conv4=conv4, conv5=ConvLayer(channels, channels, kernel=1)))


def _unit(x: Tensor) -> Tensor:
    """x / |x|, in float32, because the sum of squares overflows half precision. x: (N, D)."""
    return functional.normalize(x.float(), dim=1)
