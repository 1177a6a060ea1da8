"""Whom a new track carries on: somebody who was out of sight, and whose own track has ended or was not found again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edge_runtime.people.appearance import Separation
from edge_runtime.people.motion import Floats, Walkers

_LEAST_EVIDENCE = 2.0  # seven to one that it is this person rather than somebody new
_LEAST_LEAD = 2.0  # over the next best


@dataclass(frozen=True)
class OutOfSight:
    """Somebody who is not seen now. descriptor_sum: (D,). walkers: this person alone, as known at `known_ns`."""

    track_id: int
    descriptor_sum: Floats
    walkers: Walkers
    known_ns: int
    seen_ns: int


def find_earlier(
    box: Floats, descriptor_sum: Floats, *, others: Sequence[OutOfSight], separation: Separation, time_ns: int
) -> OutOfSight | None:
    """The one of `others` who is seen again at `box`, if one is by far the most likely; None if nobody is.

    The person may have walked on unseen: the longer ago it was, the less a place says, and the more the descriptors
    have to. box: (1, 4), pixels, at `time_ns`. descriptor_sum: (D,), of the new track.
    """
    if not others:
        return None
    evidence = separation.evidence(np.array([_cosine(one.descriptor_sum, descriptor_sum) for one in others]))
    is_alike = evidence > 0  # descriptors must speak for it; a place alone was not enough before
    if not is_alike.any():
        return None
    evidence[~is_alike] = -np.inf
    for index in np.flatnonzero(is_alike).tolist():
        evidence[index] += _log_of_place(others[index], box, time_ns=time_ns)
    best, next_best = evidence.max(), np.sort(evidence)[-2:][0] if len(others) > 1 else -np.inf
    if best < _LEAST_EVIDENCE or best - next_best < _LEAST_LEAD:
        return None
    return others[int(evidence.argmax())]


def _log_of_place(one: OutOfSight, box: Floats, *, time_ns: int) -> float:
    walkers = one.walkers.part([0])
    walkers.predict(max(0.0, (time_ns - one.known_ns) / 1e9))
    return float(walkers.evidence(box, least_at_best=np.full(1, -np.inf))[0, 0])


def _cosine(one: Floats, other: Floats) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
