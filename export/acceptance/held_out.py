"""Training images that calibration did not use: precision plans are measured on them, not on the test split."""

from collections import defaultdict
from pathlib import Path

from calibration.image_list import ImageList
from edge_runtime.contract.errors import DataError
from train.datasets.catalog import Sample, open_folder
from train.datasets.people_folder import shuffled

_LEAST_IDENTITIES = 10
_PER_CAMERA = 3


def held_out_samples(folder: Path, images: ImageList, *, identities: int) -> tuple[Sample, ...]:
    """Images of up to `identities` training people who are not in the list, at most three per person and camera.

    Each person was seen by two cameras or more. The same arguments give the same samples.

    Raises:
        DataError: the data set cannot be read, or fewer than ten such people are left.
    """
    listed = {folder / image for image in images.images}
    by_person: dict[int, list[Sample]] = defaultdict(list)
    for sample in open_folder(folder).train:
        by_person[sample.identity].append(sample)
    unseen = [
        str(person)
        for person, samples in by_person.items()
        if len({sample.camera_id for sample in samples}) > 1 and not listed & {sample.path for sample in samples}
    ]
    if len(unseen) < _LEAST_IDENTITIES:
        raise DataError(
            f"expected at least {_LEAST_IDENTITIES} training people of two cameras whom the calibration list leaves "
            f"out, found {len(unseen)} of {len(by_person)} in {folder}; make the list shorter with "
            "calibration/select_images.py --count"
        )
    chosen = shuffled(sorted(unseen), seed="held out")[:identities]
    return tuple(sample for person in chosen for sample in _few(by_person[int(person)]))


def _few(samples: list[Sample]) -> list[Sample]:
    """The first images of each camera."""
    by_camera: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_camera[sample.camera_id].append(sample)
    return [sample for shots in by_camera.values() for sample in shots[:_PER_CAMERA]]
