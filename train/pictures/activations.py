"""Activation maps: which regions of an image each branch of a network responds to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime.contract.errors import ConfigError
from train.datasets.catalog import Sample, load_images
from train.models.checkpoint import LoadedNetwork
from train.models.mgn import MGN
from train.models.osnet import OSNetHead
from train.models.plr_osnet import PLROSNet
from train.models.pyramid import Pyramid
from train.pictures.hooks import look_inside
from train.pictures.sheet import Sheet, SheetRow, Tile, draw_sheet

_MAP_SHARE = 0.55
_OUTSIDE_BRIGHTNESS = 0.35
_COLOURS = "turbo"
_PART_NOTE = "Dark: outside of this part. "
_CUT_NOTE = "White lines: where the branch cuts its map into parts. "


@dataclass(frozen=True)
class View:
    """One row of the picture: the map of one module.

    stripes: into how many stripes the branch divides its map. only: the stripe that is shown, from 0; None: all.
    """

    name: str
    module: str
    stripes: int = 1
    only: int | None = None


def views_of(network: nn.Module) -> tuple[View, ...]:
    """The branches of a network, each by the module that gives its last feature maps.

    Raises:
        ConfigError: a network without such maps.
    """
    if isinstance(network, OSNetHead):
        return (View("last feature maps", "conv5"),)
    if isinstance(network, PLROSNet):
        parts = tuple(View(f"local branch, part {n + 1}", "local_branch", stripes=4, only=n) for n in range(4))
        return parts if network.global_branch is None else (View("global branch", "global_branch"), *parts)
    if isinstance(network, MGN):
        return tuple(
            View("global branch" if n == 1 else f"branch of {n} parts", f"branches.{number}", stripes=n)
            for number, n in enumerate(network.stripes)
        )
    if isinstance(network, Pyramid):
        return (View("last feature maps", "backbone", stripes=6),)
    raise ConfigError(f"activation maps are not defined for {type(network).__name__}")


def absolute_sum(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H, W): the activation map before it is normalised."""
    return maps.abs().sum(dim=1)


def activation_maps(
    loaded: LoadedNetwork, samples: Sequence[Sample], *, views: Sequence[View]
) -> list[NDArray[np.float32]]:
    """One array (N, H, W) per view: sums of absolute values over channels, of spatial L2 length 1 per image.

    A view that shows one stripe has the map of that stripe only.
    Source: OSNet paper, section 4.1, "Visualisation of attention".
    Differs: figure 4 of PLR-OSNet shows class activation maps, which need an identity that the classifier knows; the
    people of a test have none.
    """
    modules = tuple(dict.fromkeys(view.module for view in views))
    seen = look_inside(loaded, samples, modules=modules, keep=absolute_sum)
    maps = []
    for view in views:
        (whole,) = seen[view.module]
        shown = whole[:, _rows_of(view, whole.shape[1])]
        lengths = np.linalg.norm(shown, axis=(1, 2), keepdims=True)
        maps.append(shown / np.maximum(lengths, np.float32(1e-12)))
    return maps


def _rows_of(view: View, height: int) -> slice:
    """The rows of a map, or of an image, that a view shows, cut as adaptive pooling cuts them."""
    if view.only is None:
        return slice(0, height)
    return slice(view.only * height // view.stripes, math.ceil((view.only + 1) * height / view.stripes))


def draw_activations(loaded: LoadedNetwork, samples: Sequence[Sample], *, picture: Path) -> None:
    """Draw images beside the activation maps of each branch.

    Raises:
        ConfigError: see `views_of`.
        DataError: an image cannot be decoded.
    """
    views = views_of(loaded.network)
    maps = activation_maps(loaded, samples, views=views)
    size = loaded.manifest.input
    images = load_images(samples, height_px=size.height_px, width_px=size.width_px, rule=size.resize)
    rows = [SheetRow("image", [Tile(image) for image in images])]
    for view, of_view in zip(views, maps, strict=True):
        tiles = [Tile(overlay(image, one, view=view)) for image, one in zip(images, of_view, strict=True)]
        rows.append(SheetRow(view.name, tiles))
    explanation = (
        "Red: the last feature maps of the branch are strong here. Blue: they are weak. Each map is scaled by itself. "
    )
    explanation += _PART_NOTE if any(view.only is not None for view in views) else ""
    explanation += _CUT_NOTE if any(view.only is None and view.stripes > 1 for view in views) else ""
    heads = [sample.label for sample in samples]
    draw_sheet(Sheet(f"Where {loaded.manifest.model_id} looks", explanation, heads, rows), picture)


def overlay(image: NDArray[np.uint8], activation: NDArray[np.float32], *, view: View) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 with an activation map (h, w) in colours over the rows that the view shows."""
    height, width, _ = image.shape
    rows = _rows_of(view, height)
    span = activation.max() - activation.min()
    scaled = (activation - activation.min()) / max(span, np.float32(1e-12))
    resized = cv2.resize(scaled, (width, rows.stop - rows.start), interpolation=cv2.INTER_LINEAR)
    colours = matplotlib.colormaps[_COLOURS](resized)[..., :3] * 255
    shown = image * _OUTSIDE_BRIGHTNESS
    shown[rows] = (1 - _MAP_SHARE) * image[rows] + _MAP_SHARE * colours
    if view.only is None:
        for cut in range(1, view.stripes):
            line = round(cut * height / view.stripes)
            shown[line - 1 : line + 1] = 255
    return np.asarray(np.rint(shown), np.uint8)
