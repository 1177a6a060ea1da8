"""Image files: listed in a folder, decoded on all cores, resized by the manifest's rule."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import ResizeRule
from edge_runtime.contract.preprocess import read_image, resize
from train.datasets.samples import Sample

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_NOT_MISSED = {"thumbs.db", "desktop.ini"}
"""Files that Windows adds to folders of pictures."""
_CENTRE_SHARE = 7 / 8


def list_folder(folder: Path) -> list[Path]:
    """The contents of a folder without hidden files, sorted by name.

    Raises:
        DataError: the folder is missing or cannot be read, or a name in it is not UTF-8, which no list file can
            hold.
    """
    if not folder.is_dir():
        raise DataError(f"expected the folder {folder}, which is missing")
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
    foreign = [os.fsencode(path.name) for path in paths if _is_foreign(path.name)]
    if foreign:
        raise DataError(
            f"{len(foreign)} of {len(paths)} names in {folder} are not UTF-8, {foreign[0]!r} for one; rename them, for "
            f"example with `convmv -f latin1 -t utf8 -r --notest {folder}`"
        )
    return paths


def _is_foreign(name: str) -> bool:
    """Whether a name holds bytes that are no UTF-8, which Python keeps as lone surrogates."""
    return any("\ud800" <= letter <= "\udfff" for letter in name)


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def report_left_out(paths: Iterable[Path], *, folder: Path) -> None:
    """Log how many files of a folder are not read because their names do not end as those of images do."""
    left = [path for path in paths if not (is_image(path) or _is_not_missed(path, folder) or path.is_dir())]
    if left:
        logger.warning(
            "%s: left out are files whose names end in none of %s: %d of them, such as %s",
            folder,
            ", ".join(IMAGE_SUFFIXES),
            len(left),
            left[0].name,
        )


def _is_not_missed(path: Path, folder: Path) -> bool:
    return path.name.lower() in _NOT_MISSED or any(part.startswith(".") for part in path.relative_to(folder).parts)


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder without hidden ones, sorted by name; how many other files there are is logged.

    Raises:
        DataError: the folder is missing, cannot be read, or holds no image.
    """
    found = list_folder(folder)
    report_left_out(found, folder=folder)
    paths = [path for path in found if is_image(path)]
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
