"""The tracks that people may still be joined from, as arrays, and the chains that they form."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.gallery.prototypes import FinishedTrack

_NS = 1e-9


@dataclass(frozen=True)
class Chains:
    """Tracks by person and start. order: (N,) rows; person i has those from starts[i], counts[i] of them."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    counts: NDArray[np.intp]
    people: NDArray[np.intp]

    def neighbours(
        self, rows: NDArray[np.intp], start_s: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows before and after each of `rows` in each person's chain, (rows, people); -1 where there is none."""
        earlier = start_s[self.order] < start_s[rows][:, None]
        position = np.add.reduceat(earlier, self.starts, axis=1)
        before = np.where(position > 0, self.order[self.starts + np.maximum(position - 1, 0)], -1)
        position = position + (self._at(position) == rows[:, None])
        return before, self._at(position)

    def _at(self, position: NDArray[np.intp]) -> NDArray[np.intp]:
        inside = position < self.counts
        return np.where(inside, self.order[self.starts + np.where(inside, position, 0)], -1)


class OpenTracks:
    """Columns of the tracks that are kept, one row each."""

    def __init__(self, length: int) -> None:
        self.track_ids: list[str] = []
        self.apart: dict[str, set[str]] = {}
        """Tracks that somebody took from a person by hand, and those which that person kept."""
        self.cameras: list[str] = []
        self.camera = np.zeros(0, np.intp)
        self.start_s = np.zeros(0)
        self.end_s = np.zeros(0)
        self.person = np.zeros(0, np.intp)
        self.probability = np.zeros(0)
        self.is_final = np.zeros(0, np.bool_)
        self.vectors = np.zeros((0, length), np.float32)
        self.centred = np.zeros((0, length), np.float32)

    def append(self, tracks: Sequence[FinishedTrack]) -> NDArray[np.intp]:
        """Add tracks, without people as yet. Returns their rows."""
        self.cameras += sorted({track.camera for track in tracks} - set(self.cameras))
        number = {camera: one for one, camera in enumerate(self.cameras)}
        rows = len(self.track_ids) + np.arange(len(tracks))
        self.track_ids += [track.track_id for track in tracks]
        self.camera = np.append(self.camera, [number[track.camera] for track in tracks])
        self.start_s = np.append(self.start_s, [track.start_ns * _NS for track in tracks])
        self.end_s = np.append(self.end_s, [track.end_ns * _NS for track in tracks])
        self.person = np.append(self.person, np.full(len(tracks), -1))
        self.probability = np.append(self.probability, np.ones(len(tracks)))
        self.is_final = np.append(self.is_final, np.zeros(len(tracks), np.bool_))
        vectors = np.stack([track.mean for track in tracks]).astype(np.float32)
        self.vectors = np.concatenate([self.vectors, vectors])
        self.centred = np.concatenate([self.centred, vectors])
        return rows

    def chains(self) -> Chains:
        """All tracks by person."""
        order = np.lexsort((self.start_s, self.person))
        people, starts, counts = np.unique(self.person[order], return_index=True, return_counts=True)
        return Chains(order, starts, counts, people)

    def excludes(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(rows, all tracks): which are surely of two people: seen at one moment by one camera, or parted by hand."""
        together = self.start_s[rows][:, None] < self.end_s
        together &= self.start_s < self.end_s[rows][:, None]
        together &= self.camera[rows][:, None] == self.camera
        together[np.arange(len(rows)), rows] = False
        for track, others in self.apart.items():
            one, rest = self._are({track}), self._are(others)
            together |= (one[rows][:, None] & rest) | (rest[rows][:, None] & one)
        return together

    def part(self, row: int) -> None:
        """Take a track from its person by hand: it is none of theirs."""
        theirs = np.flatnonzero(self.person == self.person[row]).tolist()
        self.apart[self.track_ids[row]] = {self.track_ids[one] for one in theirs if one != row}

    def simultaneous(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of the last rows with any rows that were seen at one moment, each pair once."""
        together = self.start_s[rows][:, None] < self.end_s
        together &= self.start_s < self.end_s[rows][:, None]
        together &= np.arange(len(self.end_s)) < rows[:, None]
        first, second = np.nonzero(together)
        return rows[first], second

    def forget(self, before_s: float) -> None:
        """Drop people who were last seen before a time."""
        if not len(self.person):
            return
        last = np.zeros(int(self.person.max()) + 1)
        np.maximum.at(last, self.person, self.end_s)
        self.keep(last[self.person] >= before_s)

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Drop all rows but some. kept: (N,)."""
        if kept.all():
            return
        self.track_ids = [one for one, keep in zip(self.track_ids, kept, strict=True) if keep]
        left = set(self.track_ids)
        self.apart = {track: others & left for track, others in self.apart.items() if track in left}
        for name in ("camera", "start_s", "end_s", "person", "probability", "is_final", "vectors", "centred"):
            setattr(self, name, getattr(self, name)[kept])

    def _are(self, tracks: set[str]) -> NDArray[np.bool_]:
        return np.array([one in tracks for one in self.track_ids], np.bool_)
