"""Data sets in the layout of Market-1501: a folder per split, identity and camera in every file name."""

import logging
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy, find_inner_folder
from train.datasets.images import list_images
from train.datasets.samples import DISTRACTOR, JUNK, ReidData, Sample

logger = logging.getLogger(__name__)

_NAME = re.compile(r"^(?P<identity>-1|\d+)_c(?P<camera>\d+)")
_LONGEST = 2**31
_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def has_market_layout(folder: Path) -> bool:
    """Whether a folder holds at least one of the splits."""
    return any((folder / directory).is_dir() for directory in _FOLDERS.values())


def read_market_layout(folder: Path, *, name: str, terms: str = "terms not stated") -> ReidData:
    """Read any data set in the layout of Market-1501: `0002_c1s1_000451_03.jpg` is identity 2 at camera 1.

    Identity -1 is junk, and never trains. Identity 0 is a distractor of the gallery, as in Market-1501, unless somebody
    who trains or is looked for has this number: then people are numbered from 0. Cameras may be, too.

    Raises:
        DataError: a split is missing, empty or unreadable, or a file name does not follow the layout.
    """
    missing = [directory for directory in _FOLDERS.values() if not (folder / directory).is_dir()]
    if missing:
        raise DataError(
            f"expected the folder {folder / missing[0]}, which is missing; "
            f"give the folder that holds {', '.join(_FOLDERS.values())}"
        )
    train, query, gallery = _renumbered(
        [_read_split(folder / directory) for directory in _FOLDERS.values()], folder=folder
    )
    learned = tuple(sample for sample in train if sample.identity != JUNK)
    if len(learned) < len(train):
        logger.warning("%s: %d images of identity -1, junk, do not train", folder, len(train) - len(learned))
    return ReidData(name, terms, learned, query, gallery)


def read_market_copy(copy: Copy, *, inside: tuple[str, ...] = ()) -> ReidData:
    """Read a published data set in the layout of Market-1501. inside: subfolders that may hold it.

    Raises:
        DataError: see `read_market_layout`.
    """
    root = find_inner_folder(copy.root, *inside)
    return read_market_layout(root, name=copy.data_set.name, terms=copy.data_set.terms)


def read_market1501(copy: Copy) -> ReidData:
    """Read Market-1501, with the images for multiple queries if the copy has the folder `gt_bbox`.

    Papers print a gallery of 19,732 images or of 15,913. Both are the same folder: it holds 19,732 files, and 3,819 of
    them are junk (identity -1: bad detections of people who are queries). Junk takes no place in any ranking, so the
    scores are the same; `ReidData.gallery` has all files, `ReidData.ranked_gallery` the 15,913.
    Source: Zheng et al., ICCV 2015; OSNet, table 2 (15,913); MGN, section 4.2, and Pyramid, section 4.2 (19,732).

    Raises:
        DataError: see `read_market_layout`; or counts differ from the published ones.
    """
    data, folder, row = read_market_copy(copy), copy.root, copy.data_set
    row.check_counts({"gallery images without junk": len(data.ranked_gallery)}, where=folder / _FOLDERS["gallery"])
    if not (folder / "gt_bbox").is_dir():
        return data
    (drawn,) = _renumbered([_read_split(folder / "gt_bbox")], folder=folder)
    row.check_counts({"images in gt_bbox": len(drawn)}, where=folder / "gt_bbox")
    queried = {(sample.identity, sample.camera_id) for sample in data.query}
    more = tuple(sample for sample in drawn if (sample.identity, sample.camera_id) in queried)
    return replace(data, multi_query=more)


def _read_split(folder: Path) -> tuple[Sample, ...]:
    return tuple(_sample(path) for path in list_images(folder))


def _sample(path: Path) -> Sample:
    match = _NAME.match(path.name)
    if not match:
        raise DataError(f"expected a name such as 0002_c1s1_000451_03.jpg, found {path}; is it another data set?")
    return Sample(path, int(match["identity"]), int(match["camera"]), camera=str(int(match["camera"])))


def _renumbered(splits: list[tuple[Sample, ...]], *, folder: Path) -> list[tuple[Sample, ...]]:
    """The splits (training images first, the gallery last if there is one) with numbers as `Sample` has them.

    Numbers that are too long for an array, such as times, become their ranks.
    """
    everything = [sample for split in splits for sample in split]
    counts_from_0 = any(sample.identity == DISTRACTOR for split in splits[:2] for sample in split)
    if counts_from_0:
        logger.info("%s: people are numbered from 0, so 0 is a person here and no distractor", folder)
    people = _numbers((sample.identity for sample in everything), first=1 if counts_from_0 else 0)
    cameras = _numbers((sample.camera_id for sample in everything), first=0)
    first = min(cameras.values())
    first = first if first < 1 else 1
    return [
        tuple(
            replace(sample, identity=people[sample.identity], camera_id=cameras[sample.camera_id] - first)
            for sample in split
        )
        for split in splits
    ]


def _numbers(found: Iterable[int], *, first: int) -> dict[int, int]:
    """New numbers: `first` more than the old ones, or ranks where an old one is too long; -1 stays, 0 remains apart."""
    numbers = sorted(set(found))
    if numbers[-1] < _LONGEST:
        return {number: number + first if number >= 0 else number for number in numbers}
    ranks = dict(zip((number for number in numbers if number > 0), range(1, len(numbers) + 1), strict=False))
    return {number: ranks.get(number, number) + first if number >= 0 else number for number in numbers}
