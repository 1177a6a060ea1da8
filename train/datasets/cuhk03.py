"""CUHK03 as published: all images inside one MATLAB file, and the new protocol's lists in another.

Source: Li et al., CVPR 2014; protocol with 767 training and 700 test identities: Zhong et al., CVPR 2017, section 5.1.
"""

import logging
import os
import shutil
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import cv2
import numpy as np
from tqdm import tqdm

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy, find_inner_folder
from train.datasets.matlab import open_matlab73, read_matlab, read_texts
from train.datasets.samples import ReidData, Sample

logger = logging.getLogger(__name__)

Boxes = Literal["labeled", "detected"]
_IMAGES_PER_VIEW = 5


def read_cuhk03(copy: Copy, *, boxes: Boxes) -> ReidData:
    """Read `cuhk-03.mat` and `cuhk03_new_protocol_config_{labeled,detected}.mat`.

    The images are extracted once, without loss, to `images_{labeled,detected}` in the cache or in the folder.
    The camera is the view (1 or 2) of the pair of cameras that saw the person.

    Raises:
        DataError: a file is missing or of another kind, or the images cannot be written.
    """
    folder = copy.folder
    config = _find(folder, f"cuhk03_new_protocol_config_{boxes}.mat")
    images = (copy.cache or folder) / f"images_{boxes}"
    lists = read_matlab(config)
    try:
        names = read_texts(lists["filelist"])
        identities = [int(identity) for identity in lists["labels"].flatten()]
        chosen = {split: lists[f"{split}_idx"].flatten() - 1 for split in ("train", "query", "gallery")}
    except KeyError as error:
        raise DataError(f"{config} holds no {error}; it is not the new protocol's list of images") from error
    if not images.is_dir():
        _extract(_find(folder, "cuhk-03.mat"), images, boxes=boxes)
    missing = sorted(set(names) - {path.name for path in images.iterdir()})
    if missing:
        raise DataError(
            f"{images} lacks {len(missing)} images of the protocol, {missing[0]} for one; remove the folder, "
            "and they are extracted again"
        )
    samples = [
        Sample(images / file, identity, int(file.split("_")[2]) - 1)
        for file, identity in zip(names, identities, strict=True)
    ]
    train, query, gallery = (tuple(samples[position] for position in chosen[split]) for split in chosen)
    return ReidData(copy.data_set.name, copy.data_set.terms, train, query, gallery)


def _find(folder: Path, name: str) -> Path:
    """The file in the folder, or in the folder that the published archive unpacks to."""
    inside = find_inner_folder(folder, "cuhk03_release") / name
    return inside if inside.is_file() else folder / name


def _extract(source: Path, target: Path, *, boxes: Boxes) -> None:
    """Write every image as PNG; the target folder appears only when all images are in it."""
    partial = target.with_name(f"{target.name}.partial-{uuid4().hex}")
    with open_matlab73(source) as file:
        try:
            partial.mkdir(parents=True)
            logger.info("extracting the %s images of %s to %s, once", boxes, source, target)
            _write_images(file, partial, boxes=boxes, source=source)
            os.replace(partial, target)
        except OSError as error:
            # Another process may have finished first; then its images are used.
            if not target.is_dir():
                raise DataError(
                    f"cannot write the images of {source} to {target}: {error.strerror}; name another folder as cache"
                ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write_images(file: Any, folder: Path, *, boxes: Boxes, source: Path) -> None:
    """The file holds 5 pairs of cameras; each a cell array of identities x 10 images, of which 5 are of each view.

    HDF5 shows MATLAB's arrays transposed: an image is (3, W, H), and an empty cell has fewer axes.
    """
    if boxes not in file:
        raise DataError(f"{source} holds no {boxes!r}; it is not cuhk-03.mat")
    for pair, reference in enumerate(file[boxes][0], start=1):
        people = np.asarray(file[reference]).T
        for person, cells in enumerate(tqdm(people, desc=f"camera pair {pair}", leave=False, disable=None), start=1):
            for number, cell in enumerate(cells, start=1):
                image = np.asarray(file[cell]).T
                if image.ndim != 3:
                    continue
                view = 1 if number <= _IMAGES_PER_VIEW else 2
                path = folder / f"{pair}_{person:03d}_{view}_{number:02d}.png"
                if not cv2.imwrite(str(path), np.ascontiguousarray(image[:, :, ::-1])):
                    raise OSError(None, "writing failed", str(path))
