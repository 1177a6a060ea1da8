"""The parts of real descriptors, for the simulated floor: of a data set's test identities, described by an engine."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.floor_plan import Looks
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import DataError
from edge_runtime.engine.catalog import open_engine
from train.datasets.catalog import open_data
from train.scoring.scoring import Member, describe_split


def measure_looks(data_set: str, folder: Path, *, engine: Path, people: int, seed: int) -> Looks:
    """Take the descriptors of a data set's test identities apart. people: how many of these to draw.

    Raises:
        DataError: the data set has fewer people who were seen by two cameras.
    """
    data = open_data(data_set, folder)
    with open_engine(engine) as opened:
        member = Member(opened.describe, opened.manifest.input)
        described = [describe_split(member, split, label="looks") for split in (data.query, data.ranked_gallery)]
    return take_apart(
        np.concatenate([normalise(one.descriptors) for one in described]),
        np.concatenate([one.identities for one in described]),
        cameras=np.concatenate([one.cameras for one in described]),
        people=people,
        seed=seed,
    )


def take_apart(
    vectors: NDArray[np.float32], identities: NDArray[np.int64], *, cameras: NDArray[np.int64], people: int, seed: int
) -> Looks:
    """Split descriptors (N, D) into common part, person, person at a camera, and crop.

    A person's mean over two cameras still holds half of the energy of the cameras' parts: it is shortened by that.
    """
    common = vectors.mean(0)
    means, halves, crops = [], [], []
    for identity in np.random.default_rng(seed).permutation(np.unique(identities)):
        of = identities == identity
        views = [vectors[of & (cameras == camera)] for camera in np.unique(cameras[of])]
        if len(views) < 2:
            continue
        first, second = views[0].mean(0), views[1].mean(0)
        means.append((first + second) / 2 - common)
        halves += [(first - second) / 2, (second - first) / 2]
        crops += [(view - view.mean(0)) * np.sqrt(len(view) / (len(view) - 1)) for view in views if len(view) > 1]
        if len(means) == people:
            break
    if len(means) < people:
        raise DataError(f"expected {people} people seen by two cameras, found {len(means)}; ask for fewer people")
    of_people, at_camera = np.array(means), np.array(halves)
    shorter = np.sqrt(1.0 - (at_camera**2).sum() / len(at_camera) / ((of_people**2).sum() / len(of_people)))
    return Looks(
        common=common.astype(np.float32),
        people=(of_people * shorter).astype(np.float32),
        at_camera=(at_camera * np.sqrt(2.0)).astype(np.float32),
        crops=np.concatenate(crops).astype(np.float32),
    )
