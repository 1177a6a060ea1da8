"""The one door to all data sets: a name and a local folder give samples. Nothing is downloaded.

Every set is read in its published layout and checked against its published counts; what is missing is named.
DukeMTMC-reID was withdrawn by its authors in 2019, because people had been filmed without their consent: a copy that a
user has can be read, and no way to get one is offered.
"""

import re
from collections.abc import Callable
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.cifar_imagenet import read_cifar, read_imagenet
from train.datasets.cuhk03 import Boxes, read_cuhk03
from train.datasets.images import load_images
from train.datasets.market1501 import has_market_layout, read_market1501, read_market_layout
from train.datasets.msmt17 import read_msmt17
from train.datasets.pa100k import read_pa100k
from train.datasets.people_folder import IMAGE_SUFFIXES, read_any_folder
from train.datasets.published import PUBLISHED, check_counts, inner_folder
from train.datasets.samples import AttributeData, ClassificationData, LabelledImages, ReidData, Sample
from train.datasets.union import join
from train.datasets.viper_grid import SPLITS, read_grid, read_viper

__all__ = [
    "IMAGE_SUFFIXES",
    "AttributeData",
    "ClassificationData",
    "LabelledImages",
    "ReidData",
    "Sample",
    "load_images",
    "open_attributes",
    "open_classification",
    "open_data",
    "open_folder",
    "read_market_layout",
]

_SPLIT_SETS: dict[str, Callable[..., ReidData]] = {"viper": read_viper, "grid": read_grid}
_UNIONS: dict[str, tuple[dict[str, str], ...]] = {
    "mix4": (
        {"market1501": "market1501"},
        {"cuhk03_np_detected": "cuhk03_np_detected", "cuhk03_detected": "cuhk03_detected"},
        {"dukemtmcreid": "dukemtmcreid"},
        {"msmt17": "msmt17_train"},
    )
}
"""Members of each union, by subfolder; of several, the first that is there is taken. Source: OSNet, section 4.1."""
_CUHK03: dict[str, Boxes] = {"cuhk03_labelled": "labeled", "cuhk03_detected": "detected"}
_MARKET_LIKE = {
    "cuhk03_np_labelled": ("labeled", "labelled"),
    "cuhk03_np_detected": ("detected",),
    "dukemtmcreid": ("DukeMTMC-reID",),
}
_UNPACKED = {
    "Market-1501-v15.09.15": "market1501",
    "DukeMTMC-reID": "dukemtmcreid",
    "MSMT17_V1": "msmt17",
    "MSMT17_V2": "msmt17",
    "VIPeR": "viper",
    "underground_reid": "grid",
}
"""Folders that the published archives unpack to."""
_REID = (
    "market1501",
    *_CUHK03,
    *_MARKET_LIKE,
    "msmt17",
    "msmt17_train",
    "msmt17_all",
    *_SPLIT_SETS,
    *_UNIONS,
)


def open_data(name: str, folder: Path, *, split: int = 0, cache: Path | None = None) -> ReidData:
    """Read the re-identification data set `name` from `folder` and check it against its published counts.

    name: `folder` reads any folder of people, see `open_folder`; `mix4` wants the subfolders market1501, dukemtmcreid,
    msmt17, and cuhk03_np_detected or cuhk03_detected. split: 0 to 9, for VIPeR and GRID. cache: where the images of
    CUHK03's MATLAB file go; by default `folder`.

    Raises:
        DataError: unknown name or split, folder missing or incomplete.
    """
    if name != "folder" and name not in _REID:
        raise DataError(f"unknown data set {name!r}; known: {', '.join((*_REID, 'folder'))}")
    if not 0 <= split < (SPLITS if name in _SPLIT_SETS else 1):
        raise DataError(f"expected split 0 to {SPLITS - 1} of {' or '.join(_SPLIT_SETS)}, found {split} of {name}")
    if name == "folder":
        return _read_own(folder)
    if name in _UNIONS:
        return join(name, [_open_member(member, folder, cache=cache) for member in _UNIONS[name]])
    try:
        data = _read(name, folder, split=split, cache=cache)
        check_counts(name, _counts(data), where=folder)
    except DataError as error:
        raise DataError(f"{error}. {PUBLISHED[name].where}") from error
    return data


def open_folder(folder: Path) -> ReidData:
    """Read any folder of people, to train or to score on; the data set is called as its folder is.

    Its layout may be that of Market-1501, or a folder for each person: see `read_any_folder`. A folder that is called
    as a published data set, or as its archive unpacks, must hold all of it: scores on a part would look better.

    Raises:
        DataError: see `open_data`, `read_market_layout` and `read_any_folder`.
    """
    called = folder.resolve().name
    name = _UNPACKED.get(called, called)
    return open_data(name, folder) if name in _REID else _read_own(folder)


def open_classification(name: str, folder: Path) -> ClassificationData:
    """Read `cifar10`, `cifar100` or `imagenet` from `folder` and check it against its published counts.

    Raises:
        DataError: unknown name, folder missing or incomplete.
    """
    if name not in ("cifar10", "cifar100", "imagenet"):
        raise DataError(f"unknown data set of classes {name!r}; known: cifar10, cifar100, imagenet")
    try:
        data = read_imagenet(folder) if name == "imagenet" else read_cifar(folder, name=name)
        found = {"training images": len(data.train), "test images": len(data.test), "classes": len(data.classes)}
        check_counts(name, found, where=folder)
    except DataError as error:
        raise DataError(f"{error}. {PUBLISHED[name].where}") from error
    return data


def open_attributes(name: str, folder: Path) -> AttributeData:
    """Read `pa100k` from `folder` and check it against its published counts.

    Raises:
        DataError: unknown name, folder missing or incomplete.
    """
    if name != "pa100k":
        raise DataError(f"unknown data set of attributes {name!r}; known: pa100k")
    try:
        data = read_pa100k(folder)
        found = {
            "training images": len(data.train),
            "validation images": len(data.validation),
            "test images": len(data.test),
            "attributes": len(data.attributes),
        }
        check_counts(name, found, where=folder)
    except DataError as error:
        raise DataError(f"{error}. {PUBLISHED[name].where}") from error
    return data


def _read(name: str, folder: Path, *, split: int, cache: Path | None) -> ReidData:
    if name in _SPLIT_SETS:
        return _SPLIT_SETS[name](folder, split=split)
    if name in _MARKET_LIKE:
        root = inner_folder(folder, *_MARKET_LIKE[name])
        return read_market_layout(root, name=name, terms=PUBLISHED[name].terms)
    if name in _CUHK03:
        return read_cuhk03(folder, name=name, boxes=_CUHK03[name], cache=cache)
    if name == "market1501":
        return read_market1501(inner_folder(folder, "Market-1501-v15.09.15"))
    return read_msmt17(folder, name=name)


def _open_member(member: dict[str, str], folder: Path, *, cache: Path | None) -> ReidData:
    """Open the first of the data sets whose subfolder is there. member: subfolder -> name of the data set."""
    for inside, name in member.items():
        if (folder / inside).is_dir():
            return open_data(name, folder / inside, cache=cache)
    where = PUBLISHED[next(iter(member.values()))].where
    raise DataError(f"expected the folder {' or '.join(member)} in {folder}, which is missing. {where}")


def _read_own(folder: Path) -> ReidData:
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_") or "folder"
    if has_market_layout(folder):
        return read_market_layout(folder, name=name)
    return read_any_folder(folder, name=name)


def _counts(data: ReidData) -> dict[str, int]:
    return {
        "training images": len(data.train),
        "training identities": len(data.train_identities),
        "query images": len(data.query),
        "query identities": len({sample.identity for sample in data.query}),
        "gallery images": len(data.gallery),
    }
