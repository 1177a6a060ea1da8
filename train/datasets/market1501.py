"""Data sets in the layout of Market-1501: a folder per split, identity and camera in every file name."""

import re
from dataclasses import replace
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy, find_inner_folder
from train.datasets.images import list_images
from train.datasets.samples import ReidData, Sample

_NAME = re.compile(r"^(?P<identity>-1|\d+)_c(?P<camera>\d+)")
_FOLDERS = {"train": "bounding_box_train", "query": "query", "gallery": "bounding_box_test"}


def has_market_layout(folder: Path) -> bool:
    """Whether a folder holds at least one of the splits."""
    return any((folder / directory).is_dir() for directory in _FOLDERS.values())


def read_market_layout(folder: Path, *, name: str, terms: str = "terms not stated") -> ReidData:
    """Read any data set in the layout of Market-1501: `0002_c1s1_000451_03.jpg` is identity 2 at camera 1.

    Raises:
        DataError: a split is missing, empty or unreadable, or a file name does not follow the layout.
    """
    missing = [directory for directory in _FOLDERS.values() if not (folder / directory).is_dir()]
    if missing:
        raise DataError(
            f"expected the folder {folder / missing[0]}, which is missing; "
            f"give the folder that holds {', '.join(_FOLDERS.values())}"
        )
    train, query, gallery = (_read_split(folder / directory) for directory in _FOLDERS.values())
    return ReidData(name, terms, tuple(sample for sample in train if sample.identity > 0), query, gallery)


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
    drawn = _read_split(folder / "gt_bbox")
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
    return Sample(path, int(match["identity"]), int(match["camera"]) - 1)
