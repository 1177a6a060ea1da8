"""OSNet for the 32 x 32 pixel images of CIFAR.

Source: Zhou, Yang, Cavallaro, Xiang, "Omni-Scale Feature Learning for Person Re-Identification", ICCV 2019,
section 4.3, tables 8 and 9.
"""

from torch import Tensor, nn

from train.models.osnet import (
    DESCRIPTOR_LENGTH,
    Block,
    ConvLayer,
    OSBlock,
    OSNetHead,
    initialise,
    stage,
    stage_widths,
    transition,
)
from train.models.training_output import TrainingOutput


class OSNetCifar(OSNetHead):
    """OSNet that starts with a 3x3 convolution of stride 1 and ends on 8 x 8 maps.

    counts: blocks of the three stages; (2, 2, 2) has depth 78, (3, 8, 6) depth 210.
    Differs: the stem is ours. The paper prints none, there is no public code for CIFAR, and the 7x7 stem and pool of
    `OSNet` would leave maps of 2 x 2.
    """

    def __init__(
        self,
        *,
        width: float,
        classes: int,
        descriptor_length: int = DESCRIPTOR_LENGTH,
        counts: tuple[int, int, int] = (2, 2, 2),
        block: Block = OSBlock,
    ) -> None:
        super().__init__()
        stem, first, second, third = stage_widths(width)
        self.conv1 = ConvLayer(3, stem, kernel=3)
        self.conv2 = nn.Sequential(*stage(block, stem, out_channels=first, count=counts[0]), transition(first))
        self.conv3 = nn.Sequential(*stage(block, first, out_channels=second, count=counts[1]), transition(second))
        self.conv4 = nn.Sequential(*stage(block, second, out_channels=third, count=counts[2]))
        self.conv5 = ConvLayer(third, third, kernel=1)
        self._add_head(third, classes=classes, length=descriptor_length)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor | TrainingOutput:
        """images: (N, 3, H, W) float32, RGB, normalised. Eval: (N, descriptor_length), non-negative."""
        x = self.conv2(self.conv1(images))  # (N, C, H/2, W/2)
        x = self.conv3(x)  # (N, C, H/4, W/4)
        return self._describe(self.conv5(self.conv4(x)))
