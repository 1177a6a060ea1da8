"""From uint8 pixels to descriptors: normalisation by the manifest's mean and std, then the network."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.manifest import Input
from train.machine.mixed_precision import without_tf32


class PixelScale:
    """The manifest's mean and std, ready on the device. Called with images (N, 3, H, W) uint8 it gives float32."""

    def __init__(self, input_: Input, device: torch.device) -> None:
        self._mean = torch.tensor(input_.mean, device=device).mul(255).view(1, 3, 1, 1)
        self._std = torch.tensor(input_.std, device=device).mul(255).view(1, 3, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """images: (N, 3, H, W) uint8. Returns the same shape in float32, normalised."""
        return (images.float() - self._mean) / self._std


def normalise_pixels(images: Tensor, input_: Input) -> Tensor:
    """Apply the manifest's mean and std. images: (N, 3, H, W) uint8. Returns the same shape in float32."""
    return PixelScale(input_, images.device)(images)


def describe_with(
    network: nn.Module, input_: Input, *, device: torch.device
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """As `describe_raw_with`, each descriptor scaled to unit L2 length."""
    describe_raw = describe_raw_with(network, input_, device=device)
    return lambda images: normalise(describe_raw(images))


def describe_raw_with(
    network: nn.Module, input_: Input, *, device: torch.device
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """The network as it was trained, in float32, as a function from images to descriptors (`Describe`).

    The network is moved to the device and to eval mode.
    """
    network.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode(), without_tf32():
            pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # (N, 3, H, W)
            return np.asarray(network(normalise_pixels(pixels, input_)).cpu().numpy())  # (N, D)

    return describe
