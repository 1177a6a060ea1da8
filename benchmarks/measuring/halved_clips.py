"""Clips cut into two cameras as in the demo, and the tracks that a gallery gets of them.

Each half goes through a camera's stream, as in the daemon. Where true boxes are known, each track and each crop gets the
number of the person whom it shows.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.streamed_clips import stream_clip
from benchmarks.measuring.tracked_clips import Clip, ClipFrame, LookSequence, as_nv12, as_sequences
from benchmarks.measuring.tracking_scores import TrackedFrame, box_overlaps
from edge_runtime.contract.descriptor import decode
from edge_runtime.contract.errors import ConfigError
from edge_runtime.demo.clip_cameras import halves
from edge_runtime.engine.engine import Engine
from edge_runtime.gallery.prototypes import FinishedTrack
from edge_runtime.link.messages import DescriptorMessage, Message
from edge_runtime.people.detector import Detector

_ON_ONE_PERSON = 0.5  # least overlap of a crop with a true box


@dataclass(frozen=True)
class WatchedTrack:
    """A finished track with what only a benchmark knows.

    person: whom most of its messages show. vectors: (crops, D), unit rows, of the crops that were sent one by one.
    crop_s, crop_people: when, and whom each shows. A person's number is 0 where nobody is known.
    """

    finished: FinishedTrack
    person: int
    vectors: NDArray[np.float32]
    crop_s: NDArray[np.float64]
    crop_people: NDArray[np.int64]


@dataclass(frozen=True)
class HalvedClip:
    """The same clip as two cameras."""

    name: str
    halves: tuple[Clip, Clip]

    def watch(self, rate: float, *, engine: Engine, sure_score: float) -> list[list[WatchedTrack]]:
        """The tracks of both cameras at one rate, in order of their ends: a list for each sequence of looks."""
        rate = min(rate, self.halves[0].fps)
        both = zip(*(as_sequences(half, rate) for half in self.halves), strict=True)
        return [
            sorted(
                (one for half in halves for one in _watch(half, engine=engine, sure_score=sure_score)),
                key=lambda one: one.finished.end_ns,
            )
            for halves in both
        ]


def halve_clip(video: Path, truth: Path | None, *, detector: Detector) -> HalvedClip:
    """Look at every frame of both halves of a video. truth: in MOTChallenge's form.

    Raises:
        ConfigError: a file cannot be read.
    """
    capture = cv2.VideoCapture(str(video))
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    rows = np.zeros((0, 6)) if truth is None else _read_truth(truth)
    frames = [
        [_look(half, rows[rows[:, 0] == number], from_px=from_px, detector=detector) for from_px, half in _cut(pixels)]
        for number, pixels in enumerate(_pixels(capture), start=1)
    ]
    if not frames or fps <= 0:
        raise ConfigError(f"OpenCV cannot decode {video}: expected a video, found {len(frames)} frames at {fps:g} fps")
    left, right = zip(*frames, strict=True)
    return HalvedClip(video.stem, (Clip("left", fps, left), Clip("right", fps, right)))


def _read_truth(path: Path) -> NDArray[np.float64]:
    try:
        return np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise ConfigError(f"expected true boxes in MOTChallenge's form in {path}: {error}") from error


def _pixels(capture: cv2.VideoCapture) -> Iterator[NDArray[np.uint8]]:
    while True:
        is_read, pixels = capture.read()
        if not is_read:
            return
        yield np.asarray(pixels, np.uint8)


def _cut(pixels: NDArray[np.uint8]) -> list[tuple[int, NDArray[np.uint8]]]:
    return [(view.start, np.ascontiguousarray(pixels[:, view])) for view in halves(pixels.shape[1]).values()]


def _look(pixels: NDArray[np.uint8], rows: NDArray[np.float64], *, from_px: int, detector: Detector) -> ClipFrame:
    """rows: (N, 6 or more) of frame, id, left, top, width, height in the whole frame."""
    picture = as_nv12(pixels)
    boxes = np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1) - [from_px, 0, from_px, 0]
    boxes = np.clip(boxes, 0, np.tile(pixels.shape[1::-1], 2))
    is_seen = (boxes[:, 2:] > boxes[:, :2]).all(1)
    truth = TrackedFrame(rows[is_seen, 1].astype(np.int64), boxes[is_seen])
    return ClipFrame(picture, tuple(detector.detect(picture)), np.zeros((0, 0), np.float32), truth)


def _watch(half: LookSequence, *, engine: Engine, sure_score: float) -> list[WatchedTrack]:
    truths = {round(look.time_s * 1e9): look.frame.truth for look in half.looks}
    by_track: dict[str, list[Message]] = {}
    for message in stream_clip(half, engine=engine, sure_score=sure_score).messages:
        by_track.setdefault(message.track, []).append(message)
    tracks = (_finish(messages, camera=half.name, truths=truths) for messages in by_track.values())
    return [track for track in tracks if track is not None]


def _finish(messages: Sequence[Message], *, camera: str, truths: dict[int, TrackedFrame]) -> WatchedTrack | None:
    """The track that messages tell of, in order; None where it ends without a descriptor."""
    end = messages[-1]
    if end.descriptor is None:
        return None
    mean = decode(end.descriptor.encoded())
    crops = [message for message in messages if isinstance(message, DescriptorMessage)]
    vectors = np.array([decode(crop.descriptor.encoded()) for crop in crops], np.float32).reshape(-1, len(mean))
    finished = FinishedTrack(
        track_id=end.track,
        camera=camera,
        start_ns=messages[0].capture_ns,
        end_ns=end.capture_ns,
        mean=mean,
        prototypes=vectors[[0, -1]] if len(vectors) > 1 else np.zeros((0, len(mean)), np.float32),
        dispersion=end.dispersion,
        crops=end.crops,
    )
    seen = Counter(person for message in messages if (person := _who(message, truths[message.capture_ns])))
    return WatchedTrack(
        finished,
        person=seen.most_common(1)[0][0] if seen else 0,
        vectors=vectors,
        crop_s=np.array([crop.capture_ns for crop in crops]) / 1e9,
        crop_people=np.array([_who(crop, truths[crop.capture_ns]) for crop in crops], np.int64),
    )


def _who(message: Message, truth: TrackedFrame) -> int:
    """Whom the message's box shows; 0 where that is nobody."""
    box = np.array(message.box) * np.tile([message.frame_width_px, message.frame_height_px], 2)
    overlaps = box_overlaps(box[None], truth.boxes)[0] if len(truth.boxes) else np.zeros(1)
    return int(truth.ids[overlaps.argmax()]) if overlaps.max() >= _ON_ONE_PERSON else 0
