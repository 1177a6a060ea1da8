"""A user's own folder of people: one folder per person, with or without cameras, read as a data set.

Which half of the people trains depends on their names alone. Training and calibration use the same rule, so that no
engine is calibrated with images of the people that it is tested on.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.images import is_image, list_folder, report_left_out
from train.datasets.samples import ReidData, Sample

logger = logging.getLogger(__name__)

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


def read_people_folder(folder: Path, *, name: str) -> ReidData:
    """Read `<person>/*.jpg` or `<camera>/<person>/*.jpg`; a camera may also be in the file name, as in `0001_c3.jpg`.

    Without cameras every image counts as taken by a camera of its own, so that no right image is left out of a ranking
    as one of the query's camera; a warning says so. For who trains and who is tested, see `split_people`.
    Of a test person, the first image by each camera that has two or more becomes a query; if no camera has two, the
    first image of all. All other test images are the gallery.

    Raises:
        DataError: the folder follows no such layout, or no test person was seen by two cameras.
    """
    train, test = split_people(folder)
    has_cameras = _has_cameras(train, test, folder=folder)
    if not has_cameras:
        train, test = _give_each_image_a_camera(train), _give_each_image_a_camera(test)
    data = replace(_make_data(name, train, test=test, folder=folder), has_cameras=has_cameras)
    logger.info(
        "%s: %d people train; %d other people are the test, with %d queries and %d gallery images",
        folder,
        len(train),
        len({sample.identity for sample in data.query}),
        len(data.query),
        len(data.gallery),
    )
    return data


def split_people(folder: Path) -> tuple[People, People]:
    """Read `<person>/*.jpg` or `<camera>/<person>/*.jpg`. Returns the people to train on and those to test on.

    Inside `train` and `test` the split is the user's. Otherwise half of the people train: which ones depends on
    nothing but their names, and all who were seen by one camera only are among them.

    Raises:
        DataError: the folder follows no such layout, or a person is in both train and test.
    """
    report_left_out(folder.rglob("[!.]*"), folder=folder)
    parts = [part for part in ("train", "test") if (folder / part).is_dir()]
    if len(parts) == 1:
        raise DataError(f"{folder} holds {parts[0]} but not the other of train and test; add it, or remove both")
    if not parts:
        return _split_in_halves(_read_people(folder))
    train, test = (_read_people(folder / part) for part in parts)
    shared = sorted(train.keys() & test.keys())
    if shared:
        raise DataError(f"{shared[0]} is in both train and test of {folder}; a person may be in one only")
    return train, test


def shuffled(names: list[str], *, seed: str) -> list[str]:
    """The names in a random order that depends only on names and seed: the same on every machine and version."""
    return sorted(names, key=lambda name: sha256(f"{seed} {name}".encode()).digest())


def _split_in_halves(people: People) -> tuple[People, People]:
    candidates = [person for person, pictures in people.items() if _can_be_found(pictures)]
    test = set(shuffled(candidates, seed="test half")[: len(people) // 2])
    return (
        {person: pictures for person, pictures in people.items() if person not in test},
        {person: people[person] for person in people if person in test},
    )


def _can_be_found(pictures: list[Picture]) -> bool:
    """Whether two cameras saw the person; an unknown camera counts as one of its own."""
    known = {picture.camera for picture in pictures if picture.camera is not None}
    return len(known) + sum(picture.camera is None for picture in pictures) > 1


def _read_people(folder: Path) -> People:
    inside = {path: _list_images(path) for path in _list_folders(folder)}
    if inside and (loose := _list_images(folder)):
        raise DataError(
            f"expected only folders in {folder}, as {_LAYOUT}, found {len(loose)} images, for example {loose[0]}"
        )
    if not any(inside.values()):
        return _read_cameras(folder, list(inside))
    empty = [path for path, images in inside.items() if not images]
    if empty:
        raise DataError(f"expected images in every folder of {folder}, found none in {empty[0]}")
    return {path.name: [Picture(image, _camera_of(image)) for image in images] for path, images in inside.items()}


def _read_cameras(folder: Path, cameras: Sequence[Path]) -> People:
    """Read `<camera>/<person>/*.jpg`."""
    people: People = defaultdict(list)
    for camera in cameras:
        persons = _list_folders(camera)
        _refuse_data_set(camera, [person.name for person in persons])
        for person in persons:
            people[person.name] += [Picture(image, camera.name) for image in _list_images(person)]
    if not any(people.values()):
        raise DataError(f"expected people in {folder}, as {_LAYOUT}, found no images")
    return dict(people)


def _refuse_data_set(folder: Path, names: list[str]) -> None:
    """Refuse the folder above a data set: its test images would be read as images of people who train."""
    splits = sorted(set(names) & _MARKET_FOLDERS)
    if splits:
        raise DataError(f"{folder} holds {splits[0]}, a split in Market-1501's layout, no person; give {folder} itself")


def _list_folders(folder: Path) -> list[Path]:
    return [path for path in list_folder(folder) if path.is_dir()]


def _list_images(folder: Path) -> list[Path]:
    return [path for path in list_folder(folder) if is_image(path)]


def _camera_of(image: Path) -> str | None:
    match = _CAMERA.search(image.name)
    return match[1] if match else None


def _has_cameras(train: People, test: People, *, folder: Path) -> bool:
    """Whether all images name their camera; warns where none does.

    Raises:
        DataError: only some do.
    """
    pictures = [picture for part in (train, test) for person in part.values() for picture in person]
    unknown = [picture.path for picture in pictures if picture.camera is None]
    if not unknown:
        return True
    if len(unknown) < len(pictures):
        raise DataError(
            f"{len(unknown)} of the {len(pictures)} images of {folder} have no camera in their name, for example "
            f"{unknown[0]}, but others do, as in 0001_c3.jpg; name the cameras of all images or of none"
        )
    logger.warning(
        "%s names no cameras, so every image counts as taken by a camera of its own: images taken one after the other "
        "are easily found, and scores look better than they are between two cameras",
        folder,
    )
    return False


def _give_each_image_a_camera(people: People) -> People:
    """Every image by a camera of its own."""
    return {name: [Picture(seen.path, str(seen.path)) for seen in person] for name, person in people.items()}


def _make_data(name: str, train: People, *, test: People, folder: Path) -> ReidData:
    identities = {person: number for number, person in enumerate(sorted(train) + sorted(test), start=1)}
    seen = {str(shot.camera) for people in (train, test) for person in people.values() for shot in person}
    cameras = {camera: number for number, camera in enumerate(sorted(seen, key=lambda text: (len(text), text)))}

    def samples(person: str, pictures: list[Picture]) -> list[Sample]:
        return [
            Sample(shot.path, identities[person], cameras[str(shot.camera)], person, str(shot.camera))
            for shot in pictures
        ]

    query: list[Sample] = []
    gallery: list[Sample] = []
    for person in sorted(test):
        shots = samples(person, test[person])
        chosen = _choose_queries(shots)
        query += chosen
        gallery += [sample for sample in shots if sample not in chosen]
    learned = tuple(sample for person in sorted(train) for sample in samples(person, train[person]))
    if len(train) < 2 or not query:
        raise DataError(
            f"expected two or more people to train on and one to test on, seen by two cameras, found {len(train)} and "
            f"{len({sample.identity for sample in query})} in {folder}; add people or images"
        )
    return ReidData(name, "terms not stated", learned, tuple(query), tuple(gallery))


def _choose_queries(samples: list[Sample]) -> list[Sample]:
    """The queries among one person's images; none where one camera took them all."""
    by_camera: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_camera[sample.camera_id].append(sample)
    if len(by_camera) < 2:
        return []
    rich = [shots[0] for shots in by_camera.values() if len(shots) > 1]
    return rich or [samples[0]]
