"""Any folder of people: one folder per person, with or without cameras."""

import logging
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.people_folder import People, Picture, split_people
from train.datasets.samples import ReidData, Sample

logger = logging.getLogger(__name__)


def read_any_folder(folder: Path, *, name: str) -> ReidData:
    """Read `<person>/*.jpg` or `<camera>/<person>/*.jpg`; a camera may also be in the file name, as in `0001_c3.jpg`.

    Without cameras every image counts as its own, so that no right image is left out of a ranking as the query's
    neighbour; a warning says so. Who trains and who is looked for: see `split_people`.
    Each camera that has two or more images of a test person gives the first as a query; if none has, the first camera
    does. All other images of the test are the gallery.

    Raises:
        DataError: the folder follows no such layout, or nobody in the test was seen by two cameras.
    """
    train, test = split_people(folder)
    has_cameras = _has_cameras(train, test, folder=folder)
    if not has_cameras:
        train, test = _each_with_its_own(train), _each_with_its_own(test)
    data = replace(_as_data(name, train, test, folder=folder), has_cameras=has_cameras)
    logger.info(
        "%s: %d people train; %d others are looked for by %d images among %d",
        folder,
        len(train),
        len({sample.identity for sample in data.query}),
        len(data.query),
        len(data.gallery),
    )
    return data


def _has_cameras(train: People, test: People, *, folder: Path) -> bool:
    """Whether all images name their camera; a warning where none does."""
    pictures = [picture for part in (train, test) for person in part.values() for picture in person]
    unknown = [picture.path for picture in pictures if picture.camera is None]
    if not unknown:
        return True
    if len(unknown) < len(pictures):
        raise DataError(
            f"{len(unknown)} of the {len(pictures)} images of {folder} have no camera in their name, {unknown[0]} for "
            "one, but others do, as in 0001_c3.jpg; name all cameras or none"
        )
    logger.warning(
        "%s names no cameras, so every image counts as its own: images that were taken one after the other find each "
        "other easily, and scores look better than they are between two cameras",
        folder,
    )
    return False


def _each_with_its_own(people: People) -> People:
    """Every image by a camera of its own."""
    return {name: [Picture(seen.path, str(seen.path)) for seen in person] for name, person in people.items()}


def _as_data(name: str, train: People, test: People, *, folder: Path) -> ReidData:
    identities = {person: number for number, person in enumerate(sorted(train) + sorted(test), start=1)}
    seen = {str(shot.camera) for people in (train, test) for person in people.values() for shot in person}
    cameras = {camera: number for number, camera in enumerate(sorted(seen, key=lambda text: (len(text), text)))}

    def samples(person: str, pictures: list[Picture]) -> list[Sample]:
        return [Sample(shot.path, identities[person], cameras[str(shot.camera)], person) for shot in pictures]

    query: list[Sample] = []
    gallery: list[Sample] = []
    for person in sorted(test):
        shots = samples(person, test[person])
        chosen = _queries(shots)
        query += chosen
        gallery += [sample for sample in shots if sample not in chosen]
    learned = tuple(sample for person in sorted(train) for sample in samples(person, train[person]))
    if len(train) < 2 or not query:
        raise DataError(
            f"expected two or more people to train on and one to test on, seen by two cameras, found {len(train)} and "
            f"{len({sample.identity for sample in query})} in {folder}; add people or images"
        )
    return ReidData(name, "terms not stated", learned, tuple(query), tuple(gallery))


def _queries(samples: list[Sample]) -> list[Sample]:
    by_camera: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_camera[sample.camera_id].append(sample)
    if len(by_camera) < 2:
        return []
    rich = [shots[0] for shots in by_camera.values() if len(shots) > 1]
    return rich or [samples[0]]
