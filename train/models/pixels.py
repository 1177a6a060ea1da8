"""From pixels to descriptors: the network with its normalisation in front, as the device will run it."""

import torch
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input


def normalise_pixels(images: Tensor, input_: Input) -> Tensor:
    """Apply the manifest's mean and std. images: (N, 3, H, W) uint8. Returns the same shape in float32."""
    mean = torch.tensor(input_.mean, device=images.device).mul(255).view(1, 3, 1, 1)
    std = torch.tensor(input_.std, device=images.device).mul(255).view(1, 3, 1, 1)
    return (images.float() - mean) / std


class PixelsToDescriptor(nn.Module):
    """pixels: (N, H, W, 3) uint8, RGB -> (N, D) float32 descriptors, not L2-normalised."""

    def __init__(self, network: nn.Module, input_: Input) -> None:
        super().__init__()
        self.network = network
        self._input = input_

    def forward(self, pixels: Tensor) -> Tensor:
        images = normalise_pixels(pixels.permute(0, 3, 1, 2), self._input)  # (N, 3, H, W)
        descriptor: Tensor = self.network(images)  # (N, D)
        return descriptor
