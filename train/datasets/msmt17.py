"""MSMT17 in both its versions: image lists beside a training and a test folder.

Source: Wei et al., CVPR 2018.
"""

import re
from dataclasses import replace
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy
from train.datasets.samples import ReidData, Sample

_VERSIONS = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}
_NAME = re.compile(r"^\d+_\d+_(?P<camera>\d+)_")


def read_msmt17(copy: Copy, *, training_lists: tuple[str, ...] = ("list_train.txt", "list_val.txt")) -> ReidData:
    """Read MSMT17 from the folder that holds the lists, or the one around it. In V2 faces are masked.

    training_lists: OSNet trains on the first of the two alone (30,248 of 32,621 images: its table 2).
    Test identities count on after the training identities; the lists count both from 0.

    Raises:
        DataError: a folder, list or listed image is missing, or a line is wrong.
    """
    root, version = _find(copy.folder)
    train_folder, test_folder = (root / part for part in _VERSIONS[version])
    train: tuple[Sample, ...] = ()
    for listed in training_lists:
        train += _read_list(root / listed, train_folder, first_identity=1)
    first_test_identity = 1 + max(sample.identity for sample in train)
    query = _read_list(root / "list_query.txt", test_folder, first_identity=first_test_identity)
    gallery = _read_list(root / "list_gallery.txt", test_folder, first_identity=first_test_identity)
    return ReidData(copy.data_set.name, f"MSMT17 {version}, research use only", train, query, gallery)


def read_all_of_msmt17(copy: Copy) -> ReidData:
    """Read all images of MSMT17 as training images: 126,441 of 4,101 identities (OSNet, supplement A, footnote 7).

    It is a source domain for tests on other data sets, so it has no query and no gallery.

    Raises:
        DataError: see `read_msmt17`.
    """
    data = read_msmt17(copy)
    return replace(data, train=data.train + data.query + data.gallery, query=(), gallery=())


def _find(folder: Path) -> tuple[Path, str]:
    found = [
        (root, version)
        for version, parts in _VERSIONS.items()
        for root in (folder, folder / f"MSMT17_{version}")
        if all((root / part).is_dir() for part in parts)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{folder} holds both versions of MSMT17; give the folder of one, such as {found[0][0]}")
    layouts = " or ".join(f"{' and '.join(parts)} ({version})" for version, parts in _VERSIONS.items())
    raise DataError(f"expected the folders {layouts} in {folder}, found neither pair")


def _read_list(path: Path, folder: Path, *, first_identity: int) -> tuple[Sample, ...]:
    """Read lines such as `0000/0000_000_01_0303morning_0015_0.jpg 0`: file and identity; 01 is the camera."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read the list {path}: {error.strerror}") from error
    samples = []
    for number, line in enumerate(filter(str.strip, lines), start=1):
        file, _, identity = line.strip().rpartition(" ")
        camera = _NAME.match(file.rpartition("/")[2])
        if not camera or not identity.isdigit():
            raise DataError(
                f"expected a line such as 0000/0000_000_01_0303morning_0015_0.jpg 0, found {line!r}, "
                f"line {number} of {path}"
            )
        samples.append(Sample(folder / file, int(identity) + first_identity, int(camera["camera"]) - 1))
    if not samples:
        raise DataError(f"expected images in the list {path}, found none; {path.name} is empty")
    missing = [sample.path for sample in samples if not sample.path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} of the {len(samples)} images of {path} are missing, {missing[0]} for one")
    return tuple(samples)
