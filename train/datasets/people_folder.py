"""Any folder of people: one folder per person, with or without cameras, and which of them are there to train on.

Training and calibration must agree on the people who train, or an engine would be judged by images that it was
calibrated with.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from edge_runtime.contract.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")

_CAMERA = re.compile(r"(?:^|_)c(\d+)(?=s\d|[_.-])")
_MARKET_FOLDERS = {"bounding_box_train", "bounding_box_test", "query"}
_LAYOUT = "<person>/*.jpg, or <camera>/<person>/*.jpg, or both kinds inside train/ and test/"


@dataclass(frozen=True)
class Picture:
    """An image of a person. camera: as the folder or the file name calls it, None where neither does."""

    path: Path
    camera: str | None


People = dict[str, list[Picture]]
"""Pictures of each person, by name."""


def split_people(folder: Path) -> tuple[People, People]:
    """Read `<person>/*.jpg` or `<camera>/<person>/*.jpg`. Returns who is there to train on, and who to test with.

    Inside `train` and `test` the split is the user's. Otherwise half of the people train: which ones depends on nothing
    but their names, and all who were seen by one camera only are among them.

    Raises:
        DataError: the folder follows no such layout, or a person is in both train and test.
    """
    parts = [part for part in ("train", "test") if (folder / part).is_dir()]
    if len(parts) == 1:
        raise DataError(f"{folder} holds {parts[0]} but not the other of train and test; add it, or take both away")
    if not parts:
        return _halves(_read_people(folder))
    train, test = (_read_people(folder / part) for part in parts)
    shared = sorted(train.keys() & test.keys())
    if shared:
        raise DataError(f"{shared[0]} is in both train and test of {folder}; a person may be in one only")
    return train, test


def list_folder(folder: Path) -> list[Path]:
    """What a folder holds, sorted by name, but for hidden files.

    Raises:
        DataError: the folder is missing or cannot be read.
    """
    if not folder.is_dir():
        raise DataError(f"expected the folder {folder}, which is missing")
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror}") from error


def shuffled(names: list[str], *, seed: str) -> list[str]:
    """The names in an order that depends on nothing but the names and the seed, on every machine and version."""
    return sorted(names, key=lambda name: sha256(f"{seed} {name}".encode()).digest())


def _read_people(folder: Path) -> People:
    inside = {path: _images(path) for path in _folders(folder)}
    if inside and (loose := _images(folder)):
        raise DataError(
            f"expected only folders in {folder}, as {_LAYOUT}, found {len(loose)} images, {loose[0]} for one"
        )
    if any(inside.values()):
        empty = [path for path, images in inside.items() if not images]
        if empty:
            raise DataError(f"expected images in every folder of {folder}, found none in {empty[0]}")
        return {path.name: [Picture(image, _camera_of(image)) for image in images] for path, images in inside.items()}
    people: People = defaultdict(list)
    for camera in inside:
        _refuse_data_set(camera, [person.name for person in _folders(camera)])
        for person in _folders(camera):
            people[person.name] += [Picture(image, camera.name) for image in _images(person)]
    if not any(people.values()):
        raise DataError(f"expected people in {folder}, as {_LAYOUT}, found no images")
    return dict(people)


def _refuse_data_set(folder: Path, names: list[str]) -> None:
    """One level above a data set its test images would look like those of people who train."""
    splits = sorted(set(names) & _MARKET_FOLDERS)
    if splits:
        raise DataError(f"{folder} holds {splits[0]}, a split in Market-1501's layout, no person; give {folder} itself")


def _folders(folder: Path) -> list[Path]:
    return [path for path in list_folder(folder) if path.is_dir()]


def _images(folder: Path) -> list[Path]:
    return [path for path in list_folder(folder) if path.suffix.lower() in IMAGE_SUFFIXES]


def _camera_of(image: Path) -> str | None:
    match = _CAMERA.search(image.name)
    return match[1] if match else None


def _halves(people: People) -> tuple[People, People]:
    candidates = [person for person, pictures in people.items() if _can_be_found(pictures)]
    test = set(shuffled(candidates, seed="test half")[: len(people) // 2])
    return (
        {person: pictures for person, pictures in people.items() if person not in test},
        {person: people[person] for person in people if person in test},
    )


def _can_be_found(pictures: list[Picture]) -> bool:
    """Whether two cameras saw the person; an unknown camera is one of its own."""
    known = {picture.camera for picture in pictures if picture.camera is not None}
    return len(known) + sum(picture.camera is None for picture in pictures) > 1
