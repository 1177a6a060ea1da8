"""Random changes of training images, on the device, batch by batch.

images: (N, 3, H, W) uint8 throughout, fastest channels-last. All random numbers come from the generator that is
passed in, on the CPU, so that a run can be repeated on any device. No function waits for the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from train.recipes.recipe import Augmentation
from train.training.batches.store import upload

_ERASED_SHARE, _ERASED_ASPECT = (0.02, 0.4), (0.3, 3.3)
_PATCHED_SHARE, _PATCHED_ASPECT = (0.01, 0.5), (0.1, 10.0)
_PATCH_TURN_DEGREES = 10
_SCALED_SHARE, _SCALED_ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
_BRIGHTNESS, _CONTRAST = 0.2, 0.15
_RESOLUTIONS = (3 / 4, 1 / 2, 3 / 8, 1 / 4)

HeightWidth = tuple[int, int]
"""(height, width) in pixels."""
Limits = tuple[float, float]


def augment(images: Tensor, settings: Augmentation, *, random: torch.Generator, fill: Tensor) -> Tensor:
    """Apply crops, patch, flip, colour jitter, lower resolution and erasing with the recipe's probabilities.

    fill: (3,) uint8, the colour of erased rectangles, see `erased_colour`. `images` itself stays as it is.
    """
    images = random_scaled_crop(images, settings.scaled_crop, random=random)
    images = random_crop(images, settings.crop, random=random)
    images = pad_and_crop(images, settings.pad_px, random=random)
    images = random_patch(images, settings.patch, random=random)
    images = random_flip(images, settings.flip, random=random)
    images = random_colour(images, settings.colour, random=random)
    images = random_resolution(images, settings.resolution, random=random)
    return random_erase(images, settings.erase, random=random, fill=fill)


def erased_colour(settings: Augmentation, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The colour that the recipe erases to, (3,) uint8. mean, std: of the normalisation, for pixels in [0, 1].

    `mean` is 0 after normalisation. `public_code` is the channel's mean after normalisation: the code of Zhong et al.
    inserts the mean colour of pixels into normalised images.
    """
    centre, scale = torch.tensor(mean), torch.tensor(std)
    normalised = centre if settings.erased_to == "public_code" else torch.zeros(3)
    return (normalised * scale + centre).mul(255).round().to(torch.uint8)


def random_flip(images: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    """Mirror left and right."""
    return _change(images, probability, random=random, change=lambda chosen: images[chosen].flip(3))


def random_colour(images: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    """Change brightness by up to a fifth and contrast by up to 15 %: the public code's values for other domains."""

    def change(chosen: Tensor) -> Tensor:
        factors = [
            1 + strength * (2 * torch.rand(len(chosen), generator=random) - 1) for strength in (_BRIGHTNESS, _CONTRAST)
        ]
        brightness, contrast = upload(torch.stack(factors), images.device).view(2, -1, 1, 1, 1)
        pixels = images[chosen].float()
        grey = brightness * pixels.mean(dim=(1, 2, 3), keepdim=True)
        return _rounded(pixels.mul_(brightness * contrast).add_(grey * (1 - contrast)))

    return _change(images, probability, random=random, change=change)


def random_resolution(images: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    """Shrink to 3/4, 1/2, 3/8 or 1/4 of the size by the mean of the covered pixels, then enlarge again bilinearly."""
    height, width = _size(images)

    def change(chosen: Tensor) -> Tensor:
        level = upload(_integers(torch.full((len(chosen),), len(_RESOLUTIONS) - 1), random), images.device)
        pixels = images[chosen].float()
        for number, share in enumerate(_RESOLUTIONS):
            small_size = max(1, round(height * share)), max(1, round(width * share))
            small = functional.interpolate(pixels[level == number], small_size, mode="area")
            pixels[level == number] = functional.interpolate(small, (height, width), mode="bilinear")
        return _rounded(pixels)

    return _change(images, probability, random=random, change=change)


def random_crop(images: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    """Enlarge by an eighth, then cut back to size at a random place.

    The OSNet paper's random crop and, for attributes, its random translation: both are one function of its public
    code, which also gives the size.
    """
    height, width = _size(images)
    tall, wide = round(height * 1.125), round(width * 1.125)

    def change(chosen: Tensor) -> Tensor:
        count = len(chosen)
        enlarged = _rounded(functional.interpolate(images[chosen].float(), (tall, wide), mode="bilinear"))
        most = torch.tensor([[tall - height], [wide - width]]).expand(2, count)
        top, left = upload(_integers(most, random), images.device)[:, :, None]
        rows, columns = _rows_and_columns((height, width), images.device)
        pixels = _Pixels(enlarged)
        return pixels.read(
            pixels.numbers(torch.arange(count, device=images.device), rows=rows + top, columns=columns + left)
        )

    return _change(images, probability, random=random, change=change)


def random_scaled_crop(images: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    """Cut out 8 to 100 % of the area, of aspect 3/4 to 4/3, and enlarge it to size.

    Source: Szegedy et al., CVPR 2015, section 6. Differs: cut from the image at its training size, so always enlarged.
    """
    size = _size(images)

    def change(chosen: Tensor) -> Tensor:
        return _stretch(
            images[chosen], _draw_boxes(len(chosen), size, share=_SCALED_SHARE, aspect=_SCALED_ASPECT, random=random)
        )

    return _change(images, probability, random=random, change=change)


def pad_and_crop(images: Tensor, pad_px: int, *, random: torch.Generator) -> Tensor:
    """Pad every side with black, then cut back to size at a random place."""
    if not pad_px:
        return images
    height, width = _size(images)
    most = torch.full((2, len(images)), 2 * pad_px)
    top, left = upload(_integers(most, random) - pad_px, images.device)[:, :, None]
    rows, columns = _rows_and_columns((height, width), images.device)
    is_row, is_column = _within(rows + top, height), _within(columns + left, width)
    pixels = _Pixels(images, blank=torch.zeros(3, dtype=torch.uint8, device=images.device))
    moved = pixels.numbers(torch.arange(len(images), device=images.device), rows=rows + top, columns=columns + left)
    return pixels.read(torch.where(is_row[:, :, None] & is_column[:, None, :], moved, pixels.blank))


def random_erase(images: Tensor, probability: float, *, random: torch.Generator, fill: Tensor) -> Tensor:
    """Fill a random rectangle with one colour. Source: Zhong et al., AAAI 2020 (arXiv 1708.04896), algorithm 1.

    fill: (3,) uint8 on the device. Differs: the colour, see `erased_colour`.
    """

    def change(chosen: Tensor) -> Tensor:
        boxes = _draw_boxes(len(chosen), _size(images), share=_ERASED_SHARE, aspect=_ERASED_ASPECT, random=random)
        pixels = _Pixels(images, blank=fill)
        return pixels.read(torch.where(boxes.to(images.device).mask(_size(images)), pixels.blank, pixels.own(chosen)))

    return _change(images, probability, random=random, change=change)


def random_patch(images: Tensor, probability: float, *, random: torch.Generator) -> Tensor:
    """Paste a rectangle of another image of the batch at a random place. Source: OSNet, section 4.1, footnote 5.

    As in its public code, half of the patches are mirrored, and half are rotated by up to ten degrees inside their
    rectangle, whose uncovered corners are black: a large share of a narrow patch. The sizes are the code's too.
    Differs: code and paper draw from a pool of patches of earlier images; here they come from the batch.
    """
    size = _size(images)

    def change(chosen: Tensor) -> Tensor:
        count = len(chosen)
        boxes = _draw_boxes(count, size, share=_PATCHED_SHARE, aspect=_PATCHED_ASPECT, random=random)
        top, left = _integers(size[0] - boxes.height, random), _integers(size[1] - boxes.width, random)
        donor = _integers(torch.full((count,), len(images) - 1), random)
        top, left, donor = upload(torch.stack([top, left, donor]), images.device)
        turns = upload(_draw_turns(count, random), images.device)
        boxes = boxes.to(images.device)
        row, column, is_patch = _turned_back(boxes, turns, size=size)
        pixels = _Pixels(images, blank=torch.zeros(3, dtype=torch.uint8, device=images.device))
        pasted = (donor[:, None, None] * size[0] + row + top[:, None, None]) * size[1] + column + left[:, None, None]
        pasted = torch.where(is_patch, pasted, pixels.blank)
        return pixels.read(torch.where(boxes.mask(size), pasted, pixels.own(chosen)))

    return _change(images, probability, random=random, change=change)


def _draw_turns(count: int, random: torch.Generator) -> Tensor:
    """Random rotations and mirrors: sine, cosine, and -1 for a mirror or else 1, (3, count).

    Half are rotated by whole degrees, and half are mirrored.
    """
    degrees = _integers(torch.full((count,), 2 * _PATCH_TURN_DEGREES), random) - _PATCH_TURN_DEGREES
    is_turned = torch.rand(count, generator=random) < 0.5
    is_mirrored = torch.rand(count, generator=random) < 0.5
    angle = torch.deg2rad(degrees * is_turned)
    return torch.stack([angle.sin(), angle.cos(), 1 - 2.0 * is_mirrored])


def _turned_back(boxes: "_Boxes", turns: Tensor, *, size: HeightWidth) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel of an image, its coordinates in the patch that is pasted at its box.

    turns: of `_draw_turns`. Returns the patch's row and column, and whether it is inside the patch, each (M, *size).
    """
    rows, columns = _rows_and_columns(size, turns.device)
    sine, cosine, mirror = turns[:, :, None, None]
    down = (rows - boxes.top[:, None] - (boxes.height[:, None] - 1) / 2)[:, :, None]  # from the patch's middle
    right = (columns - boxes.left[:, None] - (boxes.width[:, None] - 1) / 2)[:, None, :]
    height, width = boxes.height[:, None, None], boxes.width[:, None, None]
    row = (cosine * down + sine * right + (height - 1) / 2).round().long()
    column = (mirror * (cosine * right - sine * down) + (width - 1) / 2).round().long()
    return row, column, _within(row, height) & _within(column, width)


def _change(
    images: Tensor, probability: float, *, random: torch.Generator, change: Callable[[Tensor], Tensor]
) -> Tensor:
    """Replace randomly chosen images by what `change` returns for their positions, (M,) int64 on the device."""
    if not probability:
        return images
    chosen = torch.nonzero(torch.rand(len(images), generator=random) < probability).flatten()
    there = upload(chosen, images.device)
    out = images.clone()
    out[there] = change(there)
    return out


@dataclass(frozen=True)
class _Boxes:
    """A rectangle in each of M images, in pixels, each part (M,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def to(self, device: torch.device) -> "_Boxes":
        return _Boxes(*upload(torch.stack([self.top, self.left, self.height, self.width]), device))

    def mask(self, size: HeightWidth) -> Tensor:
        """True inside, (M, *size)."""
        rows, columns = _rows_and_columns(size, self.top.device)
        is_row = _within(rows - self.top[:, None], self.height[:, None])
        is_column = _within(columns - self.left[:, None], self.width[:, None])
        return is_row[:, :, None] & is_column[:, None, :]


def _draw_boxes(count: int, size: HeightWidth, *, share: Limits, aspect: Limits, random: torch.Generator) -> _Boxes:
    """Random rectangles that fit, of whole pixels: share of the area, aspect and place are drawn uniformly.

    aspect: height over width.
    """
    height, width = torch.zeros(2, count, dtype=torch.int64)
    open_ = torch.arange(count)
    while len(open_):
        area = _reals(len(open_), share, random=random) * size[0] * size[1]
        ratio = _reals(len(open_), aspect, random=random)
        height[open_], width[open_] = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
        fits = (height > 0) & (height <= size[0]) & (width > 0) & (width <= size[1])
        open_ = torch.nonzero(~fits).flatten()
    return _Boxes(_integers(size[0] - height, random), _integers(size[1] - width, random), height, width)


def _stretch(images: Tensor, boxes: _Boxes) -> Tensor:
    """The content of each image's box, stretched to the whole image: bilinear, with half-pixel centres."""
    boxes, (height, width) = boxes.to(images.device), _size(images)
    rows, columns = _rows_and_columns((height, width), images.device)
    down, right = (rows + 0.5) / height, (columns + 0.5) / width  # shares of the box
    y = (boxes.top[:, None] + down * boxes.height[:, None]) * (2 / height) - 1  # (M, H), -1 to 1 over the image
    x = (boxes.left[:, None] + right * boxes.width[:, None]) * (2 / width) - 1  # (M, W)
    shape = (len(images), height, width)
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3).float()
    return _rounded(functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False))


class _Pixels:
    """The pixels of a batch under consecutive numbers: image by image, row by row, then one blank pixel."""

    def __init__(self, images: Tensor, *, blank: Tensor | None = None) -> None:
        pixels = images.permute(0, 2, 3, 1).reshape(-1, 3)
        self._size = _size(images)
        self._pixels = pixels if blank is None else torch.cat([pixels, blank[None]])
        self.blank = len(pixels)

    def numbers(self, image: Tensor, *, rows: Tensor, columns: Tensor) -> Tensor:
        """Numbers of the pixels at rows (M, H) and columns (M, W) of images (M,): (M, H, W)."""
        height, width = self._size
        return (image[:, None] * height + rows)[:, :, None] * width + columns[:, None, :]

    def own(self, image: Tensor) -> Tensor:
        """Numbers of all pixels of images (M,): (M, H, W)."""
        rows, columns = _rows_and_columns(self._size, image.device)
        return self.numbers(image, rows=rows[None], columns=columns[None])

    def read(self, numbers: Tensor) -> Tensor:
        """numbers: (M, H, W). Returns (M, 3, H, W)."""
        return self._pixels.index_select(0, numbers.flatten()).view(*numbers.shape, 3).permute(0, 3, 1, 2)


def _size(images: Tensor) -> HeightWidth:
    return images.shape[2], images.shape[3]


def _rows_and_columns(size: HeightWidth, device: torch.device) -> tuple[Tensor, Tensor]:
    """Their numbers: (H,) and (W,) int64."""
    return torch.arange(size[0], device=device), torch.arange(size[1], device=device)


def _within(numbers: Tensor, length: Tensor | int) -> Tensor:
    return (numbers >= 0) & (numbers < length)


def _rounded(pixels: Tensor) -> Tensor:
    """As uint8; overwrites `pixels`."""
    return pixels.round_().clamp_(0, 255).to(torch.uint8)


def _reals(count: int, limits: Limits, *, random: torch.Generator) -> Tensor:
    """Uniform between the limits, (count,)."""
    return limits[0] + (limits[1] - limits[0]) * torch.rand(count, generator=random, dtype=torch.float64)


def _integers(highest: Tensor, random: torch.Generator) -> Tensor:
    """Uniform from 0 to `highest`, both included; in its shape."""
    return (torch.rand(highest.shape, generator=random, dtype=torch.float64) * (highest + 1)).long()
