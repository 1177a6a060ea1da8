"""VIPeR and GRID: so few people that results are means over ten random splits."""

import re
from pathlib import Path

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy
from train.datasets.images import list_images
from train.datasets.matlab import read_matlab
from train.datasets.people_folder import shuffled
from train.datasets.samples import DISTRACTOR, ReidData, Sample

SPLITS = 10
_GRID_LISTS = "features_and_partitions.mat"
_GRID_PEOPLE = 250


def read_viper(copy: Copy) -> ReidData:
    """Read VIPeR: `cam_a/000_45.bmp` and `cam_b/000_90.bmp` are one person.

    Half of the people train; of the others, camera a gives the queries and camera b the gallery. The ten splits are
    ours and never change: the publishers give none. Source: Gray, Brennan and Tao, PETS 2007.
    Differs: OSNet's table 2 counts all 632 test images as queries, for both directions; its scores take one direction.

    Raises:
        DataError: a folder is missing, or the cameras did not see the same people.
    """
    root, row = copy.root, copy.data_set
    views = [{_number(path): path for path in list_images(root / camera)} for camera in ("cam_a", "cam_b")]
    unpaired = sorted(views[0].keys() ^ views[1].keys())
    if unpaired:
        raise DataError(f"expected every person of VIPeR in both cam_a and cam_b of {root}, found one of {unpaired[0]}")
    order = shuffled(sorted(views[0]), seed=f"viper split {copy.split}")
    half = len(order) // 2

    def samples(people: list[str], camera: int) -> tuple[Sample, ...]:
        return tuple(Sample(views[camera][number], int(number) + 1, camera) for number in sorted(people))

    train, test = order[:half], order[half:]
    return ReidData(row.name, row.terms, samples(train, 0) + samples(train, 1), samples(test, 0), samples(test, 1))


def read_grid(copy: Copy) -> ReidData:
    """Read GRID: `probe/0001_1_*.jpeg` is person 1 at camera 1; in `gallery`, 775 images of 0000 are distractors.

    Half of the 250 people train; the others are queries (probe), to be found in the gallery among the distractors.
    The ten splits are the published ones if `features_and_partitions.mat` is there, or else ours, which never change.
    Source: Loy, Xiang and Gong, CVPR 2009.

    Raises:
        DataError: a folder is missing, a name does not follow the layout, or the published splits cannot be read.
    """
    root, row = copy.root, copy.data_set
    probe, gallery = (tuple(map(_grid_sample, list_images(root / part))) for part in ("probe", "gallery"))
    learned = _grid_training(root, probe, split=copy.split)
    train = tuple(sample for sample in probe + gallery if sample.identity in learned)
    query, rest = (tuple(sample for sample in part if sample.identity not in learned) for part in (probe, gallery))
    return ReidData(row.name, row.terms, train, query, rest)


def _grid_training(root: Path, probe: tuple[Sample, ...], *, split: int) -> set[int]:
    """The identities that train in a split."""
    path = root / _GRID_LISTS
    if not path.is_file():
        people = sorted({f"{sample.identity:04d}" for sample in probe})
        return {int(person) for person in shuffled(people, seed=f"grid split {split}")[: len(people) // 2]}
    try:
        # One cell per split, each a structure whose third field lists the training identities.
        listed = read_matlab(path)["trainIdxAll"][0][split][0][0][2].flatten()
        identities = {int(identity) for identity in listed}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path} holds no split {split} in trainIdxAll; it is not GRID's file, remove it") from error
    if not identities <= set(range(1, _GRID_PEOPLE + 1)) or DISTRACTOR in identities:
        raise DataError(f"expected identities from 1 to {_GRID_PEOPLE} in split {split} of {path}, found others")
    return identities


def _grid_sample(path: Path) -> Sample:
    match = re.match(r"^(\d+)_(\d+)_", path.name)
    if not match:
        raise DataError(f"expected a name such as 0001_1_25004_107_32_106_221.jpeg, found {path}")
    return Sample(path, int(match[1]), int(match[2]) - 1)


def _number(path: Path) -> str:
    match = re.match(r"^(\d+)_", path.name)
    if not match:
        raise DataError(f"expected a name such as 000_45.bmp, found {path}; is it another data set?")
    return match[1]
