"""The steps between a camera's pixels and the first convolution."""

import torch
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input


class Pixels(nn.Module):
    """forward(pixels: (N, H, W, C) uint8) gives planes (N, C, H, W) float32: a cast and a change of layout.

    TensorRT takes uint8 at a network's input only when a cast is the first thing that follows.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.float().permute(0, 3, 1, 2)


class CentredPixels(Pixels):
    """Planes less the mean of each colour."""

    mean: Tensor

    def __init__(self, input_: Input) -> None:
        super().__init__()
        self.register_buffer("mean", _row(input_.mean, input_.width_px))

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels) - self.mean


class NormalisedPixels(CentredPixels):
    """(planes - mean) / std: the same function as `train.models.pixels`."""

    std: Tensor

    def __init__(self, input_: Input) -> None:
        super().__init__(input_)
        self.input = input_
        self.register_buffer("std", _row(input_.std, input_.width_px))

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels) / self.std


def _row(values: tuple[float, float, float], width_px: int) -> Tensor:
    """One image row per channel, on the scale of pixels: (1, 3, 1, W).

    In INT8 graphs ONNX Runtime puts channels last before these steps, where one number per channel would make it work
    three numbers at a time, a fifth of the network's time.
    """
    return 255 * torch.tensor(values).view(1, 3, 1, 1).expand(1, 3, 1, width_px).contiguous()
