"""Whether a new detector finds the people that its parent finds, with the same scores, in less time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import Detection, Detector
from edge_runtime.people.detector_manifest import DetectorTrial
from export.acceptance.people_found import Found, match_people
from export.building.timing import interleave

_ROUNDS = 12
_LEAST_SHARE = 0.95
_LEAST_OVERLAP = 0.9
_LARGEST_SCORE_CHANGE = 0.05
_LEAST_PEOPLE = 20


@dataclass(frozen=True)
class TrialFrames:
    """What a trial looks at: frames spread over a video."""

    video: Path
    frames: Sequence[Nv12]


def compare(reference: Detector, child: Detector, *, on: TrialFrames, rival: Detector | None = None) -> DetectorTrial:
    """Compare a new detector with its float32 parent on frames: people, boxes, scores and CPU time, in turns.

    reference: the parent in float32. rival: what the new one must be faster than; None for the reference.
    """
    expected, found = ([_sure(detector, frame) for frame in on.frames] for detector in (reference, child))
    pairs = match_people(expected, found)
    looks = {
        name: partial(_look, one, cycle(on.frames)) for name, one in (("rival", rival or reference), ("child", child))
    }
    samples = interleave(looks, rounds=_ROUNDS, clock=time.process_time)
    people, own = sum(map(len, expected)), sum(map(len, found))
    return DetectorTrial(
        video=on.video.name,
        frames=len(on.frames),
        people=people,
        finds=round(len(pairs) / people, 4) if people else 1.0,
        adds=round(len(pairs) / own, 4) if own else 1.0,
        overlap=round(float(np.mean([pair.overlap for pair in pairs])), 4) if pairs else 0.0,
        score_change=round(float(np.mean([abs(pair.score_change) for pair in pairs])), 4) if pairs else 0.0,
        look_ms=round(float(np.median(samples["child"])), 2),
        parent_look_ms=round(float(np.median(samples["rival"])), 2),
    )


def fault_of(trial: DetectorTrial, *, allow_slower: bool = False) -> str | None:
    """Why a detector must not be used; None where it may."""
    if trial.people < _LEAST_PEOPLE:
        return f"could be judged by {trial.people} people only: expected {_LEAST_PEOPLE}; give a busier video"
    if min(trial.finds, trial.adds) < _LEAST_SHARE:
        return (
            f"finds {trial.finds:.1%} of its parent's people, and {trial.adds:.1%} of its own are its parent's: "
            f"expected {_LEAST_SHARE:.0%} of both"
        )
    if trial.overlap < _LEAST_OVERLAP or trial.score_change > _LARGEST_SCORE_CHANGE:
        return (
            f"gives other boxes or scores: IoU {trial.overlap:.3f} and a score change of {trial.score_change:.3f} on "
            f"average, expected at least {_LEAST_OVERLAP} and at most {_LARGEST_SCORE_CHANGE}"
        )
    if trial.look_ms >= trial.parent_look_ms and not allow_slower:
        return f"is not faster: {trial.look_ms:.2f} ms a look, its parent {trial.parent_look_ms:.2f} ms"
    return None


def describe_trial(trial: DetectorTrial) -> str:
    """The figures, one a line."""
    return (
        f"people in {trial.frames} frames       {trial.people}\n"
        f"of these found             {trial.finds:.1%}\n"
        f"found by the parent, too   {trial.adds:.1%}\n"
        f"boxes, scores              IoU {trial.overlap:.3f}, scores moved by {trial.score_change:.3f}\n"
        f"CPU ms a look              {trial.look_ms:.2f}, parent {trial.parent_look_ms:.2f}"
    )


def _look(detector: Detector, frames: "cycle[Nv12]") -> list[Detection]:
    return detector.detect(next(frames))


def _sure(detector: Detector, frame: Nv12) -> list[Found]:
    detections = detector.detect(frame)
    return [Found(found.box, found.score) for found in detections if found.score >= detector.sure_score]
