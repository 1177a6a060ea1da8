"""The normalisation of pixels becomes part of the stem's weights."""

import torch
from torch import Tensor, fx, nn

from edge_runtime.contract.errors import ExportError
from export.graph.rewrites.graph import finish, module_of
from export.graph.rewrites.pixel_steps import CentredPixels, NormalisedPixels, Pixels


def fold_standard_deviation(traced: fx.GraphModule) -> None:
    """Divide the stem's weights by the standard deviation instead of every pixel.

    The subtraction of the mean stays, because the stem pads its input with zeros, which stand for the mean.
    """
    found = _stem(traced)
    if found is None:
        return
    name, pixels, stem = found
    _, std = _normalisation(pixels)
    stem.weight.data = (stem.weight.double() / std).float()
    traced.add_submodule(name, CentredPixels(pixels.input))
    finish(traced)


def fold_normalisation_of_four_channels(traced: fx.GraphModule) -> None:
    """Take RGBA pixels whose fourth channel is 255 everywhere, and do all of the normalisation in the stem's weights.

    The weights of the fourth channel subtract the mean. The stem's padding is zero in this channel too, so the border
    is exact.

    Raises:
        ExportError: the network does not start with one convolution.
    """
    found = _stem(traced)
    if found is None:
        raise ExportError("four-channel pixels need a network whose first step is one convolution; use three channels")
    name, pixels, stem = found
    mean, std = _normalisation(pixels)
    colours = stem.weight.double() / std
    fourth = -(colours * mean).sum(dim=1, keepdim=True) / 255
    stem.weight.data = torch.cat([colours, fourth], dim=1).float()
    stem.in_channels = 4
    traced.add_submodule(name, Pixels())
    finish(traced)


def _stem(traced: fx.GraphModule) -> tuple[str, NormalisedPixels, nn.Conv2d] | None:
    """Name and module of the normalisation, and the convolution that is its only reader; None if it is no such stem."""
    for node in traced.graph.nodes:
        pixels = module_of(traced, node)
        if isinstance(pixels, NormalisedPixels) and len(node.users) == 1:
            stem = module_of(traced, next(iter(node.users)))
            return (str(node.target), pixels, stem) if isinstance(stem, nn.Conv2d) else None
    return None


def _normalisation(pixels: NormalisedPixels) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation on the scale of pixels, each (1, 3, 1, 1) float64."""
    values = (pixels.input.mean, pixels.input.std)
    mean, std = (255 * torch.tensor(value, dtype=torch.float64).view(1, 3, 1, 1) for value in values)
    return mean, std
