"""Detections to tracks with stable ids: predict with constant velocity, match by overlap, sure detections first.

Follows the two rounds of ByteTrack (Zhang et al., ECCV 2022, algorithm 1): weak detections may continue a track but
never start one. Differs: an alpha-beta filter instead of a Kalman filter and greedy instead of optimal matching, which
give the same on scenes that are not packed, and time in seconds instead of frames, because frames are dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection

TrackState = Literal["new", "confirmed", "lost", "ended"]

_SHORTEST_STEP_S = 0.001
_ALPHA, _BETA = 0.6, 0.25  # share of the residual that goes into position and into velocity
_SIZE_ALPHA = 0.4


@dataclass(frozen=True)
class Track:
    """One person at one moment. Ids start at 1 and are never used again.

    `box` and `score` are those of the detection matched in this update; a `lost` track has its predicted box and its
    last score. `age` counts updates since the track began, `hits` those with a detection. `ended` is told once.
    """

    id: int
    box: Box
    score: float
    age: int
    hits: int
    state: TrackState


class Tracker(Protocol):
    """Anything that follows the people of one camera. One thread makes and uses it: the daemon's main loop."""

    def update(self, detections: Sequence[Detection], time_ns: int) -> list[Track]:
        """Take the detections of one frame and its monotonic time. Returns all tracks by id, those just ended last.

        A track that ends before it was confirmed is not returned as ended.
        """
        ...

    def end_all(self) -> list[Track]:
        """End every track, because the camera or the daemon stops. Returns the ended ones that were confirmed."""
        ...


class OverlapTracker:
    """Follows people by the overlap of their boxes. Deterministic; one thread makes and uses it."""

    def __init__(
        self, *, sure_score: float, min_hits: int = 3, max_lost_s: float = 1.0, min_overlap: float = 0.35
    ) -> None:
        """A track starts with a detection of at least `sure_score`, is confirmed at its `min_hits`-th detection, and
        ends when it was lost for more than `max_lost_s`. `min_overlap` is the least IoU of a match.
        """
        self._sure_score = sure_score
        self._min_hits = min_hits
        self._max_lost_s = max_lost_s
        self._min_overlap = min_overlap
        self._followed: list[_Followed] = []
        self._next_id = 1

    def update(self, detections: Sequence[Detection], time_ns: int) -> list[Track]:
        """Take the detections of one frame and its monotonic time. Returns all tracks by id, those just ended last.

        The order of the detections does not matter. A track that ends before it was confirmed just disappears.
        """
        ended = self._let_go(time_ns)
        for followed in self._followed:
            followed.predict(time_ns)
        ordered = sorted(detections, key=lambda detection: (-detection.score, detection.box))
        sure = [detection for detection in ordered if detection.score >= self._sure_score]
        weak = [detection for detection in ordered if detection.score < self._sure_score]
        unmatched, newcomers = self._match(self._followed, sure, time_ns)
        self._match([followed for followed in unmatched if followed.hits >= self._min_hits], weak, time_ns)
        for detection in newcomers:
            self._followed.append(_Followed(self._next_id, detection, time_ns))
            self._next_id += 1
        return [self._track(followed, time_ns) for followed in self._followed] + ended

    def end_all(self) -> list[Track]:
        """End every track, for a camera that is gone. Returns the ended ones that were confirmed."""
        ended, self._followed = self._followed, []
        return self._ended(ended)

    def _let_go(self, time_ns: int) -> list[Track]:
        """Forget tracks lost for too long, and new ones that missed more than one update."""
        limit_ns = time_ns - int(self._max_lost_s * 1e9)
        gone = [
            followed
            for followed in self._followed
            if followed.seen_ns < limit_ns or (followed.hits < self._min_hits and followed.misses > 1)
        ]
        self._followed = [followed for followed in self._followed if followed not in gone]
        return self._ended(gone)

    def _match(
        self, followed: list["_Followed"], detections: list[Detection], time_ns: int
    ) -> tuple[list["_Followed"], list[Detection]]:
        """Give each detection to at most one track, best overlap first. Returns the unmatched of both."""
        overlaps = _overlaps([one.predicted_box() for one in followed], [detection.box for detection in detections])
        # A stable sort: equal overlaps go to the older track and the better detection.
        order = np.argsort(-overlaps, axis=None, kind="stable")
        free_tracks, free_detections = set(range(len(followed))), set(range(len(detections)))
        for row, column in zip(*np.unravel_index(order, overlaps.shape), strict=True):
            if overlaps[row, column] < self._min_overlap:
                break
            if row in free_tracks and column in free_detections:
                followed[row].correct(detections[column], time_ns)
                free_tracks.remove(row)
                free_detections.remove(column)
        return [followed[row] for row in sorted(free_tracks)], [
            detections[column] for column in sorted(free_detections)
        ]

    def _track(self, followed: "_Followed", time_ns: int) -> Track:
        is_seen = followed.seen_ns == time_ns
        state: TrackState = "lost" if not is_seen else "confirmed" if followed.hits >= self._min_hits else "new"
        return followed.as_track(state)

    def _ended(self, gone: list["_Followed"]) -> list[Track]:
        return [followed.as_track("ended") for followed in gone if followed.hits >= self._min_hits]


class _Followed:
    """One track's memory: an alpha-beta filter over the box's centre, and a smoothed size."""

    def __init__(self, track_id: int, detection: Detection, time_ns: int) -> None:
        self.id = track_id
        self.hits, self.misses, self.age = 1, 0, 1
        self.seen_ns = self._time_ns = time_ns
        self._detection = detection
        self._centre, self._size = _centre_and_size(detection.box)
        self._velocity = np.zeros(2)  # pixels per second

    def predict(self, time_ns: int) -> None:
        """Move on to the time of the next update; it counts as missed until `correct`."""
        self._centre = self._centre + self._velocity * ((time_ns - self._time_ns) / 1e9)
        self._time_ns = time_ns
        self.age += 1
        self.misses += 1

    def correct(self, detection: Detection, time_ns: int) -> None:
        """Take a matched detection in."""
        centre, size = _centre_and_size(detection.box)
        residual = centre - self._centre
        step_s = max((time_ns - self.seen_ns) / 1e9, _SHORTEST_STEP_S)
        gain = 1.0 if self.hits == 1 else _BETA  # two detections are the first to tell a velocity
        self._velocity = self._velocity + gain * residual / step_s
        self._centre = self._centre + _ALPHA * residual
        self._size = self._size + _SIZE_ALPHA * (size - self._size)
        self._detection = detection
        self.seen_ns = time_ns
        self.hits += 1
        self.misses = 0

    def predicted_box(self) -> Box:
        """Where the person should be at the time of the last `predict`."""
        left, top = (self._centre - self._size / 2).tolist()
        right, bottom = (self._centre + self._size / 2).tolist()
        return left, top, right, bottom

    def as_track(self, state: TrackState) -> Track:
        """What is told about the person."""
        is_seen = self.misses == 0
        box = self._detection.box if is_seen else self.predicted_box()
        return Track(self.id, box, self._detection.score, self.age, self.hits, state)


def _centre_and_size(box: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    left_top, right_bottom = np.array(box[:2]), np.array(box[2:])
    return (left_top + right_bottom) / 2, right_bottom - left_top


def _overlaps(first: Sequence[Box], second: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union of every pair. Returns (len(first), len(second)) in [0, 1]."""
    one = np.array(first, np.float64).reshape(-1, 1, 4)
    other = np.array(second, np.float64).reshape(1, -1, 4)
    shared = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    intersection = np.clip(shared, 0, None).prod(axis=-1)
    union = (one[..., 2:] - one[..., :2]).prod(axis=-1) + (other[..., 2:] - other[..., :2]).prod(axis=-1) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-9), np.float64)
