"""MGN's three branches as three networks side by side: what its ablation holds the joint network against.

Source: Wang, Yuan, Chen, Li, Zhou, ACM MM 2018, section 4.4, table 5, "G+P2+P3 (Single)".
"""

from pathlib import Path

from torch import Tensor, nn

from train.models.mgn import MGN
from train.models.osnet import initialise
from train.models.public_names import load_renamed
from train.models.resnet import ResNetStart
from train.models.weights import State


class MGNSingles(MGN):
    """A global, a two-part and a three-part network that share nothing; descriptor and outputs are as MGN's."""

    backbone_modules = ("starts", "branches")

    def __init__(self, *, classes: int) -> None:
        super().__init__(classes=classes)
        del self.shared
        self.starts = nn.ModuleList(ResNetStart() for _ in self.stripes)
        initialise(self.starts)

    def _maps(self, images: Tensor) -> list[Tensor]:
        return [branch(start(images)) for start, branch in zip(self.starts, self.branches, strict=True)]

    def load_pretrained(self, state: State, *, source: Path) -> None:
        """Fill all three networks from ImageNet weights in torchvision's layout.

        Raises:
            CheckpointError: the weights belong to another network.
        """
        renames = ((r"(?:starts|branches)\.\d+\.(.+)", r"\1"),)
        load_renamed(self, state, renames, fresh=("reductions", "classifiers"), unused=("fc.",), source=source)
