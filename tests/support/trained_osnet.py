"""OSNet x0.25 with trained weights: what a clone has of a trained network."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input
from tests.conftest import ROOT
from train.models.checkpoint import load_network

INPUT = Input(height_px=256, width_px=128)


def demo_osnet() -> nn.Module:
    """The network that comes with the project, in eval mode."""
    return load_network(ROOT / "edge_runtime" / "models" / "osnet_x0_25.pth").network


def people() -> Tensor:
    """Shapes that a trained network takes for people, more or less: (6, 256, 128, 3) uint8."""
    random = np.random.default_rng(0)
    images = []
    for _ in range(6):
        image = np.empty((256, 128, 3), np.float64)
        image[:] = random.integers(60, 200, 3)
        for top, bottom, left, right in ((20, 60, 48, 80), (60, 150, 34, 94), (150, 245, 40, 88)):
            image[top:bottom, left:right] = random.integers(0, 256, 3)
        images.append(image + random.normal(0, 12, image.shape))
    return torch.from_numpy(np.clip(images, 0, 255).astype(np.uint8))


def extremes() -> Tensor:
    """Black, white, checkerboards from one pixel to 32, and noise of nothing but black and white, with and without
    colour: (9, 256, 128, 3) uint8."""
    rows, columns = np.indices((256, 128))
    images: list[NDArray[np.bool_]] = [np.zeros((256, 128), bool), np.ones((256, 128), bool)]
    images += [(rows // size + columns // size) % 2 == 0 for size in (1, 2, 4, 8, 32)]
    grey = [np.repeat(image[:, :, None], 3, axis=2) for image in images]
    noise = np.random.default_rng(0).integers(0, 2, (2, 256, 128, 3)).astype(bool)
    noise[0] = noise[0, :, :, :1]
    return torch.from_numpy(np.stack([*grey, *noise]).astype(np.uint8) * 255)
