"""MGN: a global branch and several part branches, each with its own copy of ResNet's last stages.

Source: Wang, Yuan, Chen, Li, Zhou, "Learning Discriminative Features with Multiple Granularity for Person
Re-Identification", ACM MM 2018, section 3, figure 3, table 1.

Images have a height that is a multiple of 16 times each number of stripes, of 96 for two and three; others give
stripes that overlap, and cannot be exported.

To look inside, register a forward hook on `branches.0`, `branches.1`, ...: each gives its last feature maps,
(N, 2048, H/32, W/32) the global branch, (N, 2048, H/16, W/16) the others (figure 5).
"""

from itertools import chain
from pathlib import Path

import torch
from torch import Tensor, nn

from train.models.osnet import initialise
from train.models.public_names import load_renamed
from train.models.resnet import MAP_CHANNELS, ResNetEnd, ResNetStart
from train.models.training_output import TrainingOutput
from train.models.weights import StateDict

REDUCED_CHANNELS = 256


class MGN(nn.Module):
    """Multiple granularity network: one branch per entry of `stripes`, the number of parts it is cut into.

    A branch of one stripe is the global one and keeps the stride of conv5; all others work on maps of twice the height.
    Source: section 3.1; table 5 for other branches, a single one, and depth 101.

    reduced_softmax: the global features are classified after reduction to 256 numbers too (section 4.4, "w/o TP",
    where no triplet loss trains their reductions), not as the 2048 numbers before it (section 3.2).
    Differs: public code classifies reduced features even with the triplet loss; here both are possible.
    """

    backbone_modules = ("shared", "branches")

    def __init__(
        self, *, classes: int, depth: int = 50, stripes: tuple[int, ...] = (1, 2, 3), reduced_softmax: bool = False
    ) -> None:
        super().__init__()
        parts = sum(count for count in stripes if count > 1)
        global_length = REDUCED_CHANNELS if reduced_softmax else MAP_CHANNELS
        lengths = [global_length] * len(stripes) + [REDUCED_CHANNELS] * parts
        self.stripes = stripes
        self.reduced_softmax = reduced_softmax
        self.shared = ResNetStart()
        self.branches = nn.ModuleList(ResNetEnd(depth=depth, last_stride=2 if n == 1 else 1) for n in stripes)
        self.whole = nn.AdaptiveMaxPool2d(1)
        self.cuts = nn.ModuleList(nn.AdaptiveMaxPool2d((n, 1)) for n in stripes)
        self.reductions = nn.ModuleList(_reduction() for _ in lengths)
        self.classifiers = nn.ModuleList(nn.Linear(length, classes) for length in lengths)
        initialise(self)

    @property
    def descriptor_parts(self) -> tuple[tuple[str, int], ...]:
        """Global features of all branches first, then the parts of each, top to bottom."""
        wholes = ["global" if n == 1 else f"part{n}_global" for n in self.stripes]
        parts = [f"part{n}_{number}" for n in self.stripes if n > 1 for number in range(1, n + 1)]
        return tuple((name, REDUCED_CHANNELS) for name in (*wholes, *parts))

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W) float32, RGB, normalised. Eval: (N, 256 per part of the descriptor), non-negative."""
        maps = self._maps(images)  # (N, 2048, H/32, W/32) global, (N, 2048, H/16, W/16) part
        z = [self.whole(x) for x in maps] + self._parts(maps)  # each (N, 2048, 1, 1)
        f = [reduce(x).flatten(1) for reduce, x in zip(self.reductions, z, strict=True)]  # each (N, 256)
        if not self.training:
            return torch.cat(f, dim=1)  # (N, 256 per part)
        branches = len(self.stripes)
        classified = f if self.reduced_softmax else [x.flatten(1) for x in z[:branches]] + f[branches:]
        logits = tuple(classify(x) for classify, x in zip(self.classifiers, classified, strict=True))
        return TrainingOutput(logits, tuple(f[:branches]))

    def _maps(self, images: Tensor) -> list[Tensor]:
        """The last map of every branch."""
        shared = self.shared(images)  # (N, 1024, H/16, W/16)
        return [branch(shared) for branch in self.branches]

    def _parts(self, maps: list[Tensor]) -> list[Tensor]:
        """Maxima of the stripes of every part branch, each (N, 2048, 1, 1)."""
        cut = ((cut(x), n) for x, cut, n in zip(maps, self.cuts, self.stripes, strict=True) if n > 1)
        return list(chain.from_iterable([[x[:, :, row : row + 1] for row in range(n)] for x, n in cut]))

    def load_pretrained(self, state: StateDict, *, source: Path) -> None:
        """Fill the shared part and every branch from ImageNet weights in torchvision's layout.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        renames = ((r"shared\.(.+)", r"\1"), (r"branches\.\d+\.(.+)", r"\1"))
        fresh = ("reductions", "classifiers")
        load_renamed(self, state, renames=renames, fresh=fresh, unused=("fc.",), source=source)


def _reduction() -> nn.Sequential:
    """1x1 convolution, BN, ReLU: from 2048 to 256 channels."""
    return nn.Sequential(
        nn.Conv2d(MAP_CHANNELS, REDUCED_CHANNELS, 1, bias=False), nn.BatchNorm2d(REDUCED_CHANNELS), nn.ReLU()
    )


class MGNSingles(MGN):
    """A global, a two-part and a three-part network without shared layers; descriptor and outputs are those of MGN."""

    backbone_modules = ("starts", "branches")

    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        del self.shared
        self.starts = nn.ModuleList(ResNetStart() for _ in self.stripes)
        initialise(self.starts)

    def _maps(self, images: Tensor) -> list[Tensor]:
        return [branch(start(images)) for start, branch in zip(self.starts, self.branches, strict=True)]

    def load_pretrained(self, state: StateDict, *, source: Path) -> None:
        """Fill all three networks from ImageNet weights in torchvision's layout.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        renames = ((r"(?:starts|branches)\.\d+\.(.+)", r"\1"),)
        load_renamed(self, state, renames=renames, fresh=("reductions", "classifiers"), unused=("fc.",), source=source)
