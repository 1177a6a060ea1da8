"""Pairs of crops, or of tracks, of which is known whether they show one person: counted with intervals over people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.halved_clips import WatchedTrack
from train.scoring.metrics import Interval

_APART_S = 1.0  # crops of one person in one camera are nearly one picture before that
_ROUNDS = 500


@dataclass(frozen=True)
class KnownPairs:
    """Rows to compare, and which pairs of them are known; each pair once.

    vectors: (N, D), as they were sent. cameras: (N,), 0 left, 1 right. wrong, right: (N, N). owners: (N,), who is drawn
    for the intervals: the people where they are known, otherwise the tracks.
    """

    vectors: NDArray[np.float32]
    cameras: NDArray[np.intp]
    owners: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    right: NDArray[np.bool_]

    @property
    def people(self) -> int:
        """How many people, or tracks, the wrong pairs are of."""
        return len(np.unique(self.owners[self.wrong.any(0) | self.wrong.any(1)]))

    def share(self, passes: NDArray[np.generic], among: NDArray[np.bool_]) -> Interval:
        """The mean over some pairs, such as the share that passes, with its 95 % interval over people; (N, N) each.

        If none passes, the interval ends at three of the pairs of people: as many could be missed by chance.
        """
        first, second = np.nonzero(among)
        pairs = np.unique(np.sort(np.stack([self.owners[first], self.owners[second]], 1), 1), axis=0)
        shares = list(self._drawn(passes, among))
        low, high = np.percentile(shares, [2.5, 97.5])
        value = float(passes[among].mean())
        least_high = min(1.0, 3.0 / len(pairs)) if not passes[among].any() else 0.0
        return Interval(value, float(low), max(float(high), least_high))

    def _drawn(self, passes: NDArray[np.generic], among: NDArray[np.bool_]) -> Iterator[float]:
        random = np.random.default_rng(0)
        _, numbers = np.unique(self.owners, return_inverse=True)
        first, second = np.nonzero(among)
        passed = passes[first, second]
        first, second = numbers[first], numbers[second]
        count = int(numbers.max()) + 1
        for _ in range(_ROUNDS):
            times = np.bincount(random.integers(0, count, count), minlength=count)
            # A right pair is of one person, who is drawn so often; a wrong one is of two.
            weights = np.where(first == second, times[first], times[first] * times[second])
            if weights.sum():
                yield float(weights @ passed / weights.sum())


def find_known_pairs(tracks: Sequence[WatchedTrack], *, of_tracks: bool, has_truth: bool) -> KnownPairs:
    """All pairs of the tracks' mean descriptors, or of their crops.

    Without truth those tracks are two people whom one camera sees at one moment, and nobody is surely one person.
    """
    numbers = np.arange(len(tracks))
    counts = np.ones(len(tracks), np.intp) if of_tracks else np.array([len(one.vectors) for one in tracks])
    rows = [one.finished.mean[None] if of_tracks else one.vectors for one in tracks]
    track = np.repeat(numbers, counts)
    cameras = np.repeat([int(one.finished.camera == "right") for one in tracks], counts)
    start_s, end_s = (
        np.array([getattr(one.finished, f"{end}_ns") for one in tracks]) / 1e9 for end in ("start", "end")
    )
    once = np.triu(np.ones((len(track), len(track)), np.bool_), 1)
    if not has_truth:
        together = (start_s[:, None] < end_s) & (start_s < end_s[:, None])
        wrong = once & together[np.ix_(track, track)] & (cameras[:, None] == cameras) & (track[:, None] != track)
        return KnownPairs(np.concatenate(rows), cameras, track.astype(np.int64), wrong, np.zeros_like(once))
    people = (
        np.array([one.person for one in tracks]) if of_tracks else np.concatenate([one.crop_people for one in tracks])
    )
    times = (start_s, end_s) if of_tracks else (np.concatenate([one.crop_s for one in tracks]),) * 2
    is_known = once & (people[:, None] > 0) & (people > 0)
    gap_s = np.maximum(times[0][:, None], times[0]) - np.minimum(times[1][:, None], times[1])
    is_one = people[:, None] == people
    is_apart = (cameras[:, None] != cameras) | (gap_s >= _APART_S)
    return KnownPairs(np.concatenate(rows), cameras, people, is_known & ~is_one, is_known & is_one & is_apart)
