"""Storage of the training images' pixels: on the device, in the host's memory, or on disk if memory is too small.

In each case the next batch is uploaded before the device needs it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from edge_runtime.contract.manifest import ResizeRule
from train.datasets.samples import Images
from train.machine.memory import free_host_memory

_CHUNK = 512
_SAMPLED = 10_000
_USED_SHARE = 0.5
"""Share of the free memory that the pixels may take; the network needs the rest."""

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class ImageSize:
    """Size and resize rule of decoded images."""

    height_px: int
    width_px: int
    rule: ResizeRule


class PixelStore(Protocol):
    """The training images of a data set."""

    @property
    def is_instant(self) -> bool:
        """Whether fetching is so fast that no thread needs to do it in advance."""

    def __len__(self) -> int: ...

    def fetch(self, positions: Positions) -> Tensor:
        """The images at these positions: (N, 3, H, W) uint8, RGB, channels-last, on the device."""


class KeptPixels:
    """Images that were decoded once. pixels: (N, H, W, 3) uint8, on the device or in the host's memory."""

    def __init__(self, pixels: Tensor, *, device: torch.device) -> None:
        self._pixels = pixels.permute(0, 3, 1, 2)  # (N, 3, H, W), channels-last
        self._device = device
        self.is_instant = pixels.device == device

    def __len__(self) -> int:
        return len(self._pixels)

    def fetch(self, positions: Positions) -> Tensor:
        """See `PixelStore`."""
        if self.is_instant:
            return self._pixels[upload(torch.from_numpy(positions), self._device)]
        return upload(self._pixels[torch.from_numpy(positions)], self._device)


class StreamedPixels:
    """Images that are decoded at every fetch, because they do not fit into memory."""

    is_instant = False

    def __init__(self, images: Images, size: ImageSize, *, device: torch.device) -> None:
        self._images = images
        self._size = size
        self._device = device

    def __len__(self) -> int:
        return len(self._images)

    def fetch(self, positions: Positions) -> Tensor:
        """See `PixelStore`."""
        return upload(torch.from_numpy(_read(self._images, positions, size=self._size)), self._device).permute(
            0, 3, 1, 2
        )


def open_store(images: Images, size: ImageSize, *, device: torch.device, processes: int = 1) -> PixelStore:
    """Decode all images and keep them on the device or in the host's memory if they fit, or else leave them on disk.

    processes: number of processes that do so at the same time and share the host's memory.

    Raises:
        DataError: an image cannot be decoded.
    """
    needed = len(images) * size.height_px * size.width_px * 3
    if needed * processes > _USED_SHARE * free_host_memory():
        return StreamedPixels(images, size, device=device)
    pixels = torch.from_numpy(_read_all(images, size))
    if device.type == "cuda" and needed > _USED_SHARE * torch.cuda.mem_get_info(device)[0]:
        return KeptPixels(pixels, device=device)
    return KeptPixels(pixels.to(device), device=device)


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy to the device without waiting for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def pixel_statistics(store: PixelStore) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation of each channel in [0, 1], over all images or 10,000 evenly spaced ones."""
    spread = np.unique(np.linspace(0, len(store) - 1, min(len(store), _SAMPLED)).round().astype(np.int64))
    sums, squares, pixels = np.zeros(3), np.zeros(3), 0
    for chunk in _chunks(spread):
        values = store.fetch(chunk).double() / 255  # (N, 3, H, W)
        sums += values.sum(dim=(0, 2, 3)).cpu().numpy()
        squares += values.square().sum(dim=(0, 2, 3)).cpu().numpy()
        pixels += values[:, 0].numel()
    mean = sums / pixels
    std = np.sqrt(squares / pixels - mean**2)
    return _three(mean), _three(std)


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (round(float(value), 6) for value in values)
    return red, green, blue


def _read_all(images: Images, size: ImageSize) -> NDArray[np.uint8]:
    pixels = np.empty((len(images), size.height_px, size.width_px, 3), np.uint8)
    with tqdm(total=len(images), desc="reading images", unit="image", leave=False, disable=None) as bar:
        for chunk in _chunks(np.arange(len(images))):
            pixels[chunk[0] : chunk[-1] + 1] = _read(images, chunk, size=size)
            bar.update(len(chunk))
    return pixels


def _read(images: Images, positions: Positions, *, size: ImageSize) -> NDArray[np.uint8]:
    return images.read(positions, height_px=size.height_px, width_px=size.width_px, rule=size.rule)


def _chunks(positions: Positions) -> Iterator[Positions]:
    for start in range(0, len(positions), _CHUNK):
        yield positions[start : start + _CHUNK]
