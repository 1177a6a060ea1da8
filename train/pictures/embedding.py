"""Descriptors of some people as points on a plane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, DataError
from train.datasets.catalog import ReidData, Sample
from train.datasets.samples import DISTRACTOR
from train.scoring.distances import check_descriptors
from train.scoring.scoring import Described, Member, describe_split

_COLOURS = tuple(matplotlib.colormaps["tab20"](number) for number in (*range(0, 20, 2), *range(1, 20, 2)))
"""Ten dark colours, then the same ten light."""
_DARK = 10
_LEAST_IMAGES = 3
_LONGEST_MARK = 2


@dataclass(frozen=True)
class Projection:
    """Descriptors on a plane. points: (N, 2). shares: of the descriptors' variance that each axis shows, in [0, 1]."""

    points: NDArray[np.float64]
    shares: tuple[float, float]


def choose_samples(data: ReidData, *, identities: int, seed: int) -> tuple[Sample, ...]:
    """All test images of some identities, drawn by the seed.

    Raises:
        ConfigError: more identities than there are colours.
        DataError: the test has fewer identities, or the drawn ones have fewer than three images.
    """
    if identities > len(_COLOURS):
        raise ConfigError(f"expected at most {len(_COLOURS)} identities, one per colour, found {identities}")
    samples = data.query + data.gallery
    known = sorted({sample.identity for sample in samples if sample.identity > DISTRACTOR})
    if len(known) < identities:
        raise DataError(f"asked for {identities} identities, found {len(known)} in the test images of {data.name}")
    drawn = set(np.random.default_rng(seed).choice(known, identities, replace=False).tolist())
    chosen = tuple(sample for sample in samples if sample.identity in drawn)
    if len(chosen) < _LEAST_IMAGES:
        raise DataError(f"expected at least {_LEAST_IMAGES} images, found {len(chosen)}; ask for more identities")
    return chosen


def principal_components(descriptors: NDArray[np.float32]) -> Projection:
    """The plane in which descriptors (N, D) differ most (PCA). N, D: at least 2."""
    centred = descriptors.astype(np.float64) - descriptors.mean(axis=0, dtype=np.float64)
    _, scales, directions = np.linalg.svd(centred, full_matrices=False)
    first, second = scales[:2] ** 2 / max(np.sum(scales**2), np.finfo(np.float64).tiny)
    return Projection(centred @ directions[:2].T, (float(first), float(second)))


def draw_embedding(member: Member, data: ReidData, *, picture: Path, name: str, identities: int, seed: int) -> None:
    """Describe the test images of some identities and draw each as a point. name: of the model.

    Raises:
        ConfigError: see `choose_samples`.
        DataError: see `choose_samples`, an image cannot be decoded, or a descriptor is broken.
    """
    samples = choose_samples(data, identities=identities, seed=seed)
    described = describe_split(member, samples, label="images")
    check_descriptors(described.descriptors, described.descriptors, distance="cosine")
    projection = principal_components(described.descriptors)
    labels = {sample.identity: sample.label for sample in samples}
    _draw(
        projection,
        described,
        picture=picture,
        labels=labels,
        cameras=name_cameras(samples) if data.has_cameras else {},
        title=f"Descriptors by {name} of {identities} identities of {data.name}",
    )


def name_cameras(samples: Sequence[Sample]) -> dict[int, str]:
    """The text drawn into the points of each camera: its name in the file names, or else its number from 1."""
    names = {sample.camera_id: sample.camera for sample in samples}
    are_short = all(name is not None and len(name) <= _LONGEST_MARK for name in names.values())
    return {number: str(name if are_short else number + 1) for number, name in names.items()}


def _draw(
    projection: Projection,
    described: Described,
    *,
    picture: Path,
    labels: Mapping[int, str],
    cameras: Mapping[int, str],
    title: str,
) -> None:
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.add_subplot()
    for number, identity in enumerate(np.unique(described.identities)):
        is_shown = described.identities == identity
        points = projection.points[is_shown]
        colour, label = _COLOURS[number], labels[int(identity)]
        axes.scatter(points[:, 0], points[:, 1], s=120, color=colour, edgecolor="white", label=label)
        digit_colour = "white" if number < _DARK else "black"
        for (x, y), camera in zip(points, described.cameras[is_shown], strict=True):
            axes.text(
                x, y, cameras.get(int(camera), ""), fontsize=6, color=digit_colour, ha="center", va="center_baseline"
            )
    figure.suptitle(title, weight="bold", fontsize=11)
    axes.set_title(
        f"Each point: the descriptor of one image. Colour: its identity.{' Digits: its camera.' if cameras else ''}\n"
        "Points of one colour should lie together, whatever their camera.",
        fontsize=9,
    )
    first, second = projection.shares
    axes.set(
        xlabel=f"first principal component ({first:.0%} of the variance)",
        ylabel=f"second principal component ({second:.0%} of the variance)",
    )
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0)  # beside the axes, below the title
    figure.savefig(picture, dpi=140)
