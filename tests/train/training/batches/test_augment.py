"""Augmentation changes what it says, as often as it says, and nothing else."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from train.recipes.recipe import Augmentation
from train.training.batches.augment import (
    _Boxes,
    _stretch,
    augment,
    erased_colour,
    pad_and_crop,
    random_colour,
    random_crop,
    random_erase,
    random_flip,
    random_patch,
    random_resolution,
    random_scaled_crop,
)

FILL = torch.tensor([10, 20, 30], dtype=torch.uint8)


def images(count: int = 200) -> Tensor:
    """Random images whose colours never equal FILL."""
    random = torch.Generator().manual_seed(3)
    return torch.randint(40, 256, (count, 3, 32, 16), generator=random, dtype=torch.uint8)


def erase(batch: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    return random_erase(batch, probability, random=random, fill=FILL)


CHANGES = [random_flip, random_crop, random_scaled_crop, random_patch, random_colour, random_resolution, erase]


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_happens_with_its_probability(change: Callable[..., Tensor]) -> None:
    """Never at 0, always at 1, about a third of the time at a third; shape and type stay."""
    batch = images()
    shares = []
    for probability in (0.0, 1 / 3, 1.0):
        changed = change(batch, probability, random=torch.Generator().manual_seed(0))
        assert (changed.shape, changed.dtype) == (batch.shape, torch.uint8)
        shares.append((changed != batch).flatten(1).any(dim=1).float().mean().item())
    assert shares[0] == 0
    assert 0.2 < shares[1] < 0.47
    assert shares[2] > 0.97


@pytest.mark.parametrize("change", CHANGES)
def test_a_batch_in_which_no_image_is_chosen_stays(change: Callable[..., Tensor]) -> None:
    """Small batches and small probabilities meet."""
    batch = images(1)
    assert torch.equal(change(batch, 1e-12, random=torch.Generator().manual_seed(0)), batch)


@pytest.mark.parametrize("change", CHANGES)
def test_images_may_lie_channels_first_or_last_and_are_not_written_to(change: Callable[..., Tensor]) -> None:
    """The store keeps them channels-last and hands out views."""
    batch = images(20)
    last = batch.to(memory_format=torch.channels_last)
    results = [change(given, 0.5, random=torch.Generator().manual_seed(5)) for given in (batch, last)]
    assert torch.equal(*results)
    assert torch.equal(batch, images(20))
    assert torch.equal(last, batch)


def numbered(height: int, width: int) -> Tensor:
    """One image, (3, height, width), whose first channel counts its pixels from 1."""
    count = torch.arange(1, height * width + 1, dtype=torch.uint8).view(height, width)
    return torch.stack([count, count, count])


def test_a_crop_is_a_window_of_the_enlarged_image() -> None:
    """Each of the 3 x 2 windows of a 16 x 8 image enlarged to 18 x 9 is met, and nothing else."""
    enlarged = functional.interpolate(numbered(16, 8)[None].float(), (18, 9), mode="bilinear").round().to(torch.uint8)
    windows = [enlarged[0, :, top : top + 16, left : left + 8] for top in range(3) for left in range(2)]
    cropped = random_crop(numbered(16, 8).expand(60, 3, 16, 8), 1.0, random=torch.Generator().manual_seed(0))
    met = [[torch.equal(image, window) for window in windows].index(True) for image in cropped]
    assert set(met) == set(range(6))


def test_padding_and_cropping_shifts_and_lets_black_move_in() -> None:
    """Each of the 5 x 5 windows of an image with 2 black pixels on every side is met, and nothing else."""
    padded = functional.pad(numbered(6, 4), (2, 2, 2, 2))
    windows = [padded[:, top : top + 6, left : left + 4] for top in range(5) for left in range(5)]
    cropped = pad_and_crop(numbered(6, 4).expand(300, 3, 6, 4), 2, random=torch.Generator().manual_seed(0))
    met = [[torch.equal(image, window) for window in windows].index(True) for image in cropped]
    assert set(met) == set(range(25))


def test_a_scaled_crop_enlarges_a_box_of_the_announced_area_and_aspect() -> None:
    """On planes of brightness the slopes give away the box's size; it lies inside the image."""
    size, middle = 64, slice(16, 48)  # far from the border, where the last pixel repeats
    rows = 3 * torch.arange(size).view(size, 1).expand(size, size)
    planes = torch.stack([rows, rows.T, rows]).to(torch.uint8)
    changed = random_scaled_crop(planes.expand(100, 3, size, size), 1.0, random=torch.Generator().manual_seed(0))
    shares = []
    for image in changed[:, :, middle, middle].float() / 3:
        height, width = (float(image[0, -1, 0] - image[0, 0, 0]) / 31, float(image[1, 0, -1] - image[1, 0, 0]) / 31)
        shares.append(height * width)
        assert 0.7 < height / width < 1.43
        for start, length in ((image[0, 0, 0], height), (image[1, 0, 0], width)):
            edge = float(start) + 0.5 - 16.5 * length  # of the box, in pixels; colours are rounded
            assert edge > -1
            assert edge + size * length < size + 1
    assert 0.07 < min(shares) < 0.15
    assert 0.85 < max(shares) < 1.01


def test_a_box_is_stretched_as_nested_loops_do_it() -> None:
    """Bilinear between pixel centres; beyond the outermost ones the image goes on as it ends."""
    height, width, image = 6, 4, numbered(6, 4)
    top, left, tall, wide = 1, 0, 3, 2
    boxes = _Boxes(*(torch.tensor([value]) for value in (top, left, tall, wide)))
    stretched = _stretch(image[None], boxes)[0, 0]
    for i in range(height):
        for j in range(width):
            y = min(max(top + (i + 0.5) * tall / height - 0.5, 0), height - 1)
            x = min(max(left + (j + 0.5) * wide / width - 0.5, 0), width - 1)
            total = 0.0
            for row in range(height):
                for column in range(width):
                    total += max(0, 1 - abs(row - y)) * max(0, 1 - abs(column - x)) * int(image[0, row, column])
            assert abs(int(stretched[i, j]) - total) <= 0.5001


def test_a_flip_mirrors_left_and_right() -> None:
    """Columns are reversed, rows and colours stay."""
    batch = images(2)
    assert torch.equal(random_flip(batch, 1.0, random=torch.Generator()), batch.flip(3))


def test_erasing_fills_one_rectangle_of_the_announced_share() -> None:
    """The erased pixels form a full rectangle of 2 to 40 % of the area, up to rounding."""
    for image in erase(images(50), 1.0, random=torch.Generator().manual_seed(1)):
        erased = (image == FILL[:, None, None]).all(dim=0)
        rows, columns = erased.any(dim=1).sum().item(), erased.any(dim=0).sum().item()
        assert erased.sum().item() == rows * columns
        assert 0.01 * 512 <= rows * columns <= 0.45 * 512


def test_a_patch_comes_from_another_image_of_the_batch() -> None:
    """With one image the pasted pixels are its own; with two, pixels of the other appear."""
    two = torch.stack([torch.zeros(3, 32, 16), torch.full((3, 32, 16), 200)]).to(torch.uint8)
    seen = {
        tuple(random_patch(two, 1.0, random=torch.Generator().manual_seed(seed))[0].unique().tolist())
        for seed in range(9)
    }
    assert (0, 200) in seen
    assert seen <= {(0,), (0, 200), (200,)}


def test_a_patch_is_a_piece_of_its_donor_mirrored_or_turned_by_up_to_ten_degrees() -> None:
    """Half of the patches are mirrored and half are turned, in general at another place; what a turn uncovers is black.

    A donor pixel holds its own row and column, so a straight line through complex numbers finds the turn again.
    """
    found = [motion for seed in range(300) if (motion := _motion_of_a_patch(seed)) is not None]
    assert len(found) > 90  # in about half of the cases an image is its own donor, and small patches tell too little
    assert max(abs(angle) for _, angle, _ in found) == pytest.approx(10, abs=1)
    assert sum(is_mirrored for is_mirrored, _, _ in found) / len(found) == pytest.approx(0.5, abs=0.12)
    assert sum(abs(angle) > 0.5 for _, angle, _ in found) / len(found) == pytest.approx(0.5 * 20 / 21, abs=0.12)
    assert sum(abs(shift) > 1 for _, _, shift in found) / len(found) > 0.9


def _motion_of_a_patch(seed: int) -> tuple[bool, float, float] | None:
    """Paste into a black image. Returns whether mirrored, degrees, pixels it moved; None where too little is seen."""
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(48), indexing="ij")
    donor = torch.stack([rows, columns, torch.full_like(rows, 255)]).to(torch.uint8)
    pasted = random_patch(
        torch.stack([torch.zeros_like(donor), donor]), 1.0, random=torch.Generator().manual_seed(seed)
    )[0]
    here = (pasted[2] == 255).nonzero().numpy()
    assert len(here) <= 0.55 * 64 * 48
    if len(here) < 250:
        return None
    origin = pasted[:2, here[:, 0], here[:, 1]].numpy().astype(float)
    target = here[:, 0] + 1j * here[:, 1]
    fits = []
    for sign in (1, -1):
        source = origin[0] + sign * 1j * origin[1]
        (turn, _), *_ = np.linalg.lstsq(np.stack([source, np.ones(len(source))], axis=1), target, rcond=None)
        rest = target - turn * source
        fits.append((np.abs(rest - rest.mean()).max(), sign == -1, turn, np.abs(target - source).max()))
    error, is_mirrored, turn, shift = min(fits, key=lambda fit: float(fit[0]))
    assert error < 1  # the nearest pixel is taken
    assert abs(turn) == pytest.approx(1, abs=0.02)
    return is_mirrored, float(np.degrees(np.angle(turn))), float(shift)


def test_the_erased_colour_is_zero_for_the_network_or_what_the_public_code_writes() -> None:
    """The latter is the channel means after normalisation: lighter than the mean colour."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    rules: dict[Literal["mean", "public_code"], tuple[float, ...]] = {"mean": (0, 0, 0), "public_code": mean}
    for erased_to, expected in rules.items():
        colour = erased_colour(Augmentation(erased_to=erased_to), mean=mean, std=std)
        normalised = (colour / 255 - torch.tensor(mean)) / torch.tensor(std)
        assert normalised.tolist() == pytest.approx(expected, abs=0.01)


def test_colour_jitter_stays_within_its_limits() -> None:
    """A uniform grey image has no contrast to change, so only brightness moves it, by a fifth at most."""
    grey = torch.full((100, 3, 8, 4), 100, dtype=torch.uint8)
    changed = random_colour(grey, 1.0, random=torch.Generator().manual_seed(2))
    assert (changed == changed[:, :1, :1, :1]).all()
    assert 80 <= changed.min() < 85
    assert 115 < changed.max() <= 120


def test_a_lower_resolution_keeps_the_mean_and_loses_detail() -> None:
    """Each image is that of one of the four sizes: shrunk by the mean of blocks, enlarged bilinearly."""
    batch = images(40)
    changed = random_resolution(batch, 1.0, random=torch.Generator().manual_seed(0)).float()
    candidates = []
    for share in (3 / 4, 1 / 2, 3 / 8, 1 / 4):
        small = functional.interpolate(batch.float(), (round(32 * share), round(16 * share)), mode="area")
        candidates.append(functional.interpolate(small, (32, 16), mode="bilinear").round())
    distances = (torch.stack(candidates) - changed).abs().amax(dim=(2, 3, 4))  # (4, 40)
    assert distances.amin(dim=0).max() <= 1  # a rounding of one grey level
    assert set(distances.argmin(dim=0).tolist()) == {0, 1, 2, 3}


def test_a_seed_repeats_the_whole_chain() -> None:
    """Exact resume needs this."""
    settings = Augmentation(flip=0.5, crop=0.5, erase=0.5, patch=0.5, colour=0.5, scaled_crop=0.5, pad_px=2)
    first, second = (
        augment(images(30), settings, random=torch.Generator().manual_seed(7), fill=FILL) for _ in range(2)
    )
    assert torch.equal(first, second)
