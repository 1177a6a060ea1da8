"""The steps between uint8 pixels and the first convolution."""

import torch
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input


class Pixels(nn.Module):
    """A cast to float32 and a change of layout.

    The cast comes first, because TensorRT accepts a uint8 input only if its first reader is a cast.
    """

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (N, H, W, C) uint8. Returns planes (N, C, H, W) float32."""
        return pixels.float().permute(0, 3, 1, 2)


class CentredPixels(Pixels):
    """Planes minus the mean of each colour."""

    mean: Tensor

    def __init__(self, input_: Input) -> None:
        """input_: its mean and width are used."""
        super().__init__()
        self.register_buffer("mean", _row(input_.mean, input_.width_px))

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (N, H, W, 3) uint8. Returns planes (N, 3, H, W) float32."""
        return super().forward(pixels) - self.mean


class NormalisedPixels(CentredPixels):
    """(planes - mean) / std: the same function as `train.models.pixels`."""

    std: Tensor

    def __init__(self, input_: Input) -> None:
        """input_: its mean, standard deviation and width are used."""
        super().__init__(input_)
        self.input = input_
        self.register_buffer("std", _row(input_.std, input_.width_px))

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (N, H, W, 3) uint8. Returns planes (N, 3, H, W) float32."""
        return super().forward(pixels) / self.std


def _row(values: tuple[float, float, float], width_px: int) -> Tensor:
    """The three values, times 255, repeated along an image row: (1, 3, 1, W).

    In INT8 graphs ONNX Runtime moves channels last before these steps. With one number per channel it would then
    process three numbers at a time, which took a fifth of the network's time.
    """
    return 255 * torch.tensor(values).view(1, 3, 1, 1).expand(1, 3, 1, width_px).contiguous()
