"""The images that engines are compared on: query and gallery, of a data set's folder or of a packed file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.site_set import is_site_set, read_site_tracks
from train.datasets.catalog import ReidData, Sample, load_images
from train.datasets.images import list_images
from train.datasets.samples import JUNK
from train.scoring.scoring import Described

_CHUNK = 64


@dataclass(frozen=True)
class Crops:
    """Crops of one split, read from disk when they are needed.

    identities, cameras: (N,) int64. read: positions -> (n, height, width, 3) uint8, RGB.
    """

    identities: NDArray[np.int64]
    cameras: NDArray[np.int64]
    read: Callable[[slice], NDArray[np.uint8]]

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.identities)


@dataclass(frozen=True)
class AcceptanceImages:
    """Query and gallery at one network's input size.

    sha256: digest of a packed file, None for a folder. has_cameras: see `ReidData`. is_site: they are a site set, so
    cosines to float32 have the limits of crops far from the training data.
    """

    name: str
    query: Crops
    gallery: Crops
    sha256: str | None = None
    has_cameras: bool = True
    is_site: bool = False


def images_of_data(data: ReidData, input_: Input, *, is_site: bool = False) -> AcceptanceImages:
    """Query and gallery of a data set, without junk, at the network's input size."""
    query, gallery = (crops_of_samples(samples, input_) for samples in (data.query, data.ranked_gallery))
    return AcceptanceImages(data.name, query, gallery, has_cameras=data.has_cameras, is_site=is_site)


def crops_of_folder(folder: Path, input_: Input) -> Crops:
    """All images of a folder or of a site set, without identity labels.

    Raises:
        DataError: the folder is missing or holds no image.
    """
    if is_site_set(folder):
        paths = [crop.path for track in read_site_tracks(folder) for crop in track.crops]
    else:
        paths = list_images(folder)
    return crops_of_samples([Sample(path, JUNK, 0) for path in paths], input_)


def crops_of_samples(samples: Sequence[Sample], input_: Input) -> Crops:
    """Image files as crops, resized by the manifest's rule."""

    def read(positions: slice) -> NDArray[np.uint8]:
        chunk = samples[positions]
        return load_images(chunk, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize)

    identities = np.array([sample.identity for sample in samples], np.int64)
    cameras = np.array([sample.camera_id for sample in samples], np.int64)
    return Crops(identities, cameras, read)


def describe_crops(describe: Describe, crops: Crops, *, label: str) -> Described:
    """Describe all crops, a few at a time, with a progress bar.

    Raises:
        DataError: an image cannot be decoded.
    """
    parts = []
    with tqdm(total=len(crops), desc=label, unit="image", leave=False, disable=None) as bar:
        for start in range(0, len(crops), _CHUNK):
            parts.append(describe(crops.read(slice(start, start + _CHUNK))))
            bar.update(len(parts[-1]))
    return Described(np.concatenate(parts), crops.identities, crops.cameras)
