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

from edge_runtime.people.appearance import Separation
from edge_runtime.people.assignment import assign, find_contested
from edge_runtime.people.detector import Detection
from edge_runtime.people.motion import Floats, Walkers, Walking
from edge_runtime.people.relinking import OutOfSight, find_earlier
from edge_runtime.people.tracker import Foreseen, Track, TrackState

_OPEN = 2.0
"""A choice is open if another one is more than a seventh (e^-2) as likely. To ask for more descriptors costs much time,
and was not seen to help."""
_MOST_GONE = 30
_YOUNG = 5  # a track that was described more often is not looked at again: whom it carries on is known by then


@dataclass(frozen=True)
class Following:
    """When a track is told, and when it ends.

    certainty: a track is told from its first detection on whose score lies this share of the way from the sure score
    to 1. flicker_s: where looks follow each other faster than this, a person must be detected twice before being told.
    max_lost_s, max_lost_looks: a told track ends when it was not detected for longer than both. weak_clutter: how many
    times more often than a sure detection a weak one is nobody. near: evidence, at least, for a box exactly where a
    person is expected within `max_lost_s`: without it nobody could be followed at one look in two seconds.
    remembered_s: so long after being seen last, a person whose track has ended may be recognized.
    """

    certainty: float = 0.27
    flicker_s: float = 0.15
    max_lost_s: float = 3.0
    max_lost_looks: int = 2
    weak_clutter: float = 10.0
    near: float = 1.0
    remembered_s: float = 60.0


@dataclass
class _Person:
    """What is known of a track besides its motion."""

    id: int
    detection: Detection
    begun_ns: int
    seen_ns: int
    best_score: float
    age: int = 1
    hits: int = 1
    misses: int = 0
    is_told: bool = False
    descriptor_sum: NDArray[np.float64] | None = field(default=None)
    described: int = 0
    previous: int | None = None

    def describe(self, descriptor: NDArray[np.float64]) -> None:
        """Add a descriptor of this person; NaN adds nothing."""
        if np.isfinite(descriptor).all():
            self.described += 1
            self.descriptor_sum = descriptor if self.descriptor_sum is None else self.descriptor_sum + descriptor


@dataclass(frozen=True)
class _Plan:
    """What becomes of the detections of one frame as far as places and sizes tell.

    order: of `found` in what was given, the best score first. walkers: everybody, moved on to this frame.
    pairs: rows of people and of `found`. unclear: rows of `found`, see `Foreseen`.
    """

    given: tuple[Detection, ...]
    order: list[int]
    time_ns: int
    walkers: Walkers
    evidence: Floats
    pairs: list[tuple[int, int]]
    unclear: list[int]

    @property
    def found(self) -> list[Detection]:
        return [self.given[index] for index in self.order]


class LikelihoodTracker:
    """See the file. Deterministic, whatever the order of the detections; one thread makes and uses it.

    sure_score: see `Detector.sure_score`.
    """

    def __init__(
        self,
        *,
        sure_score: float,
        walking: Walking | None = None,
        following: Following | None = None,
        separation: Separation | None = None,
    ) -> None:
        self._sure_score = sure_score
        self._following = following or Following()
        self._walkers = Walkers(walking or Walking())
        self._people: list[_Person] = []  # row for row those of the walkers
        self._next_id = 1
        self._time_ns: int | None = None
        self._plan: _Plan | None = None
        self._gone: list[OutOfSight] = []
        self._carried_on: list[Track] = []  # ended because another track carries them on; not yet told
        self.separation = separation or Separation()

    @property
    def uses_descriptors(self) -> bool:
        """See `Tracker.uses_descriptors`."""
        return self.separation.is_useful

    @property
    def sensitivity(self) -> float | None:
        """See `Tracker.sensitivity`."""
        return self.separation.sensitivity() if self.separation.is_judged else None

    def foresee(self, detections: Sequence[Detection], time_ns: int) -> list[Foreseen]:
        """See `Tracker.foresee`."""
        plan = self._plan = self._make_plan(detections, time_ns)
        row_of = {column: row for row, column in plan.pairs}
        foreseen: dict[int, Foreseen] = {}
        next_id = self._next_id
        for column, index in enumerate(plan.order):
            row, score = row_of.get(column), detections[index].score
            if row is not None:
                person = self._people[row]
                is_told = person.is_told or self._is_certain(max(person.best_score, score))
                foreseen[index] = Foreseen(person.id, is_told, column in plan.unclear)
            elif score >= self._sure_score:
                is_told = self._is_certain(score) and self._is_rare(time_ns)
                foreseen[index] = Foreseen(next_id, is_told, column in plan.unclear)
                next_id += 1
            else:
                foreseen[index] = Foreseen(None, False, column in plan.unclear)
        return [foreseen[index] for index in range(len(detections))]

    def update(
        self, detections: Sequence[Detection], time_ns: int, *, descriptors: NDArray[np.float32] | None = None
    ) -> list[Track]:
        """See `Tracker.update`."""
        plan, self._plan = self._plan, None
        if plan is None or plan.time_ns != time_ns or plan.given != tuple(detections):
            plan = self._make_plan(detections, time_ns)
        found, is_rare = plan.found, self._is_rare(time_ns)
        looks = np.full((len(found), 1), np.nan)
        if descriptors is not None:
            looks = descriptors[plan.order].astype(np.float64)
        self._time_ns, self._walkers = time_ns, plan.walkers
        similarities = self._similarities(looks)
        support = np.zeros_like(plan.evidence)
        support[:, plan.unclear] = self.separation.evidence(similarities)[:, plan.unclear]
        pairs = self._match(found, plan.evidence, support=support) if support.any() else plan.pairs
        for person in self._people:
            person.age, person.misses = person.age + 1, person.misses + 1
        self._correct(pairs, found, time_ns=time_ns)
        self._learn(pairs, similarities=similarities, looks=looks)
        self._begin(found, {column for _, column in pairs}, looks=looks)
        self._tell(is_rare=is_rare)
        self._carry_on([person for person in self._people if person.misses == 0])
        ended = self._take_carried_on() + self._let_go()
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
        self._carry_on(described)

    def end_all(self) -> list[Track]:
        """See `Tracker.end_all`."""
        return self._take_carried_on() + self._end(list(range(len(self._people))))

    def _make_plan(self, detections: Sequence[Detection], time_ns: int) -> _Plan:
        order = sorted(range(len(detections)), key=lambda index: (-detections[index].score, detections[index].box))
        found = [detections[index] for index in order]
        walkers = copy(self._walkers)
        walkers.predict(self._step_s(time_ns))
        limit_ns = self._following.max_lost_s * 1e9
        near = [self._following.near if time_ns - one.seen_ns <= limit_ns else -np.inf for one in self._people]
        evidence = walkers.evidence(_boxes(found), least_at_best=np.array(near))
        pairs = self._match(found, evidence, support=np.zeros_like(evidence))
        unclear = self._find_unclear(found, evidence, pairs=pairs) if self.uses_descriptors else []
        return _Plan(tuple(detections), order, time_ns, walkers, evidence, pairs, unclear)

    def _find_unclear(self, found: list[Detection], evidence: Floats, *, pairs: list[tuple[int, int]]) -> list[int]:
        """The detections, as rows of `found`, of which places and sizes leave it open whose they are."""
        is_weak = np.array([detection.score < self._sure_score for detection in found], np.bool_)
        gain = evidence - np.where(is_weak, log(self._following.weak_clutter), 0.0)
        return find_contested(gain, pairs, least_loss=_OPEN)

    def _step_s(self, time_ns: int) -> float:
        """Seconds since the last update; 0 at the first, and where the clock went back."""
        return 0.0 if self._time_ns is None else max(0.0, (time_ns - self._time_ns) / 1e9)

    def _is_rare(self, time_ns: int) -> bool:
        """Whether looks are too rare to wait for a second detection."""
        return self._time_ns is None or self._step_s(time_ns) >= self._following.flicker_s

    def _is_certain(self, score: float) -> bool:
        return score >= self._sure_score + self._following.certainty * max(0.0, 1.0 - self._sure_score)

    def _similarities(self, looks: Floats) -> Floats:
        """Cosine of every track's mean descriptor and every one of `looks`; NaN without. Returns (tracks, looks)."""
        similarities = np.full((len(self._people), len(looks)), np.nan)
        for row, person in enumerate(self._people):
            if person.descriptor_sum is not None and looks.shape[1] == len(person.descriptor_sum):
                similarities[row] = looks @ person.descriptor_sum / np.linalg.norm(person.descriptor_sum)
        return similarities

    def _match(self, found: list[Detection], evidence: Floats, *, support: Floats) -> list[tuple[int, int]]:
        """Give each detection to at most one track, the sure ones first. Returns (track, detection), as rows.

        evidence: of places and sizes; support: of descriptors; (tracks, detections).
        """
        total = evidence + support
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
            person = _Person(self._next_id, found[column], self._time_ns, self._time_ns, found[column].score)
            person.describe(looks[column])
            self._people.append(person)
            self._next_id += 1

    def _tell(self, *, is_rare: bool) -> None:
        """Tell the people seen in this update that are certain. is_rare: looks are too rare to wait for the next."""
        for person in self._people:
            if person.misses == 0 and self._is_certain(person.best_score) and (person.hits > 1 or is_rare):
                person.is_told = True

    def _carry_on(self, described: Sequence[_Person]) -> None:
        """Find out whether young tracks that were just described carry on earlier ones, which end by that."""
        if not (self.separation.is_judged and self.uses_descriptors):
            return
        for person in described:
            if person.is_told and person.previous is None and 0 < person.described <= _YOUNG:
                self._carry_on_one(person)

    def _carry_on_one(self, person: _Person) -> None:
        assert self._time_ns is not None
        assert person.descriptor_sum is not None
        lost = [one for one in self._people if one.misses > 0 and one.is_told]
        others = [self._out_of_sight(one) for one in lost if one.descriptor_sum is not None] + self._gone
        earlier = find_earlier(
            self._walkers.boxes()[[self._people.index(person)]],
            person.descriptor_sum,
            others=[one for one in others if one.seen_ns < person.begun_ns],
            separation=self.separation,
            time_ns=self._time_ns,
        )
        if earlier is None:
            return
        person.previous = earlier.track_id
        person.descriptor_sum = person.descriptor_sum + earlier.descriptor_sum
        rows = [row for row, one in enumerate(self._people) if one.id == earlier.track_id]
        self._carried_on += self._end(rows)
        self._gone = [one for one in self._gone if one.track_id != earlier.track_id]

    def _take_carried_on(self) -> list[Track]:
        ended, self._carried_on = self._carried_on, []
        return ended

    def _out_of_sight(self, person: _Person) -> OutOfSight:
        assert self._time_ns is not None
        assert person.descriptor_sum is not None
        walkers = self._walkers.part([self._people.index(person)])
        return OutOfSight(person.id, person.descriptor_sum, walkers, self._time_ns, person.seen_ns)

    def _let_go(self) -> list[Track]:
        """Forget tracks that were lost for too long, and those not told that missed more than one update."""
        assert self._time_ns is not None
        limit_ns = self._time_ns - self._following.max_lost_s * 1e9
        over = [
            row
            for row, person in enumerate(self._people)
            if person.misses > (self._following.max_lost_looks if person.is_told else 1)
            and (person.seen_ns < limit_ns or not person.is_told)
        ]
        people = [self._people[row] for row in over]
        self._gone += [self._out_of_sight(one) for one in people if one.is_told and one.descriptor_sum is not None]
        forget_ns = self._time_ns - self._following.remembered_s * 1e9
        self._gone = [one for one in self._gone if one.seen_ns >= forget_ns][-_MOST_GONE:]
        return self._end(over)

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
            person.previous,
        )


def _boxes(detections: Sequence[Detection]) -> Floats:
    return np.array([detection.box for detection in detections], np.float64).reshape(-1, 4)
