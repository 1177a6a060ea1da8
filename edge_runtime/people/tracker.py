"""What follows the people of one camera: detections of one frame after the other to tracks with stable ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection

TrackState = Literal["new", "confirmed", "lost", "ended"]


@dataclass(frozen=True)
class Track:
    """One person at one moment. Ids start at 1 and are never used again.

    box: where the person is: the detections so far, smoothed; of a `lost` track the predicted place. It may reach over
    the frame's edge. detection: what was matched in this update, None if nothing was. score: of the last detection.
    age: updates since the track began. hits: those with a detection. `ended` is told once.
    previous: the earlier track of the same person that this one carries on, as soon as it is known.
    """

    id: int
    box: Box
    detection: Detection | None
    score: float
    age: int
    hits: int
    state: TrackState
    previous: int | None = None


@dataclass(frozen=True)
class Foreseen:
    """What the next update will make of a detection without its descriptor.

    track_id: of the track that gets it; None: it is nobody. is_told: that track will be `confirmed`.
    is_unclear: it may be one of several people, or one of several that may be the same person: its descriptor helps to
    choose. All others come as foreseen while only these get descriptors.
    """

    track_id: int | None
    is_told: bool
    is_unclear: bool


class Tracker(Protocol):
    """Anything that follows the people of one camera. One thread makes and uses it: the daemon's main loop."""

    @property
    def uses_descriptors(self) -> bool:
        """Whether descriptors help to follow people here, as far as that was measured until now."""
        ...

    @property
    def sensitivity(self) -> float | None:
        """How well descriptors tell people apart here (d'); None until enough was seen to say."""
        ...

    def foresee(self, detections: Sequence[Detection], time_ns: int) -> list[Foreseen]:
        """Say what `update` will make of the same detections at the same time; changes nothing."""
        ...

    def update(
        self, detections: Sequence[Detection], time_ns: int, *, descriptors: NDArray[np.float32] | None = None
    ) -> list[Track]:
        """Take the detections of one frame and its monotonic time. Returns all tracks by id, those just ended last.

        descriptors: (N, D), unit rows, one per detection; rows of NaN where there is none. None: there are none at all.
        A track that ends before it was confirmed is not returned as ended.
        """
        ...

    def learn(self, descriptors: dict[int, NDArray[np.float32]]) -> None:
        """Take in descriptors that were made after the last update. descriptors: track id -> (D,), of length 1."""
        ...

    def end_all(self) -> list[Track]:
        """End every track, because the camera or the daemon stops. Returns the ended ones that were confirmed."""
        ...
