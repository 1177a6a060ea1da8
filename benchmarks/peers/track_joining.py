"""How others join tracks into people: a fixed cosine and greedy, clusters per window, the nearest neighbour.

Each gets all tracks in order of their ends, and gives each a number of a person. Each has one threshold: the benchmark
tries many and keeps the best one, which a user could not do.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WINDOW_S = 60.0


@dataclass(frozen=True)
class JoinedTracks:
    """What a peer may look at. vectors: (N, D) of length 1; cameras, start_s, end_s: (N,), in order of end_s."""

    vectors: NDArray[np.float32]
    cameras: NDArray[np.intp]
    start_s: NDArray[np.float64]
    end_s: NDArray[np.float64]


Peer = Callable[[JoinedTracks, float], NDArray[np.intp]]


def join_greedily(tracks: JoinedTracks, threshold: float) -> NDArray[np.intp]:
    """Each track joins the person whose mean descriptor is nearest, from a fixed cosine on."""
    sums = np.zeros_like(tracks.vectors)
    lengths = np.ones(len(sums), np.float32)
    names = np.zeros(len(sums), np.intp)
    people = 0
    for number, vector in enumerate(tracks.vectors):
        cosines = sums[:people] @ vector / lengths[:people]
        best = int(cosines.argmax()) if people and cosines.max() >= threshold else people
        people = max(people, best + 1)
        names[number] = best
        sums[best] += vector
        lengths[best] = np.linalg.norm(sums[best])
    return names


def join_nearest(tracks: JoinedTracks, threshold: float) -> NDArray[np.intp]:
    """Each track takes the person of the one earlier track that is nearest, from a fixed cosine on."""
    names = np.arange(len(tracks.vectors))
    for number in range(1, len(names)):
        cosines = tracks.vectors[:number] @ tracks.vectors[number]
        best = int(cosines.argmax())
        if cosines[best] >= threshold:
            names[number] = names[best]
    return names


def join_windows(tracks: JoinedTracks, threshold: float) -> NDArray[np.intp]:
    """Average linkage over the tracks of each minute; clusters and the people so far are then matched one to one.

    Two tracks of one camera at one moment never share a cluster, as in NVIDIA's multi-camera tracking.
    """
    from scipy.optimize import linear_sum_assignment

    names = np.zeros(len(tracks.vectors), np.intp)
    sums = np.zeros((0, tracks.vectors.shape[1]), np.float32)
    windows = (tracks.end_s // _WINDOW_S).astype(int)
    for window in np.unique(windows):
        rows = np.flatnonzero(windows == window)
        clusters = _cluster(tracks, rows, threshold=threshold)
        means = np.stack([tracks.vectors[cluster].sum(0) for cluster in clusters])
        cosines = _unit(means) @ _unit(sums).T
        matched = dict(zip(*linear_sum_assignment(cosines, maximize=True), strict=True))
        for number, cluster in enumerate(clusters):
            person = matched.get(number)
            if person is None or cosines[number, person] < threshold:
                person, sums = len(sums), np.concatenate([sums, np.zeros_like(sums, shape=(1, sums.shape[1]))])
            sums[person] += means[number]
            names[cluster] = person
    return names


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def _cluster(tracks: JoinedTracks, rows: NDArray[np.intp], *, threshold: float) -> list[NDArray[np.intp]]:
    vectors, start, end = tracks.vectors[rows], tracks.start_s[rows], tracks.end_s[rows]
    cosines = (vectors @ vectors.T).astype(np.float64)
    together = (start[:, None] < end) & (start < end[:, None])
    cosines[together & (tracks.cameras[rows][:, None] == tracks.cameras[rows])] = -np.inf
    np.fill_diagonal(cosines, -np.inf)
    members = [[row] for row in rows]
    sizes = np.ones(len(rows))
    while cosines.size and cosines.max() >= threshold:
        one, other = np.unravel_index(cosines.argmax(), cosines.shape)
        merged = (sizes[one] * cosines[one] + sizes[other] * cosines[other]) / (sizes[one] + sizes[other])
        cosines[one], cosines[:, one] = merged, merged
        cosines[one, one] = -np.inf
        cosines[other], cosines[:, other] = -np.inf, -np.inf
        sizes[one] += sizes[other]
        members[one] += members[other]
        members[other] = []
    return [np.array(rows_of) for rows_of in members if rows_of]


PEERS: dict[str, Peer] = {
    "fixed cosine, greedy": join_greedily,
    "agglomerative per window": join_windows,
    "nearest neighbour": join_nearest,
}
