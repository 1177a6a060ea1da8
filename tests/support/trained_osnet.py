"""OSNet x0.25 with trained weights, out of the demo's ONNX file: what a clone has of a trained network."""

import re
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input
from tests.conftest import ROOT
from train.models.catalog import build

INPUT = Input(height_px=256, width_px=128)
_MEAN_POOL = re.compile(r"conv[23]\.2\.1\.weight$")
"""The 2x2 mean pools, which the export writes as convolutions with weights of a quarter."""


def demo_osnet(path: Path = ROOT / "edge_runtime" / "models" / "osnet_x0_25_cuhk03.onnx") -> nn.Module:
    """The network that the file was made from, in eval mode; its batch norms hold what was folded away, the shifts."""
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
    state = {
        _unfolded(name): torch.from_numpy(values.copy())
        for name, values in tensors.items()
        if name.startswith("network.") and not _MEAN_POOL.search(name)
    }
    # The export divides the stem's weights by the standard deviation.
    state["conv1.conv.weight"] *= 255 * torch.tensor(INPUT.std).view(1, 3, 1, 1)
    network = build("osnet_x0_25", classes=1).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.constant_(module.weight, (1 + module.eps) ** 0.5)
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(re.search(r"bn\.|fc\.1\.|classifier", name) for name in missing), missing
    return network


def _unfolded(name: str) -> str:
    name = name.removeprefix("network.").replace(".gate.gate.", ".gate.")
    return re.sub(r"\.conv2?\.bias$", ".bn.bias", name)


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
