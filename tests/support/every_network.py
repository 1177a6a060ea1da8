"""One network of each structure in the catalog, small, with statistics that fit its random weights, and the truth."""

import copy
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime.contract.manifest import Descriptor, Input, Part
from train.models.catalog import architectures, build
from train.models.plr_osnet import PositionAttention

# Widths, depths and lengths change numbers only, so the small ones stand for all; part 4 needs maps of 12 rows.
# MobileNetV2's layers are all among these; with random weights float32 alone costs it 2e-5.
STRUCTURES = (
    *(name for name in architectures() if name.startswith(("osnet", "plr")) and "x0_25" in name),
    *("mgn", "mgn_with_part4", "mgn_single_part3", "mgn_resnet50", "pyramid_r50", "pyramid_r50_001111"),
    "shufflenet",
)
_LAST_OF_RESIDUAL = ("conv3.bn", "bn3", "IN", "project.1")
"""In the blocks of OSNet, ResNet, OSNet-AIN and ShuffleNet; OSNet-IBN's follows the sum, where a factor means nothing."""


def input_of(name: str) -> Input:
    """The smallest size that a structure can be tried with."""
    if "cifar" in name:
        return Input(height_px=32, width_px=32)
    if name.startswith(("mgn", "pyramid")):
        return Input(height_px=192, width_px=32)
    return Input(height_px=64, width_px=32)


def descriptor_of(network: nn.Module) -> Descriptor:
    """What a network gives, for a manifest."""
    parts = tuple(Part(name=name, length=length) for name, length in network.descriptor_parts)  # type: ignore[union-attr]
    return Descriptor(length=sum(part.length for part in parts), parts=parts)


@cache
def network(name: str) -> nn.Module:
    """Random weights, batch norms with the statistics of patterns, attention that is on; in eval mode. Do not change.

    Without fitting statistics signals fade from layer to layer, and rounding errors look larger than they are. Random
    blocks at full strength amplify the least noise ten- to a hundredfold, which trained ones do not, so the last norm
    of each residual has a fifth of it, and attention a tenth.
    """
    torch.manual_seed(0)
    built = build(name, classes=4)
    for place, module in built.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
        if place.endswith(_LAST_OF_RESIDUAL):
            nn.init.constant_(module.weight, 0.2)  # type: ignore[arg-type]
    attentions = [module for module in built.modules() if isinstance(module, PositionAttention)]
    for attention in attentions:
        nn.init.ones_(attention.gamma)
    with torch.no_grad():
        built.train()(normalised(pixels(name, count=8, seed=1), input_of(name)).float())
    for attention in attentions:
        nn.init.constant_(attention.gamma, 0.1)
    return built.eval()


def pixels(name: str, *, count: int, seed: int = 0) -> Tensor:
    """Smooth colour patterns: (N, H, W, 3) uint8."""
    spec = input_of(name)
    coarse = torch.rand(count, 3, 8, 4, generator=torch.Generator().manual_seed(seed)) * 255
    fine = nn.functional.interpolate(coarse, (spec.height_px, spec.width_px), mode="bilinear")
    return fine.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def normalised(images: Tensor, input_: Input) -> Tensor:
    """images: (N, H, W, 3) uint8. Returns (N, 3, H, W) float64, normalised as in training."""
    mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (input_.mean, input_.std))
    return (images.permute(0, 3, 1, 2).double() / 255 - mean) / std


def truth(trained: nn.Module, images: Tensor, input_: Input) -> NDArray[np.float64]:
    """The network as it was trained, all in float64."""
    with torch.inference_mode():
        descriptors: NDArray[np.float64] = copy.deepcopy(trained).double()(normalised(images, input_)).numpy()
    return descriptors


def largest_error(found: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    """Largest difference, as a part of the largest number."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def typical_error(found: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    """Root of the mean squared difference, as a part of that of the numbers: it does not jump as the largest does."""
    return float(np.sqrt(np.square(found - expected).mean() / np.square(expected).mean()))


def least_cosine(found: NDArray[np.float32], expected: NDArray[np.float64]) -> float:
    """The cosine of the image that differs most."""
    product = (found.astype(np.float64) * expected).sum(axis=1)
    return float((product / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)).min())
