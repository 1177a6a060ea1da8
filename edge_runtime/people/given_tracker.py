"""Follows people by the names that somebody else has given them, where boxes come from outside."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge_runtime.people.detector import Detection
from edge_runtime.people.tracker import Foreseen, Track

_MOST_NAMES = 1000  # of tracks that have ended, whose persons may come back under the same name


@dataclass(frozen=True)
class _Named:
    track: Track
    seen_ns: int


class GivenTracker:
    """A person for each name; see `Tracker`.

    Everybody is told at the first sight: who gives names has followed them already. Boxes without a name are nobody;
    of two with one name in a frame the better counts. A look without somebody says nothing: the one who gives names may
    tell of some people only.

    forget_s: a track ends when its name was not seen for longer. Who comes back later under the same name gets a new
    track that carries on the one before.
    """

    uses_descriptors = False
    sensitivity: float | None = None

    def __init__(self, *, forget_s: float) -> None:
        self._forget_ns = int(forget_s * 1e9)
        self._next_id = 1
        self._people: dict[str, _Named] = {}
        self._gone: OrderedDict[str, int] = OrderedDict()

    def foresee(self, detections: Sequence[Detection], time_ns: int) -> list[Foreseen]:
        """See `Tracker.foresee`."""
        best, next_id, foreseen = _best(detections), self._next_id, []
        for index, detection in enumerate(detections):
            name = detection.given_id
            if name is None or best[name] != index:
                foreseen.append(Foreseen(None, is_told=False, is_unclear=False))
            elif name in self._people:
                foreseen.append(Foreseen(self._people[name].track.id, is_told=True, is_unclear=False))
            else:
                foreseen.append(Foreseen(next_id, is_told=True, is_unclear=False))
                next_id += 1
        return foreseen

    def update(
        self, detections: Sequence[Detection], time_ns: int, *, descriptors: NDArray[np.float32] | None = None
    ) -> list[Track]:
        """See `Tracker.update`."""
        best = _best(detections)
        for name, one in self._people.items():
            age = one.track.age + 1
            self._people[name] = replace(one, track=replace(one.track, detection=None, age=age, state="lost"))
        for index, detection in enumerate(detections):
            if detection.given_id is not None and best[detection.given_id] == index:
                self._note(detection.given_id, detection, time_ns=time_ns)
        ended = [name for name, one in self._people.items() if time_ns - one.seen_ns > self._forget_ns]
        told = [self._end(name) for name in ended]
        return [one.track for one in sorted(self._people.values(), key=lambda one: one.track.id)] + told

    def learn(self, descriptors: dict[int, NDArray[np.float32]]) -> None:
        """Nothing is learnt: names decide."""

    def end_all(self) -> list[Track]:
        """See `Tracker.end_all`."""
        return [self._end(name) for name in list(self._people)]

    def _note(self, name: str, detection: Detection, *, time_ns: int) -> None:
        before = self._people.get(name)
        if before is None:
            track = Track(
                self._next_id,
                detection.box,
                detection,
                detection.score,
                age=1,
                hits=1,
                state="confirmed",
                previous=self._gone.pop(name, None),
            )
            self._next_id += 1
        else:
            track = replace(
                before.track,
                box=detection.box,
                detection=detection,
                score=detection.score,
                hits=before.track.hits + 1,
                state="confirmed",
            )
        self._people[name] = _Named(track, time_ns)

    def _end(self, name: str) -> Track:
        track = self._people.pop(name).track
        self._gone[name] = track.id
        if len(self._gone) > _MOST_NAMES:
            self._gone.popitem(last=False)
        return replace(track, detection=None, state="ended")


def _best(detections: Sequence[Detection]) -> dict[str, int]:
    """Name -> its detection with the best score, the first of equal ones."""
    best: dict[str, int] = {}
    for index, detection in enumerate(detections):
        name = detection.given_id
        if name is not None and (name not in best or detection.score > detections[best[name]].score):
            best[name] = index
    return best
