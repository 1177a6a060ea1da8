"""A new detector is judged by people, boxes, scores and time."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import Detection
from edge_runtime.people.detector_manifest import DetectorTrial
from export.building.detector_trial import TrialFrames, compare, fault_of

GOOD = DetectorTrial(
    video="street.mp4", frames=48, people=100, finds=1.0, adds=0.98, overlap=0.96, score_change=0.01, look_ms=8.0,
    parent_look_ms=13.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"people": 19}, "could be judged by 19 people only: expected 20; give a busier video"),
        ({"finds": 0.94}, "finds 94.0% of its parent's people, and 98.0% of its own are its parent's: expected 95%"),
        ({"adds": 0.5}, "and 50.0% of its own"),
        ({"overlap": 0.89}, "gives other boxes or scores: IoU 0.890 and a score change of 0.010 on average"),
        ({"score_change": 0.06}, "expected at least 0.9 and at most 0.05"),
        ({"look_ms": 13.1}, "is not faster: 13.10 ms a look, its parent 13.00 ms"),
    ],
)
def test_what_finds_other_people_or_is_not_faster_is_refused(changes: dict[str, float], fault: str | None) -> None:
    """With all figures; a video without people proves nothing."""
    said = fault_of(GOOD.model_copy(update=changes))
    assert said is None if fault is None else fault in (said or "")


def test_speed_may_be_waived_but_not_people() -> None:
    """`--allow-slower` is about time alone."""
    assert fault_of(GOOD.model_copy(update={"look_ms": 14.0}), allow_slower=True) is None
    assert fault_of(GOOD.model_copy(update={"finds": 0.9}), allow_slower=True)


class Scripted:
    """Finds the same two people in every frame, one of them moved and less sure by what is asked for."""

    sure_score = 0.35

    def __init__(self, *, moved_px: float = 0.0, score: float = 0.8, extra: bool = False) -> None:
        self._found = [
            Detection((10, 10, 50, 110), 0.9),
            Detection((100 + moved_px, 10, 140 + moved_px, 110), score),
            *([Detection((200, 10, 240, 110), 0.5)] if extra else []),
        ]

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector`."""
        return self._found


def test_the_figures_are_those_of_pairs() -> None:
    """One of two people moved by a tenth of her width (IoU 36 / 44) and less sure by 0.2; one is new."""
    frame = Nv12(np.zeros((120, 300), np.uint8), np.zeros((60, 150, 2), np.uint8))
    on = TrialFrames(Path("street.mp4"), [frame] * 4)
    trial = compare(Scripted(), Scripted(moved_px=4, score=0.6, extra=True), on=on)
    assert (trial.people, trial.finds, trial.adds) == (8, 1.0, round(2 / 3, 4))
    assert trial.overlap == pytest.approx((1 + 36 / 44) / 2, abs=1e-3)
    assert trial.score_change == pytest.approx(0.1)
