"""Follows people by what is most likely: how people walk, how boxes shake, and what descriptors are worth here.

Every pair of a track and a detection gets the logarithm of a likelihood ratio: that it is this person, rather than
somebody else. The pairs with the greatest sum are chosen. Time is in seconds and lengths are in heights of the person,
so the same few numbers hold at any rate of looks. Sure detections choose first, as in ByteTrack (Zhang et al., ECCV
2022, algorithm 1): weak ones may continue a track but never start one.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from math import log

import numpy as np
from numpy.typing import NDArray

from edge_runtime.people.appearance import MOST_EVIDENCE, Separation
from edge_runtime.people.assignment import assign
from edge_runtime.people.detector import Detection
from edge_runtime.people.motion import Floats, Walkers, Walking
from edge_runtime.people.tracker import Track, TrackState


@dataclass(frozen=True)
class Following:
    """When a track is told, and when it ends.

    certainty: a track is told from its first detection on whose score lies this share of the way from the sure score
    to 1. flicker_s: where looks follow each other faster than this, a person must be detected twice before being told.
    max_lost_s, max_lost_looks: a told track ends when it was not detected for longer than both. weak_clutter: how many
    times more often than a sure detection a weak one is nobody. near: evidence, at least, for a box exactly where a
    person is expected within `max_lost_s`: without it nobody could be followed at one look in two seconds.
    """

    certainty: float = 0.27
    flicker_s: float = 0.15
    max_lost_s: float = 3.0
    max_lost_looks: int = 2
    weak_clutter: float = 10.0
    near: float = 1.0


@dataclass
class _Person:
    """What is known of a track besides its motion."""

    id: int
    detection: Detection
    seen_ns: int
    best_score: float
    age: int = 1
    hits: int = 1
    misses: int = 0
    is_told: bool = False
    descriptor_sum: NDArray[np.float64] | None = field(default=None)

    def describe(self, descriptor: NDArray[np.float64]) -> None:
        """Add a descriptor of this person; NaN adds nothing."""
        if np.isfinite(descriptor).all():
            self.descriptor_sum = descriptor if self.descriptor_sum is None else self.descriptor_sum + descriptor


class LikelihoodTracker:
    """See the file. Deterministic, whatever the order of the detections; one thread makes and uses it.

    sure_score: see `Detector.sure_score`.
    """

    def __init__(
        self, *, sure_score: float, walking: Walking | None = None, following: Following | None = None
    ) -> None:
        self._sure_score = sure_score
        self._following = following or Following()
        self._walkers = Walkers(walking or Walking())
        self._people: list[_Person] = []  # row for row those of the walkers
        self._next_id = 1
        self._time_ns: int | None = None
        self.separation = Separation()

    def find_unclear(self, detections: Sequence[Detection], time_ns: int) -> list[int]:
        """See `Tracker.find_unclear`."""
        walkers = copy(self._walkers)
        walkers.predict(self._step_s(time_ns))
        evidence = self._motion_evidence(walkers, _boxes(detections), time_ns=time_ns)
        scores = np.array([detection.score for detection in detections])
        clutter = np.where(scores < self._sure_score, log(self._following.weak_clutter), -MOST_EVIDENCE)
        is_possible = evidence > clutter
        is_shared = is_possible & (is_possible.sum(axis=1, keepdims=True) + is_possible.sum(axis=0, keepdims=True) > 2)
        return [int(index) for index in np.flatnonzero(is_shared.any(axis=0))]

    def update(
        self, detections: Sequence[Detection], time_ns: int, *, descriptors: NDArray[np.float32] | None = None
    ) -> list[Track]:
        """See `Tracker.update`."""
        order = sorted(range(len(detections)), key=lambda index: (-detections[index].score, detections[index].box))
        found = [detections[index] for index in order]
        looks = np.full((len(found), 1), np.nan) if descriptors is None else descriptors[order].astype(np.float64)
        step_s, is_first = self._step_s(time_ns), self._time_ns is None
        self._time_ns = time_ns
        self._walkers.predict(step_s)
        for person in self._people:
            person.age, person.misses = person.age + 1, person.misses + 1
        similarities = self._similarities(looks)
        pairs = self._match(found, time_ns=time_ns, similarities=similarities)
        self._correct(pairs, found, time_ns=time_ns)
        self._learn(pairs, similarities=similarities, looks=looks)
        self._begin(found, {column for _, column in pairs}, looks=looks)
        self._tell(is_rare=is_first or step_s >= self._following.flicker_s)
        ended = self._let_go()
        boxes = self._walkers.boxes()
        return [self._track(person, box) for person, box in zip(self._people, boxes, strict=True)] + ended

    def learn(self, descriptors: dict[int, NDArray[np.float32]]) -> None:
        """See `Tracker.learn`."""
        described = [person for person in self._people if person.id in descriptors]
        if not described:
            return
        looks = np.stack([descriptors[person.id].astype(np.float64) for person in described])
        rows = [self._people.index(person) for person in described]
        self._learn(list(zip(rows, range(len(rows)), strict=True)), similarities=self._similarities(looks), looks=looks)

    def end_all(self) -> list[Track]:
        """See `Tracker.end_all`."""
        return self._end(list(range(len(self._people))))

    def _step_s(self, time_ns: int) -> float:
        """Seconds since the last update; 0 at the first, and where the clock went back."""
        return 0.0 if self._time_ns is None else max(0.0, (time_ns - self._time_ns) / 1e9)

    def _motion_evidence(self, walkers: Walkers, boxes: Floats, *, time_ns: int) -> Floats:
        """Evidence of places and sizes. Returns (tracks, detections)."""
        limit_ns = self._following.max_lost_s * 1e9
        near = [self._following.near if time_ns - one.seen_ns <= limit_ns else -np.inf for one in self._people]
        return walkers.evidence(boxes, least_at_best=np.array(near))

    def _similarities(self, looks: Floats) -> Floats:
        """Cosine of every track's mean descriptor and every one of `looks`; NaN without. Returns (tracks, looks)."""
        similarities = np.full((len(self._people), len(looks)), np.nan)
        for row, person in enumerate(self._people):
            if person.descriptor_sum is not None and looks.shape[1] == len(person.descriptor_sum):
                similarities[row] = looks @ person.descriptor_sum / np.linalg.norm(person.descriptor_sum)
        return similarities

    def _match(self, found: list[Detection], *, time_ns: int, similarities: Floats) -> list[tuple[int, int]]:
        """Give each detection to at most one track, the sure ones first. Returns (track, detection), as rows."""
        evidence = self._motion_evidence(self._walkers, _boxes(found), time_ns=time_ns)
        total = evidence + self.separation.evidence(similarities)
        sure_count = sum(detection.score >= self._sure_score for detection in found)
        pairs = assign(total[:, :sure_count])
        taken = {row for row, _ in pairs}
        rest = [row for row, person in enumerate(self._people) if row not in taken and person.hits > 1]
        # A weak detection must fit by its place and size alone: descriptors of what is mostly nobody mislead.
        clutter = log(self._following.weak_clutter)
        weak = assign(np.where(evidence > clutter, total - clutter, 0.0)[rest, sure_count:])
        return pairs + [(rest[row], sure_count + column) for row, column in weak]

    def _correct(self, pairs: list[tuple[int, int]], found: list[Detection], *, time_ns: int) -> None:
        self._walkers.correct([row for row, _ in pairs], _boxes([found[column] for _, column in pairs]))
        for row, column in pairs:
            person = self._people[row]
            person.detection, person.seen_ns = found[column], time_ns
            person.best_score = max(person.best_score, found[column].score)
            person.hits, person.misses = person.hits + 1, 0

    def _learn(self, pairs: list[tuple[int, int]], *, similarities: Floats, looks: Floats) -> None:
        """Learn from the descriptors of one frame: what the same person looks like, and what others do."""
        for row, column in pairs:
            if len(looks) > 1:
                others = np.delete(similarities[row], column)
                self.separation.learn(same=similarities[row, column : column + 1], different=others)
        for row, column in pairs:
            self._people[row].describe(looks[column])

    def _begin(self, found: list[Detection], taken: set[int], *, looks: Floats) -> None:
        """Begin a track with every sure detection that was not taken."""
        fresh = [column for column, one in enumerate(found) if column not in taken and one.score >= self._sure_score]
        self._walkers.add(_boxes([found[column] for column in fresh]))
        for column in fresh:
            assert self._time_ns is not None
            person = _Person(self._next_id, found[column], self._time_ns, found[column].score)
            person.describe(looks[column])
            self._people.append(person)
            self._next_id += 1

    def _tell(self, *, is_rare: bool) -> None:
        """Tell the people seen in this update that are certain. is_rare: looks are too rare to wait for the next."""
        least = self._sure_score + self._following.certainty * max(0.0, 1.0 - self._sure_score)
        for person in self._people:
            if person.misses == 0 and person.best_score >= least and (person.hits > 1 or is_rare):
                person.is_told = True

    def _let_go(self) -> list[Track]:
        """Forget tracks that were lost for too long, and those not told that missed more than one update."""
        assert self._time_ns is not None
        limit_ns = self._time_ns - self._following.max_lost_s * 1e9
        return self._end(
            [
                row
                for row, person in enumerate(self._people)
                if person.misses > (self._following.max_lost_looks if person.is_told else 1)
                and (person.seen_ns < limit_ns or not person.is_told)
            ]
        )

    def _end(self, rows: list[int]) -> list[Track]:
        """Forget these tracks. Returns those that were told, as ended."""
        boxes = self._walkers.boxes()
        ended = [self._track(self._people[row], boxes[row], state="ended") for row in rows if self._people[row].is_told]
        kept = [row for row in range(len(self._people)) if row not in rows]
        self._people = [self._people[row] for row in kept]
        self._walkers.keep(kept)
        return ended

    def _track(self, person: _Person, box: Floats, *, state: TrackState | None = None) -> Track:
        is_seen = person.misses == 0
        left, top, right, bottom = box.tolist()
        return Track(
            person.id,
            (left, top, right, bottom),
            person.detection if is_seen else None,
            person.detection.score,
            person.age,
            person.hits,
            state or ("lost" if not is_seen else "confirmed" if person.is_told else "new"),
        )


def _boxes(detections: Sequence[Detection]) -> Floats:
    return np.array([detection.box for detection in detections], np.float64).reshape(-1, 4)
