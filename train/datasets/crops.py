"""Crops of people without labels: folders of any nesting, and the training images of data sets."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.catalog import DATA_SETS, open_folder
from train.datasets.images import IMAGE_SUFFIXES, is_image, list_folder, report_left_out
from train.datasets.market1501 import has_market_layout
from train.datasets.samples import ReidData

UNKNOWN = -1
"""The identity of a crop that has no label."""
_TEST_FOLDERS = {"bounding_box_test", "query", "gallery", "gt_bbox", "test", "val"}


@dataclass(frozen=True)
class TrainingCrops:
    """Image files of people. identities: of each image, from 0, or `UNKNOWN`. sha256: of all images, in order."""

    name: str
    terms: str
    paths: tuple[Path, ...]
    identities: tuple[int, ...]
    sha256: str


def read_crops(folders: Sequence[Path], *, test: ReidData | None = None) -> TrainingCrops:
    """Read crops from folders. Of a data set only the training images are taken; they keep their identities.

    Two folders of one data set, such as its images at two sizes, hold the same people: data sets are told apart by
    their names.

    test: the data set that will be scored, if it is known.

    Raises:
        DataError: a folder is missing, holds no image or test images of a data set, or an image is one of `test`.
    """
    parts = [_read(folder) for folder in folders]
    paths = [path for part in parts for path in part.paths]
    digests = [_digest(path) for path in paths]
    if test is not None:
        _refuse_test_images(paths, digests, test=test)
    known: dict[tuple[str, str], int] = {}
    identities = [
        UNKNOWN if person is None else known.setdefault((part.name, person), len(known))
        for part in parts
        for person in part.people
    ]
    return TrainingCrops(
        name=parts[0].name if len(parts) == 1 else f"{parts[0].name}_and_{len(parts) - 1}_more",
        terms="; ".join(f"{part.name}: {part.terms}" for part in parts),
        paths=tuple(paths),
        identities=tuple(identities),
        sha256=hashlib.sha256(b"".join(digests)).hexdigest(),
    )


@dataclass(frozen=True)
class _Part:
    """The crops of one folder. people: of each image, what the data set calls the person; None where unknown."""

    name: str
    terms: str
    paths: tuple[Path, ...]
    people: tuple[str | None, ...]


def _read(folder: Path) -> _Part:
    if has_market_layout(folder) or _is_published(folder):
        data = open_folder(folder)
        paths = tuple(sample.path for sample in data.train)
        return _Part(data.name, data.terms, paths, tuple(sample.label for sample in data.train))
    report_left_out(folder.rglob("[!.]*"), folder=folder)
    found = _images_in(folder)
    if not found:
        raise DataError(f"expected crops of people ({', '.join(IMAGE_SUFFIXES)}) in {folder}, found none")
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_") or "crops"
    return _Part(name, "terms not stated", tuple(found), (None,) * len(found))


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
        elif is_image(path):
            found.append(path)
    return found


def _refuse_test_images(paths: Sequence[Path], digests: Sequence[bytes], *, test: ReidData) -> None:
    """Refuse crops with the same bytes as a query or gallery image. digests: of the files at `paths`."""
    tested = {_digest(sample.path) for sample in (*test.query, *test.gallery, *test.multi_query)}
    shared = [path for path, digest in zip(paths, digests, strict=True) if digest in tested]
    if shared:
        raise DataError(
            f"{len(shared)} of {len(paths)} crops are test images of {test.name}, {shared[0]} for one; "
            "a network must not train on the images that it is scored on, take them away"
        )


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
