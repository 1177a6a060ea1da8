"""A camera and a detector that do what a test sets, and a stream of the camera."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.camera.frame import Frame, SourceState, SourceStatus
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import StreamError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection
from edge_runtime.people.likelihood_tracker import Following, LikelihoodTracker
from edge_runtime.streams.polygons import Polygon
from edge_runtime.streams.stream import NO_MORE_USES, CameraStream, DescriptorSettings, LookSettings, MomentUses
from tests.support.sample_messages import MANIFEST

HEIGHT_PX, WIDTH_PX = 200, 400
STEP_NS = 100_000_000


@dataclass(frozen=True)
class ScriptedPicture(Nv12):
    """A picture that says where its people are."""

    people: tuple[Box, ...] = ()


class ScriptedSource(CameraSource):
    """Gives a frame of noise every 0.1 s of its own time for as long as it is live; a test sets its state.

    people: where they are in its frames. frames_per_s: what its status tells.
    """

    def __init__(self, camera_id: str = "door", people: Sequence[Box] = (), *, frames_per_s: float = 10.0) -> None:
        super().__init__("clip.avi", camera_id=camera_id)
        self.told: SourceState = "live"
        self.people = list(people)
        self.frames = 0
        self._frames_per_s = frames_per_s

    def start(self) -> None:
        """Nothing is played."""

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """The next frame, at once."""
        if self.told == "disabled":
            raise StreamError("unplugged")
        if self.told != "live":
            return None
        self.frames += 1
        noise = np.random.default_rng(self.frames).integers(0, 256, (HEIGHT_PX * 3 // 2, WIDTH_PX), dtype=np.uint8)
        chroma = noise[HEIGHT_PX:].reshape(HEIGHT_PX // 2, WIDTH_PX // 2, 2)
        time_ns = self.frames * STEP_NS
        pixels = ScriptedPicture(noise[:HEIGHT_PX], chroma, people=tuple(self.people))
        return Frame(self.camera_id, self.frames, pixels, time_ns + 10**18, time_ns, "arrival", 7)

    def waiting_since_s(self) -> float | None:
        """A frame has just arrived, for as long as it is live."""
        return time.monotonic() if self.told == "live" else None

    def status(self) -> SourceStatus:
        """What the test says."""
        reason = "" if self.told == "live" else "unplugged"
        return SourceStatus(self.told, reason, self.frames, 0, 0, self._frames_per_s)


class ScriptedDetector:
    """Finds people where the pictures say that they are."""

    sure_score = 0.5

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`."""
        assert isinstance(frame, ScriptedPicture)
        self.calls += 1
        return [Detection(box, 0.9) for box in frame.people]


def scripted_stream(
    source: CameraSource,
    *,
    every_s: float = 0.0,
    max_fps: float = 1e6,
    flicker_s: float = 0.0,
    masks: tuple[Polygon, ...] = (),
    zones: Mapping[str, Polygon] | None = None,
    only_zones: bool = False,
    uses: MomentUses = NO_MORE_USES,
) -> CameraStream:
    """A stream that ends a track after a second. flicker_s: see `Following`."""
    return CameraStream(
        source,
        tracker=LikelihoodTracker(
            sure_score=ScriptedDetector.sure_score, following=Following(flicker_s=flicker_s, max_lost_s=1.0)
        ),
        sure_score=ScriptedDetector.sure_score,
        manifest=MANIFEST,
        settings=DescriptorSettings(every_s, codec="f32"),
        looks=LookSettings(max_fps, masks, zones or {}, only_zones),
        uses=uses,
    )
