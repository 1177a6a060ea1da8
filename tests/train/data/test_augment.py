"""Augmentation changes what it says, as often as it says, and nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from train.data.augment import augment, random_colour, random_crop, random_erase, random_flip, random_patch
from train.recipe import Augmentation

FILL = torch.tensor([10, 20, 30], dtype=torch.uint8)


def images(count: int = 200) -> Tensor:
    """Random images whose colours never equal FILL."""
    random = torch.Generator().manual_seed(3)
    return torch.randint(40, 256, (count, 3, 32, 16), generator=random, dtype=torch.uint8)


def erase(batch: Tensor, probability: float, random: torch.Generator) -> Tensor:
    return random_erase(batch, probability, random, fill=FILL)


@pytest.mark.parametrize("change", [random_flip, random_crop, random_patch, random_colour, erase])
def test_each_change_happens_with_its_probability(change: Callable[..., Tensor]) -> None:
    """Never at 0, always at 1, about a third of the time at a third; shape and type stay."""
    batch = images()
    shares = []
    for probability in (0.0, 1 / 3, 1.0):
        changed = change(batch, probability, torch.Generator().manual_seed(0))
        assert (changed.shape, changed.dtype) == (batch.shape, torch.uint8)
        shares.append((changed != batch).flatten(1).any(dim=1).float().mean().item())
    assert shares[0] == 0
    assert 0.2 < shares[1] < 0.47
    assert shares[2] > 0.97


def test_a_flip_mirrors_left_and_right() -> None:
    """Columns are reversed, rows and colours stay."""
    batch = images(2)
    assert torch.equal(random_flip(batch, 1.0, torch.Generator()), batch.flip(3))


def test_erasing_fills_one_rectangle_of_the_announced_share() -> None:
    """The erased pixels form a full rectangle of 2 to 40 % of the area, up to rounding."""
    for image in erase(images(50), 1.0, torch.Generator().manual_seed(1)):
        erased = (image == FILL[:, None, None]).all(dim=0)
        rows, columns = erased.any(dim=1).sum().item(), erased.any(dim=0).sum().item()
        assert erased.sum().item() == rows * columns
        assert 0.01 * 512 <= rows * columns <= 0.45 * 512


def test_a_patch_comes_from_another_image_of_the_batch() -> None:
    """With one image the pasted pixels are its own; with two, pixels of the other appear."""
    two = torch.stack([torch.zeros(3, 32, 16), torch.full((3, 32, 16), 200)]).to(torch.uint8)
    seen = {
        tuple(random_patch(two, 1.0, torch.Generator().manual_seed(seed))[0].unique().tolist()) for seed in range(9)
    }
    assert (0, 200) in seen
    assert seen <= {(0,), (0, 200), (200,)}


def test_colour_jitter_stays_within_its_limits() -> None:
    """A uniform grey image has no contrast to change, so only brightness moves it, by a fifth at most."""
    grey = torch.full((100, 3, 8, 4), 100, dtype=torch.uint8)
    changed = random_colour(grey, 1.0, torch.Generator().manual_seed(2))
    assert (changed == changed[:, :1, :1, :1]).all()
    assert 80 <= changed.min() < 85
    assert 115 < changed.max() <= 120


def test_a_seed_repeats_the_whole_chain() -> None:
    """Exact resume needs this."""
    settings = Augmentation(flip=0.5, crop=0.5, erase=0.5, patch=0.5)
    first, second = (augment(images(30), settings, torch.Generator().manual_seed(7), fill=FILL) for _ in range(2))
    assert torch.equal(first, second)
