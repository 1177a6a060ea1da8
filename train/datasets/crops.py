"""Crops of people without labels: folders of any nesting, and the training images of data sets."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.catalog import DATA_SETS, open_folder
from train.datasets.images import IMAGE_SUFFIXES, list_folder
from train.datasets.market1501 import has_market_layout
from train.datasets.samples import ReidData

UNKNOWN = -1
"""The identity of a crop that has no label."""
_TEST_FOLDERS = {"bounding_box_test", "query", "gallery", "gt_bbox", "test", "val"}


@dataclass(frozen=True)
class Crops:
    """Image files of people. identities: of each image, counted from 0, or `UNKNOWN`."""

    name: str
    terms: str
    paths: tuple[Path, ...]
    identities: tuple[int, ...]

    def sha256(self) -> str:
        """Digest of all images in their order."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def read_crops(folders: Sequence[Path], *, test: ReidData) -> Crops:
    """Read crops from folders. Of a data set only the training images are taken; they keep their identities.

    test: the data set that will be scored.

    Raises:
        DataError: a folder is missing, holds no image or test images of a data set, or an image is one of `test`.
    """
    names: list[str] = []
    terms: list[str] = []
    paths: list[Path] = []
    identities: list[int] = []
    for folder in folders:
        if has_market_layout(folder) or _is_published(folder):
            data = open_folder(folder)
            first = max(identities, default=UNKNOWN) + 1
            classes = {identity: first + number for number, identity in enumerate(data.train_identities)}
            paths += [sample.path for sample in data.train]
            identities += [classes[sample.identity] for sample in data.train]
            name, term = data.name, data.terms
        else:
            found = _images_in(folder)
            if not found:
                raise DataError(f"expected crops of people ({', '.join(IMAGE_SUFFIXES)}) in {folder}, found none")
            paths += found
            identities += [UNKNOWN] * len(found)
            name, term = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_"), "terms not stated"
        names.append(name)
        terms.append(f"{name}: {term}")
    _refuse_test_images(paths, test)
    name = names[0] if len(names) == 1 else f"{names[0]}_and_{len(names) - 1}_more"
    return Crops(name, "; ".join(terms), tuple(paths), tuple(identities))


def _is_published(folder: Path) -> bool:
    """Whether a folder is named as a published data set, or as what its archive unpacks to."""
    rows = (row for row in DATA_SETS.values() if row.kind == "re-identification")
    return folder.resolve().name in {name for row in rows for name in (row.name, *row.archive_folders)}


def _images_in(folder: Path) -> list[Path]:
    """All images of a folder and of the folders in it, sorted."""
    if folder.resolve().name in _TEST_FOLDERS:
        raise DataError(
            f"{folder} is named as the test images of a data set, which must not train; give the folder of that data "
            "set, of which only the training images are taken, or that of its training images alone"
        )
    found: list[Path] = []
    for path in list_folder(folder):
        if path.is_dir():
            found += _images_in(path)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            found.append(path)
    return found


def _refuse_test_images(paths: Sequence[Path], test: ReidData) -> None:
    """Refuse crops with the same bytes as a query or gallery image."""
    tested = {_digest(sample.path) for sample in (*test.query, *test.gallery, *test.multi_query)}
    shared = [path for path in paths if _digest(path) in tested]
    if shared:
        raise DataError(
            f"{len(shared)} of {len(paths)} crops are test images of {test.name}, {shared[0]} for one; "
            "a network must not train on the images that it is scored on, take them away"
        )


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
