"""Random changes of training images, on the device, batch by batch.

images: (N, 3, H, W) uint8 throughout. Every function draws from the generator it is given, so a run can be repeated.
"""

import torch
from torch import Tensor
from torch.nn import functional

from train.recipe import Augmentation

_ERASED_SHARE = (0.02, 0.4)
_PATCHED_SHARE = (0.01, 0.5)
_ASPECT = (0.3, 3.3)
_PATCH_ASPECT = (0.1, 10.0)
_BRIGHTNESS, _CONTRAST = 0.2, 0.15


def augment(images: Tensor, settings: Augmentation, random: torch.Generator, *, fill: Tensor) -> Tensor:
    """Apply crop, patch, flip, colour jitter and erasing with the recipe's probabilities.

    fill: (3,) uint8, the colour of erased rectangles. Returns a new tensor.
    """
    images = random_crop(images, settings.crop, random)
    images = random_patch(images, settings.patch, random)
    images = random_flip(images, settings.flip, random)
    images = random_colour(images, settings.colour, random)
    return random_erase(images, settings.erase, random, fill=fill)


def _chosen(count: int, probability: float, random: torch.Generator) -> Tensor:
    return torch.rand(count, generator=random) < probability


def random_flip(images: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Mirror left and right."""
    chosen = _chosen(len(images), probability, random).to(images.device)
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def random_colour(images: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Change brightness by up to a fifth and contrast by up to 15 %: the public code's values for other domains."""
    if not probability:
        return images
    count = len(images)
    chosen = _chosen(count, probability, random)
    brightness, contrast = (
        torch.where(chosen, 1 + strength * (2 * torch.rand(count, generator=random) - 1), 1.0)
        .to(images.device)
        .view(count, 1, 1, 1)
        for strength in (_BRIGHTNESS, _CONTRAST)
    )
    brighter = images.float() * brightness
    grey = brighter.mean(dim=(1, 2, 3), keepdim=True)
    return ((brighter - grey) * contrast + grey).round().clamp(0, 255).to(torch.uint8)


def random_crop(images: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Enlarge by an eighth, then cut back to size at a random place.

    Differs: the paper names no size; an eighth is the public code's.
    """
    if not probability:
        return images
    height, width = images.shape[2:]
    enlarged_size = (round(height * 1.125), round(width * 1.125))
    out = images.clone()
    chosen = torch.nonzero(_chosen(len(images), probability, random)).flatten()
    enlarged = functional.interpolate(images[chosen].float(), enlarged_size, mode="bilinear").round().to(torch.uint8)
    for image, position in zip(enlarged, chosen.tolist(), strict=True):
        top = _integer(0, enlarged_size[0] - height, random)
        left = _integer(0, enlarged_size[1] - width, random)
        out[position] = image[:, top : top + height, left : left + width]
    return out


def random_erase(images: Tensor, probability: float, random: torch.Generator, *, fill: Tensor) -> Tensor:
    """Fill a random rectangle with one colour. Source: Zhong et al., AAAI 2020 (arXiv 1708.04896), algorithm 1.

    Differs: the colour is the mean that normalisation subtracts, so that an erased pixel is 0 for the network.
    """
    if not probability:
        return images
    out = images.clone()
    for position in torch.nonzero(_chosen(len(images), probability, random)).flatten().tolist():
        height, width = _rectangle(images.shape[2:], _ERASED_SHARE, _ASPECT, random)
        top = _integer(0, images.shape[2] - height, random)
        left = _integer(0, images.shape[3] - width, random)
        out[position, :, top : top + height, left : left + width] = fill[:, None, None]
    return out


def random_patch(images: Tensor, probability: float, random: torch.Generator) -> Tensor:
    """Paste a rectangle of another image of the batch at a random place. Source: OSNet, section 4.1, footnote 5.

    Differs: the paper draws from a pool of patches of all earlier images; here the batch is the pool.
    """
    if not probability:
        return images
    out = images.clone()
    for position in torch.nonzero(_chosen(len(images), probability, random)).flatten().tolist():
        height, width = _rectangle(images.shape[2:], _PATCHED_SHARE, _PATCH_ASPECT, random)
        rows, columns = images.shape[2] - height, images.shape[3] - width
        top, left = _integer(0, rows, random), _integer(0, columns, random)
        from_top, from_left = _integer(0, rows, random), _integer(0, columns, random)
        donor = images[_integer(0, len(images) - 1, random)]
        out[position, :, top : top + height, left : left + width] = donor[
            :, from_top : from_top + height, from_left : from_left + width
        ]
    return out


def _rectangle(
    size: torch.Size, share: tuple[float, float], aspect: tuple[float, float], random: torch.Generator
) -> tuple[int, int]:
    """Height and width of a random rectangle that fits: its share of the area and its aspect are drawn evenly."""
    while True:
        area = _real(*share, random) * size[0] * size[1]
        ratio = _real(*aspect, random)
        height, width = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < height <= size[0] and 0 < width <= size[1]:
            return height, width


def _real(low: float, high: float, random: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=random))


def _integer(low: int, high: int, random: torch.Generator) -> int:
    """Evenly from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=random))
