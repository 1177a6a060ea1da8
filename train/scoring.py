"""From a function that describes images to scores: the one way checkpoints, ONNX files and engines are judged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_runtime.contract.descriptor import cosine_distance
from edge_runtime.contract.manifest import Evidence, Input, Score
from train.data.datasets import ReidData, Sample, load_images
from train.metrics import Interval, Retrieval, bootstrap, retrieval

Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, H, W, 3) uint8 RGB images -> (N, D) float32 L2-normalised descriptors; `Engine.describe` is one."""

_CHUNK = 64


@dataclass(frozen=True)
class Described:
    """Descriptors of a split with what is needed to score them."""

    descriptors: NDArray[np.float32]
    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]


def describe_samples(
    describe: Describe, samples: tuple[Sample, ...], *, height_px: int, width_px: int, label: str
) -> Described:
    """Describe the images of a split in small chunks, with a progress bar.

    Raises:
        DataError: an image cannot be decoded.
    """
    parts = []
    with tqdm(total=len(samples), desc=label, unit="image", leave=False, disable=None) as bar:
        for start in range(0, len(samples), _CHUNK):
            chunk = samples[start : start + _CHUNK]
            parts.append(describe(load_images(chunk, height_px=height_px, width_px=width_px)))
            bar.update(len(chunk))
    return Described(
        np.concatenate(parts),
        np.array([sample.identity for sample in samples], np.int64),
        np.array([sample.camera_id for sample in samples], np.int64),
    )


def score(query: Described, gallery: Described) -> Retrieval:
    """Score described queries against a described gallery by cosine distance."""
    return retrieval(
        cosine_distance(query.descriptors, gallery.descriptors),
        query_identities=query.identities,
        gallery_identities=gallery.identities,
        query_cameras=query.cameras,
        gallery_cameras=gallery.cameras,
    )


def describe_test_split(
    describe: Describe, data: ReidData, *, height_px: int, width_px: int
) -> tuple[Described, Described]:
    """Describe query and gallery of a data set."""
    query = describe_samples(describe, data.query, height_px=height_px, width_px=width_px, label="query")
    gallery = describe_samples(describe, data.gallery, height_px=height_px, width_px=width_px, label="gallery")
    return query, gallery


def score_on(describe: Describe, data: ReidData, *, input_: Input) -> Evidence:
    """Describe query and gallery of a data set at the network's input size, and score them."""
    return evidence(
        score(*describe_test_split(describe, data, height_px=input_.height_px, width_px=input_.width_px)), data
    )


def evidence(result: Retrieval, data: ReidData) -> Evidence:
    """Write scores down as a manifest's evidence, with bootstrap intervals over queries."""
    return Evidence(
        data_set=data.name,
        protocol="cosine distance, single query, same camera left out",
        queries=len(data.query),
        gallery=len(data.gallery),
        rank1=_score(bootstrap((result.first_match == 0).astype(np.float64))),
        mean_ap=_score(bootstrap(result.average_precision)),
        mean_inp=_score(bootstrap(result.inverse_negative_penalty)),
    )


def _score(interval: Interval) -> Score:
    return Score(value=interval.value, low=interval.low, high=interval.high)
