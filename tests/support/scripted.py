"""A camera and a detector that do what a test sets, and a stream of both."""

import numpy as np

from edge_runtime.camera.frame import Frame, SourceState, SourceStatus
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import StreamError
from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection
from edge_runtime.people.tracker import OverlapTracker
from edge_runtime.stream import CameraStream, DescriptorSettings
from tests.support.sample_messages import MANIFEST

HEIGHT_PX, WIDTH_PX = 200, 400
STEP_NS = 100_000_000


class ScriptedSource(CameraSource):
    """Gives a frame of noise every 0.1 s of its own time for as long as it is live; a test sets its state."""

    def __init__(self, camera_id: str = "door") -> None:
        super().__init__("clip.avi", camera_id=camera_id)
        self.told: SourceState = "live"
        self.frames = 0

    def start(self) -> None:
        """Nothing is played."""

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """The next frame, at once."""
        if self.told == "disabled":
            raise StreamError("unplugged")
        if self.told != "live":
            return None
        self.frames += 1
        pixels = np.random.default_rng(self.frames).integers(0, 256, (HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)
        time_ns = self.frames * STEP_NS
        return Frame(self.camera_id, self.frames, pixels, time_ns + 10**18, time_ns, "arrival", 7)

    def status(self) -> SourceStatus:
        """What the test says."""
        return SourceStatus(self.told, "" if self.told == "live" else "unplugged", self.frames, 0, 0)


class ScriptedDetector:
    """Finds people where `boxes` are."""

    sure_score = 0.5

    def __init__(self, *boxes: Box) -> None:
        self.boxes = list(boxes)
        self.calls = 0

    def detect(self, frame: object) -> list[Detection]:
        """See `Detector.detect`."""
        self.calls += 1
        return [Detection(box, 0.9) for box in self.boxes]


def scripted_stream(
    source: CameraSource, detector: ScriptedDetector, *, every_s: float = 0.0, max_fps: float = 1e6, min_hits: int = 1
) -> CameraStream:
    """A stream that processes each frame and confirms a track at its `min_hits`-th detection."""
    return CameraStream(
        source,
        detector=detector,
        tracker=OverlapTracker(sure_score=detector.sure_score, min_hits=min_hits),
        manifest=MANIFEST,
        settings=DescriptorSettings(every_s, codec="f32"),
        max_fps=max_fps,
    )
