"""PA-100K: people with 26 attributes each.

Source: Liu et al., HydraPlus-Net, ICCV 2017.
"""

from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy, find_inner_folder
from train.datasets.images import ImageFiles
from train.datasets.matlab import read_matlab, read_texts
from train.datasets.samples import AttributeData, LabelledImages

_IMAGE_FOLDERS = ("data", "release_data/release_data", "release_data", "images")


def read_pa100k(copy: Copy) -> AttributeData:
    """Read PA-100K: `annotation.mat` (or `annotation/annotation.mat`), and the images in `data` or `release_data`.

    Raises:
        DataError: the annotation or an image is missing, or the annotation is of another data set.
    """
    folder, row = copy.folder, copy.data_set
    annotation = find_inner_folder(folder, "annotation") / "annotation.mat"
    lists = read_matlab(annotation if annotation.is_file() else folder / "annotation.mat")
    images = find_inner_folder(folder, *_IMAGE_FOLDERS)
    images = find_inner_folder(images, "release_data/release_data", "release_data")
    try:
        attributes = tuple(read_texts(lists["attributes"]))
        splits = [_split(lists, split, images=images) for split in ("train", "val", "test")]
    except KeyError as error:
        raise DataError(f"{annotation} holds no {error}; it is not the annotation of PA-100K") from error
    return AttributeData(row.name, row.terms, attributes, *splits)


def _split(lists: dict[str, Any], split: str, *, images: Path) -> LabelledImages:
    paths = tuple(images / name for name in read_texts(lists[f"{split}_images_name"]))
    labels = np.asarray(lists[f"{split}_label"], np.int64)
    attributes = lists["attributes"].size
    if labels.shape != (len(paths), attributes) or not np.isin(labels, (0, 1)).all():
        raise DataError(
            f"expected {split} labels of 0 and 1 for {len(paths)} images and {attributes} attributes in "
            f"annotation.mat, found shape {labels.shape}"
        )
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} of {len(paths)} {split} images are missing, {missing[0]} for one")
    return LabelledImages(ImageFiles(paths), labels)
