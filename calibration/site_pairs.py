"""The descriptors of a site set, and its pairs of which it is known whether they are one person.

Wrong pairs are tracks that were there at one moment; right ones are the two ends of one track. With the mean descriptor
taken off, a pair is compared with the mean of all *other* tracks: with a mean that holds the pair itself, two people
look more different than somebody new will, and by much where tracks are few.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.cosine_limit import WrongPairs
from edge_runtime.contract.descriptor import Describe, normalise
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.preprocess import read_image, resize
from edge_runtime.contract.site_set import SiteTrack, read_site_card, read_site_tracks

_CHUNK = 32
_MOST_TRACK_PAIRS = 5000


@dataclass(frozen=True)
class DescribedTracks:
    """Tracks with their descriptors. vectors: (crops, D) float32 unit rows of each track. apart: see `SiteCard`."""

    tracks: tuple[SiteTrack, ...]
    vectors: tuple[NDArray[np.float32], ...]
    cameras_apart: bool = False

    @property
    def means(self) -> NDArray[np.float32]:
        """(tracks, D): the mean of each track's descriptors, not of length 1."""
        return np.stack([rows.mean(0) for rows in self.vectors])

    def wrong_pairs(self, *, of_tracks: bool, mean_off: bool) -> WrongPairs:
        """Cosines of tracks, or of their crops, that are surely of two people."""
        means, cosines, names = self.means, [np.zeros(0, np.float32)], [np.zeros((0, 2), np.int64)]
        for first, second in self._wrong():
            others = self._others(means, (first, second)) if mean_off else np.float32(0)
            one, two = (self._unit(track, others, of_tracks=of_tracks) for track in (first, second))
            cosines.append((one @ two.T).ravel())
            names.append(np.tile(np.array([[first, second]]), (len(cosines[-1]), 1)))
        return WrongPairs(np.concatenate(cosines), np.concatenate(names))

    def right_pairs(self, *, of_tracks: bool, mean_off: bool) -> list[NDArray[np.float32]]:
        """Cosines of the two ends of each track that has two; an array for each such track."""
        means, cosines = self.means, []
        for number, track in enumerate(self.tracks):
            ends = [[track.crops.index(crop) for crop in end] for end in track.ends()]
            if ends[0]:
                others = self._others(means, (number,)) if mean_off else np.float32(0)
                rows = [self.vectors[number][end] for end in ends]
                one, two = (normalise((end.mean(0, keepdims=True) if of_tracks else end) - others) for end in rows)
                cosines.append((one @ two.T).ravel())
        return cosines

    def _wrong(self) -> list[tuple[int, int]]:
        pairs = [
            (first, second)
            for first, second in combinations(range(len(self.tracks)), 2)
            if self.tracks[first].is_surely_another(self.tracks[second], cameras_apart=self.cameras_apart)
        ]
        return pairs if len(pairs) <= _MOST_TRACK_PAIRS else Random(0).sample(pairs, _MOST_TRACK_PAIRS)

    def _others(self, means: NDArray[np.float32], left_out: Sequence[int]) -> NDArray[np.float32]:
        """(D,): the mean descriptor of all tracks but some."""
        left = means.sum(0) - means[list(left_out)].sum(0)
        return np.asarray(left / max(len(means) - len(left_out), 1), np.float32)

    def _unit(self, track: int, others: NDArray[np.float32] | np.float32, *, of_tracks: bool) -> NDArray[np.float32]:
        rows = self.vectors[track]
        return normalise((rows.mean(0, keepdims=True) if of_tracks else rows) - others)


def describe_site(folder: Path, describe: Describe, *, input_: Input) -> DescribedTracks:
    """Describe all crops of a site set.

    Raises:
        DataError: it is no site set, or is empty; or a crop is damaged.
    """
    tracks = read_site_tracks(folder)
    paths = [crop.path for track in tracks for crop in track.crops]
    vectors = np.concatenate([describe(crops) for crops in _read(paths, input_)])
    ends = np.cumsum([len(track.crops) for track in tracks])[:-1]
    return DescribedTracks(
        tuple(tracks), tuple(np.split(vectors, ends)), cameras_apart=read_site_card(folder).cameras_apart
    )


def _read(paths: Sequence[Path], input_: Input) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(paths), _CHUNK):
        crops = []
        for path in paths[start : start + _CHUNK]:
            image = read_image(path)
            if image is None:
                raise DataError(f"the crop {path} is gone or damaged; did it expire meanwhile? Run this again")
            crops.append(resize(image, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize))
        yield np.stack(crops)
