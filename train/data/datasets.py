"""Data sets as lists of samples, read from a local folder in their published layout. Nothing is downloaded."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import read_image, resize

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_MARKET_NAME = re.compile(r"^(?P<identity>-1|\d+)_c(?P<camera>\d+)")
_MARKET_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


@dataclass(frozen=True)
class Sample:
    """One image of a person. identity -1 is junk and 0 a distractor; camera_id counts from 0."""

    path: Path
    identity: int
    camera_id: int


@dataclass(frozen=True)
class ReidData:
    """The three splits of a re-identification data set."""

    name: str
    terms: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]

    @property
    def train_identities(self) -> tuple[int, ...]:
        """The training identities, ascending; position is the class number."""
        return tuple(sorted({sample.identity for sample in self.train}))


@dataclass(frozen=True)
class _Published:
    """What a complete copy of a data set holds."""

    title: str
    images: dict[str, int]
    terms: str


_PUBLISHED = {
    "cuhk03_np_detected": _Published(
        "CUHK03, new protocol, detected", {"train": 7365, "query": 1400, "gallery": 5332}, "CUHK03, research use only"
    ),
}


def open_data(name: str, folder: Path) -> ReidData:
    """Read the data set `name` from `folder` and check it against its published image counts.

    Raises:
        DataError: unknown name, folder missing or incomplete.
    """
    if name not in _PUBLISHED:
        raise DataError(f"unknown data set {name!r}; known: {', '.join(sorted(_PUBLISHED))}")
    published = _PUBLISHED[name]
    data = read_market_layout(folder, name=name, terms=published.terms)
    for split, count in published.images.items():
        found = len(getattr(data, split))
        if found != count:
            raise DataError(
                f"{published.title} has {count} {split} images, found {found} in {folder / _MARKET_FOLDERS[split]}; "
                "the copy is incomplete or another version"
            )
    return data


def open_folder(folder: Path) -> ReidData:
    """Read any data set in the layout of Market-1501, to score on; it is called as its folder is.

    A folder that is called as a published data set must hold all of it: scores on a part would look better.

    Raises:
        DataError: see `open_data` and `read_market_layout`.
    """
    name = folder.resolve().name
    return open_data(name, folder) if name in _PUBLISHED else read_market_layout(folder, name=name)


def read_market_layout(folder: Path, *, name: str, terms: str = "not stated") -> ReidData:
    """Read any data set in the layout of Market-1501: `0002_c1s1_000451_03.jpg` is identity 2 at camera 1.

    Raises:
        DataError: a split is missing, empty or unreadable, or a file name does not follow the layout.
    """
    splits = {split: _read_split(folder / directory) for split, directory in _MARKET_FOLDERS.items()}
    train = tuple(sample for sample in splits["train"] if sample.identity > 0)
    return ReidData(name, terms, train, splits["query"], splits["gallery"])


def _read_split(folder: Path) -> tuple[Sample, ...]:
    if not folder.is_dir():
        raise DataError(
            f"expected the folder {folder}, which is missing; give the folder that holds "
            f"{', '.join(_MARKET_FOLDERS.values())}"
        )
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error
    if not paths:
        raise DataError(f"expected images (*.jpg, *.png) in {folder}, found none; the folder is empty")
    return tuple(_sample(path) for path in paths)


def _sample(path: Path) -> Sample:
    match = _MARKET_NAME.match(path.name)
    if not match:
        raise DataError(f"expected a name such as 0002_c1s1_000451_03.jpg, found {path}; is it another data set?")
    return Sample(path, int(match["identity"]), int(match["camera"]) - 1)


def load_images(
    samples: tuple[Sample, ...],
    *,
    height_px: int,
    width_px: int,
    progress: Callable[[int], object] = lambda count: None,
) -> NDArray[np.uint8]:
    """Decode and resize images by the contract's rule. Returns (N, height_px, width_px, 3) uint8, RGB.

    Raises:
        DataError: an image cannot be read or decoded; the first ten are named.
    """
    images = np.empty((len(samples), height_px, width_px, 3), np.uint8)
    broken = []
    for index, sample in enumerate(samples):
        image = read_image(sample.path)
        if image is None:
            broken.append(sample.path)
        else:
            images[index] = resize(image, height_px=height_px, width_px=width_px)
        progress(1)
    if broken:
        raise DataError(
            f"{len(broken)} of {len(samples)} images cannot be decoded: {', '.join(map(str, broken[:10]))}"
            f"{' ...' if len(broken) > 10 else ''}; replace them or unpack the data set again"
        )
    return images
