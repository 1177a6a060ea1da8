"""Image files: listed in a folder, decoded on all cores, resized by the manifest's rule."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import ResizeRule
from edge_runtime.contract.preprocess import read_image, resize
from train.datasets.samples import Sample

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
_CENTRE_SHARE = 7 / 8


def list_folder(folder: Path) -> list[Path]:
    """The contents of a folder without hidden files, sorted by name.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"expected the folder {folder}, which is missing")
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder without hidden ones, sorted by name.

    Raises:
        DataError: the folder is missing, cannot be read, or holds no image.
    """
    paths = [path for path in list_folder(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise DataError(
            f"expected images ({', '.join('*' + suffix for suffix in IMAGE_SUFFIXES)}) in {folder}, found none"
        )
    return paths


def load_images(
    samples: Sequence[Sample],
    *,
    height_px: int,
    width_px: int,
    rule: ResizeRule = "bilinear-half-pixel",
    progress: Callable[[int], object] = lambda count: None,
) -> NDArray[np.uint8]:
    """Decode and resize images of people. Returns (N, height_px, width_px, 3) uint8, RGB, in the order of the samples.

    progress: called with 1 after every image, in the caller's thread.

    Raises:
        DataError: an image cannot be read or decoded; the first ten are named.
    """
    paths = [sample.path for sample in samples]

    def fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return resize(image, height_px=height_px, width_px=width_px, rule=rule)

    return _load(paths, fitted, shape=(height_px, width_px), progress=progress)


@dataclass(frozen=True)
class ImageFiles:
    """Image files, decoded on demand, as `Images`.

    centred: read only the centre, 7/8 of the image's shorter side in the aspect ratio of the result: the usual test on
    ImageNet, 224 of 256 pixels. Otherwise the whole image is stretched.
    """

    paths: tuple[Path, ...]
    centred: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def read(
        self, positions: Sequence[int] | NDArray[np.int64], *, height_px: int, width_px: int, rule: ResizeRule
    ) -> NDArray[np.uint8]:
        """See `Images`."""

        def fitted(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
            part = _centre(image, height_px=height_px, width_px=width_px) if self.centred else image
            return resize(part, height_px=height_px, width_px=width_px, rule=rule)

        return _load([self.paths[position] for position in positions], fitted, shape=(height_px, width_px))


@dataclass(frozen=True)
class ImageArray:
    """Images in memory, already decoded, as `Images`. pixels: (N, H, W, 3) uint8, RGB."""

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    def read(
        self, positions: Sequence[int] | NDArray[np.int64], *, height_px: int, width_px: int, rule: ResizeRule
    ) -> NDArray[np.uint8]:
        """See `Images`."""
        images = np.empty((len(positions), height_px, width_px, 3), np.uint8)
        for image, position in zip(images, positions, strict=True):
            image[:] = resize(self.pixels[position], height_px=height_px, width_px=width_px, rule=rule)
        return images


def _centre(image: NDArray[np.uint8], *, height_px: int, width_px: int) -> NDArray[np.uint8]:
    scale = min(image.shape[0] / height_px, image.shape[1] / width_px) * _CENTRE_SHARE
    height, width = max(1, round(height_px * scale)), max(1, round(width_px * scale))
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _load(
    paths: Sequence[Path],
    fitted: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    *,
    shape: tuple[int, int],
    progress: Callable[[int], object] = lambda count: None,
) -> NDArray[np.uint8]:
    images = np.empty((len(paths), *shape, 3), np.uint8)

    def load(index: int) -> bool:
        image = read_image(paths[index])
        if image is not None:
            images[index] = fitted(image)
        return image is not None

    broken = []
    # OpenCV releases Python's lock while it decodes and resizes, so threads use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, is_read in zip(paths, pool.map(load, range(len(paths))), strict=True):
            if not is_read:
                broken.append(path)
            progress(1)
    if broken:
        raise DataError(
            f"{len(broken)} of {len(paths)} images cannot be decoded: {', '.join(map(str, broken[:10]))}"
            f"{' ...' if len(broken) > 10 else ''}; replace them or unpack the data set again"
        )
    return images
