"""What an association knows of each track, and the mean descriptor that is subtracted before two are compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise

_SPACE_TRACKS = 30.0  # a camera's own mean counts for half from as many tracks on


@dataclass(frozen=True)
class FinishedTrack:
    """One finished track. `mean` and `prototypes` are of one space and of length 1; times are UTC nanoseconds.

    camera: its full name, unique over the space. mean: (D,) float32, the weighted mean of the crops' descriptors.
    prototypes: (2, D) or (0, D) float32, see `halve`. dispersion: mean cosine distance of the crops from their mean.
    """

    track_id: str
    camera: str
    start_ns: int
    end_ns: int
    mean: NDArray[np.float32]
    prototypes: NDArray[np.float32]
    dispersion: float
    crops: int


def halve(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of the first and of the second half of a track's crops, unit rows (2, D); none for fewer than two crops.

    crops: (N, D), in order of time. The one in the middle belongs to neither half.
    """
    half = len(crops) // 2
    return normalise(np.stack([crops[:half].mean(0), crops[-half:].mean(0)])) if half else crops[:0]


class Centre:
    """The mean descriptor of a space and of each of its cameras, from all tracks so far.

    Descriptors of one network share a large part, and those of one camera a further one. Both say nothing about who
    somebody is, so they are subtracted. A camera with few tracks lends the mean of the space.
    """

    def __init__(self, length: int) -> None:
        self.sums = np.zeros((0, length))
        """(cameras, D) float64."""
        self.counts = np.zeros(0)

    def add(self, vectors: NDArray[np.float32], cameras: NDArray[np.intp]) -> None:
        """Add vectors (N, D) to the means, of cameras (N,) numbered from 0."""
        missing = int(cameras.max(initial=-1)) + 1 - len(self.counts)
        if missing > 0:
            self.sums = np.pad(self.sums, ((0, missing), (0, 0)))
            self.counts = np.pad(self.counts, (0, missing))
        np.add.at(self.sums, cameras, vectors)
        np.add.at(self.counts, cameras, 1.0)

    def remove(self, vectors: NDArray[np.float32], cameras: NDArray[np.intp]) -> None:
        """Take vectors (N, D) out again: a camera's sum may be of one track alone, and then is its vector."""
        np.add.at(self.sums, cameras, -vectors.astype(np.float64))
        np.add.at(self.counts, cameras, -1.0)

    def take_off(self, vectors: NDArray[np.float32], cameras: NDArray[np.intp]) -> NDArray[np.float32]:
        """Unit vectors (N, D) without the mean of their cameras."""
        space = self.sums.sum(0) / max(float(self.counts.sum()), 1.0)
        means = (self.sums + _SPACE_TRACKS * space) / (self.counts + _SPACE_TRACKS)[:, None]
        return normalise(vectors - means[cameras].astype(np.float32))
