"""Activation maps are those of the paper, of the branch they are called after."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edge_runtime.contract.errors import ConfigError
from tests.support.small_checkpoint import write_checkpoint
from train.datasets.catalog import ReidData, load_images
from train.models.checkpoint import load_network
from train.models.pixels import normalise_pixels
from train.pictures.activations import View, activation_maps, overlay, views_of

PLR_PARTS = tuple(f"local branch, part {number}" for number in (1, 2, 3, 4))


def literal_map(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    """Section 4.1 with loops: sum of absolute values over channels, then spatial L2 normalisation. maps: (C, H, W)."""
    channels, height, width = maps.shape
    total = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            for channel in range(channels):
                total[row, column] += abs(float(maps[channel, row, column]))
    return total / np.sqrt(sum(value**2 for value in total.flat))


def test_the_map_is_the_papers_formula_on_the_last_convolution(data: ReidData, tmp_path: Path) -> None:
    """OSNet: what conv5 gives, by nested loops."""
    loaded = load_network(write_checkpoint(tmp_path, "osnet_x0_25"))
    samples = data.query[:3]
    (found,) = activation_maps(loaded, samples, views=views_of(loaded.network))
    size = loaded.manifest.input
    pixels = torch.from_numpy(load_images(samples, height_px=size.height_px, width_px=size.width_px))
    seen: list[torch.Tensor] = []
    loaded.network.get_submodule("conv5").register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        loaded.network(normalise_pixels(pixels.permute(0, 3, 1, 2), size))
    for one, maps in zip(found, seen[0].numpy(), strict=True):
        np.testing.assert_allclose(one, literal_map(maps), atol=1e-5)  # float32 sums, on a GPU in another order


@pytest.mark.parametrize(
    ("architecture", "names", "heights"),
    [
        ("osnet_ain_x0_25", ("last feature maps",), (4,)),
        ("plr_osnet_x0_25", ("global branch", *PLR_PARTS), (4, 1, 1, 1, 1)),
        ("plr_osnet_without_global_x0_25", PLR_PARTS, (1, 1, 1, 1)),
        ("mgn", ("global branch", "branch of 2 parts", "branch of 3 parts"), (6, 12, 12)),
        ("pyramid_r50", ("last feature maps",), (12,)),
    ],
)
def test_each_branch_has_a_map_of_unit_length(
    architecture: str, names: tuple[str, ...], heights: tuple[int, ...], data: ReidData, tmp_path: Path
) -> None:
    """The global branch and every part, in that order; a part has the rows of its stripe only."""
    loaded = load_network(write_checkpoint(tmp_path, architecture))
    views = views_of(loaded.network)
    assert tuple(view.name for view in views) == names
    maps = activation_maps(loaded, data.query[:2], views=views)
    assert tuple(one.shape[1] for one in maps) == heights
    for one in maps:
        np.testing.assert_allclose(np.sqrt((one**2).sum(axis=(1, 2))), 1, atol=1e-5)


def test_parts_together_are_the_local_branch(data: ReidData, tmp_path: Path) -> None:
    """Stripe under stripe they are the whole map, each scaled by itself."""
    loaded = load_network(write_checkpoint(tmp_path, "plr_osnet_x0_25"))
    parts = views_of(loaded.network)[1:]
    (whole,) = activation_maps(loaded, data.query[:2], views=[View("local", "local_branch")])
    for number, part in enumerate(activation_maps(loaded, data.query[:2], views=parts)):
        stripe = whole[:, number : number + 1]
        np.testing.assert_allclose(part, stripe / np.linalg.norm(stripe, axis=(1, 2), keepdims=True), atol=1e-6)


def test_the_strongest_place_is_red_and_what_a_part_does_not_see_is_dark() -> None:
    """On a grey image: red where the map is high, blue where it is low, darker grey outside the stripe."""
    image = np.full((64, 32, 3), 128, np.uint8)
    activation = np.array([[0.1, 0.1, 0.9]], np.float32)
    shown = overlay(image, activation, view=View("part 2", "any", stripes=4, only=1))
    assert (shown[:16] < 64).all()
    assert (shown[32:] < 64).all()
    red, _, blue = shown[24, 31].astype(int)
    assert red > blue
    red, _, blue = shown[24, 0].astype(int)
    assert blue > red


def test_a_line_shows_where_a_branch_cuts_its_map() -> None:
    """Three parts: white at one and two thirds of the height, and nowhere else."""
    shown = overlay(np.zeros((96, 8, 3), np.uint8), np.zeros((6, 2), np.float32), view=View("three", "any", stripes=3))
    white = np.flatnonzero((shown == 255).all(axis=(1, 2)))
    assert white.tolist() == [31, 32, 63, 64]


def test_a_network_without_feature_maps_is_refused() -> None:
    """What is not in the catalog has no known branches."""
    with pytest.raises(ConfigError, match="activation maps are not defined for Linear"):
        views_of(nn.Linear(2, 2))
