"""OSNet x0.25 on small images, with batch statistics that fit its weights; a stand-in for a trained network."""

from functools import cache
from pathlib import Path

import torch
from torch import nn

from export.to_onnx import main
from tests.support.market_folder import pattern
from train.models.catalog import build

HEIGHT_PX, WIDTH_PX = 64, 32
FACTS = (
    "--architecture",
    "osnet_x0_25",
    "--data-set",
    "patterns",
    "--licence",
    "none",
    "--height",
    "64",
    "--width",
    "32",
)


def calibrated(architecture: str) -> nn.Module:
    """A network with random weights whose batch norms hold the statistics of colour patterns, in eval mode.

    Without them signals fade from layer to layer, and rounding errors look larger than they are.
    """
    torch.manual_seed(0)
    network = build(architecture, classes=4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None
    network.train()
    with torch.no_grad():
        network(images(16))
    return network.eval()


@cache
def images(count: int) -> torch.Tensor:
    """Colour patterns as the network takes them: (N, 3, 64, 32) float32, roughly normalised."""
    stacked = torch.stack([torch.from_numpy(pattern(index, camera=1, copy=0)) for index in range(count)])
    resized = nn.functional.interpolate(stacked.permute(0, 3, 1, 2).float(), (HEIGHT_PX, WIDTH_PX), mode="bilinear")
    return resized / 58 - 2


def write_public_checkpoint(folder: Path) -> Path:
    """A checkpoint as public code writes it, without a manifest."""
    path = folder / "osnet.pth"
    torch.save({"state_dict": calibrated("osnet_x0_25").state_dict()}, path)
    return path


def export_small_osnet(folder: Path, *options: str) -> Path:
    """Write `osnet.onnx` and its manifest, with `--half` also `osnet_fp16.onnx`. Returns the first one's path."""
    assert main([str(write_public_checkpoint(folder)), "--output", str(folder), *options, *FACTS]) == 0
    return folder / "osnet.onnx"
