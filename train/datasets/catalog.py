"""All data sets in one table, and the functions that open one by its name. Nothing is downloaded.

Every set is read in its published layout and checked against its published counts; what is missing is named.
A new data set is one row here and one file with its reader.
DukeMTMC-reID was withdrawn by its authors in 2019, because people had been filmed without their consent: an existing
copy can be read, and no way to get one is offered.
"""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.site_set import is_site_set
from train.datasets.cifar_imagenet import CIFAR10, CIFAR100, read_cifar, read_imagenet
from train.datasets.cuhk03 import read_cuhk03
from train.datasets.data_set import Copy, DataSet, Kind
from train.datasets.images import IMAGE_SUFFIXES, load_images
from train.datasets.market1501 import has_market_layout, read_market1501, read_market_copy, read_market_layout
from train.datasets.msmt17 import read_all_of_msmt17, read_msmt17
from train.datasets.pa100k import read_pa100k
from train.datasets.people_folder import read_people_folder
from train.datasets.samples import AttributeData, ClassificationData, LabelledImages, ReidData, Sample
from train.datasets.site_folder import read_site_set
from train.datasets.union import join_data_sets
from train.datasets.viper_grid import SPLITS, read_grid, read_viper

__all__ = [
    "DATA_SETS",
    "IMAGE_SUFFIXES",
    "OWN_FOLDER",
    "AttributeData",
    "ClassificationData",
    "LabelledImages",
    "ReidData",
    "Sample",
    "known_data_sets",
    "load_images",
    "open_attributes",
    "open_classification",
    "open_data",
    "open_folder",
    "read_market_layout",
]

OWN_FOLDER = "folder"
"""The name under which any folder of people is opened."""

_CUHK03_PAPER = "Li et al., CVPR 2014; new protocol: Zhong et al., CVPR 2017"
_CUHK03_TERMS = "CUHK03, research use only"
_MSMT17_PAPER = "Wei et al., CVPR 2018 (on request)"
_MSMT17_TERMS = "MSMT17, research use only"


def _counts(train: int, identities: int, *, query: int, query_identities: int, gallery: int) -> dict[str, int]:
    return {
        "training images": train,
        "training identities": identities,
        "query images": query,
        "query identities": query_identities,
        "gallery images": gallery,
    }


_CUHK03_LABELLED = _counts(7368, 767, query=1400, query_identities=700, gallery=5328)
_CUHK03_DETECTED = _counts(7365, 767, query=1400, query_identities=700, gallery=5332)


def _read_union(copy: Copy, *, members: tuple[Mapping[str, str], ...]) -> ReidData:
    """Read several data sets as one. members: subfolder -> data set; of several subfolders the first there is taken."""
    return join_data_sets(copy.data_set.name, [_open_member(member, copy) for member in members])


_ROWS = (
    DataSet(
        name="market1501",
        kind="re-identification",
        title="Market-1501",
        paper="Zheng et al., ICCV 2015",
        terms="Market-1501, research use only",
        counts={
            **_counts(12936, 751, query=3368, query_identities=750, gallery=19732),
            "gallery images without junk": 15913,
            "images in gt_bbox": 25259,
        },
        read=read_market1501,
        archive_folders=("Market-1501-v15.09.15",),
    ),
    DataSet(
        name="cuhk03_labelled",
        kind="re-identification",
        title="CUHK03 (new protocol, labelled)",
        paper=_CUHK03_PAPER,
        terms=_CUHK03_TERMS,
        counts=_CUHK03_LABELLED,
        read=partial(read_cuhk03, boxes="labeled"),
    ),
    DataSet(
        name="cuhk03_detected",
        kind="re-identification",
        title="CUHK03 (new protocol, detected)",
        paper=_CUHK03_PAPER,
        terms=_CUHK03_TERMS,
        counts=_CUHK03_DETECTED,
        read=partial(read_cuhk03, boxes="detected"),
    ),
    DataSet(
        name="cuhk03_np_labelled",
        kind="re-identification",
        title="CUHK03-NP (labelled)",
        paper=_CUHK03_PAPER,
        terms=_CUHK03_TERMS,
        counts=_CUHK03_LABELLED,
        read=partial(read_market_copy, inside=("labeled", "labelled")),
    ),
    DataSet(
        name="cuhk03_np_detected",
        kind="re-identification",
        title="CUHK03-NP (detected)",
        paper=_CUHK03_PAPER,
        terms=_CUHK03_TERMS,
        counts=_CUHK03_DETECTED,
        read=partial(read_market_copy, inside=("detected",)),
    ),
    DataSet(
        name="dukemtmcreid",
        kind="re-identification",
        title="DukeMTMC-reID",
        paper="Ristani et al., ECCV Workshops 2016, and Zheng et al., ICCV 2017",
        terms="DukeMTMC-reID, withdrawn by its authors in 2019; research use of existing copies only",
        counts=_counts(16522, 702, query=2228, query_identities=702, gallery=17661),
        read=read_market_copy,
        archive_folders=("DukeMTMC-reID",),
        note="But they withdrew it in 2019, after it became known that people had been filmed without their consent: "
        "only a copy that exists already can be read.",
    ),
    DataSet(
        name="msmt17",
        kind="re-identification",
        title="MSMT17",
        paper=_MSMT17_PAPER,
        terms=_MSMT17_TERMS,
        counts=_counts(32621, 1041, query=11659, query_identities=3060, gallery=82161),
        read=read_msmt17,
        archive_folders=("MSMT17_V1", "MSMT17_V2"),
    ),
    DataSet(
        name="msmt17_train",
        kind="re-identification",
        title="MSMT17 (training list alone)",
        paper=_MSMT17_PAPER,
        terms=_MSMT17_TERMS,
        counts=_counts(30248, 1041, query=11659, query_identities=3060, gallery=82161),
        read=partial(read_msmt17, training_lists=("list_train.txt",)),
    ),
    DataSet(
        name="msmt17_all",
        kind="re-identification",
        title="MSMT17 (all images)",
        paper=_MSMT17_PAPER,
        terms=_MSMT17_TERMS,
        counts={"training images": 126441, "training identities": 4101},
        read=read_all_of_msmt17,
    ),
    DataSet(
        name="viper",
        kind="re-identification",
        title="VIPeR",
        paper="Gray, Brennan and Tao, PETS 2007",
        terms="VIPeR, no licence stated; research use",
        counts={"training images": 632, "training identities": 316, "query images": 316, "gallery images": 316},
        read=read_viper,
        archive_folders=("VIPeR",),
        splits=SPLITS,
    ),
    DataSet(
        name="grid",
        kind="re-identification",
        title="GRID (QMUL underground re-identification)",
        paper="Loy, Xiang and Gong, CVPR 2009",
        terms="GRID, no licence stated; research use",
        counts={"training images": 250, "training identities": 125, "query images": 125, "gallery images": 900},
        read=read_grid,
        archive_folders=("underground_reid",),
        splits=SPLITS,
    ),
    DataSet(
        name="mix4",
        kind="re-identification",
        title="Mix4 (Market-1501, CUHK03, DukeMTMC-reID and MSMT17 as one; OSNet, section 4.1)",
        paper="",
        terms="those of its four data sets",
        counts={},
        read=partial(
            _read_union,
            members=(
                {"market1501": "market1501"},
                {"cuhk03_np_detected": "cuhk03_np_detected", "cuhk03_detected": "cuhk03_detected"},
                {"dukemtmcreid": "dukemtmcreid"},
                {"msmt17": "msmt17_train"},
            ),
        ),
    ),
    DataSet(
        name="cifar10",
        kind="classification",
        title="CIFAR-10",
        paper="Krizhevsky, technical report 2009",
        terms="CIFAR-10, no licence stated; research use",
        counts={"training images": 50000, "test images": 10000, "classes": 10},
        read=partial(read_cifar, files=CIFAR10),
    ),
    DataSet(
        name="cifar100",
        kind="classification",
        title="CIFAR-100",
        paper="Krizhevsky, technical report 2009",
        terms="CIFAR-100, no licence stated; research use",
        counts={"training images": 50000, "test images": 10000, "classes": 100},
        read=partial(read_cifar, files=CIFAR100),
    ),
    DataSet(
        name="imagenet",
        kind="classification",
        title="ImageNet (ILSVRC 2012)",
        paper="Russakovsky et al., IJCV 2015 (on registration)",
        terms="ImageNet, non-commercial research and education only",
        counts={"training images": 1281167, "test images": 50000, "classes": 1000},
        read=read_imagenet,
    ),
    DataSet(
        name="pa100k",
        kind="attributes",
        title="PA-100K",
        paper="Liu et al., ICCV 2017",
        terms="PA-100K, no licence stated; research use",
        counts={"training images": 80000, "validation images": 10000, "test images": 10000, "attributes": 26},
        read=read_pa100k,
    ),
)

DATA_SETS = {row.name: row for row in _ROWS}


def known_data_sets(kind: Kind) -> tuple[str, ...]:
    """The names of all data sets of a kind."""
    return tuple(row.name for row in DATA_SETS.values() if row.kind == kind)


def open_data(name: str, folder: Path, *, split: int = 0, cache: Path | None = None) -> ReidData:
    """Read the re-identification data set `name` from `folder` and check it against its published counts.

    name: `folder` reads any folder of people, see `open_folder`; `mix4` expects the subfolders market1501,
    dukemtmcreid, msmt17, and cuhk03_np_detected or cuhk03_detected. split: 0 to 9, for VIPeR and GRID. cache: where the
    images of CUHK03's MATLAB file go; by default `folder`.

    Raises:
        DataError: unknown name or split, folder missing or incomplete.
    """
    known = known_data_sets("re-identification")
    if name not in (*known, OWN_FOLDER):
        raise DataError(f"unknown data set {name!r}; known: {', '.join((*known, OWN_FOLDER))}")
    if not 0 <= split < (1 if name == OWN_FOLDER else DATA_SETS[name].splits):
        split_sets = " or ".join(other for other in known if DATA_SETS[other].splits > 1)
        raise DataError(f"expected split 0 to {SPLITS - 1} of {split_sets}, found {split} of {name}")
    if name == OWN_FOLDER:
        return _read_own_folder(folder)
    data: ReidData = _read_copy(Copy(DATA_SETS[name], folder, split, cache))
    return data


def open_folder(folder: Path) -> ReidData:
    """Read any folder of people, to train or to score on; the data set gets the folder's name.

    Its layout may be that of Market-1501, a folder for each person, see `read_people_folder`, or a site set, see
    `read_site_set`. A folder with the name of a published data set, or of what its archive unpacks to, must hold all of
    it: scores on a part would look better.

    Raises:
        DataError: see `open_data`, `read_market_layout` and `read_people_folder`.
    """
    name = folder.resolve().name
    name = next((row.name for row in DATA_SETS.values() if name in row.archive_folders), name)
    return open_data(name if name in known_data_sets("re-identification") else OWN_FOLDER, folder)


def open_classification(name: str, folder: Path) -> ClassificationData:
    """Read a data set for classification from `folder` and check it against its published counts.

    Raises:
        DataError: unknown name, folder missing or incomplete.
    """
    data: ClassificationData = _read_copy(Copy(_find(name, "classification"), folder))
    return data


def open_attributes(name: str, folder: Path) -> AttributeData:
    """Read a data set of people's attributes from `folder` and check it against its published counts.

    Raises:
        DataError: unknown name, folder missing or incomplete.
    """
    data: AttributeData = _read_copy(Copy(_find(name, "attributes"), folder))
    return data


def _find(name: str, kind: Kind) -> DataSet:
    known = known_data_sets(kind)
    if name not in known:
        raise DataError(f"unknown data set {name!r} for {kind}; known: {', '.join(known)}")
    return DATA_SETS[name]


def _read_copy(copy: Copy) -> Any:
    row = copy.data_set
    try:
        data = row.read(copy)
        row.check_counts(data.counts, where=copy.folder)
    except DataError as error:
        if not row.paper:  # a union: its members name their own publishers
            raise
        raise DataError(f"{error}. {row.where_to_get}") from error
    return data


def _open_member(member: Mapping[str, str], copy: Copy) -> ReidData:
    """Open the first of a union's data sets whose subfolder is there. member: subfolder -> name of the data set."""
    for inside, name in member.items():
        if (copy.folder / inside).is_dir():
            return open_data(name, copy.folder / inside, cache=copy.cache)
    where = DATA_SETS[next(iter(member.values()))].where_to_get
    raise DataError(f"expected the folder {' or '.join(member)} in {copy.folder}, which is missing. {where}")


def _read_own_folder(folder: Path) -> ReidData:
    name = re.sub(r"[^a-z0-9]+", "_", folder.resolve().name.lower()).strip("_") or OWN_FOLDER
    if is_site_set(folder):
        return read_site_set(folder, name=name)
    if has_market_layout(folder):
        return read_market_layout(folder, name=name)
    return read_people_folder(folder, name=name)
