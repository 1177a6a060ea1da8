"""Clips with true tracks: the boxes of a detector in every frame, and which frames are looked at at which rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.tracking_scores import TrackedFrame
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import crop_people
from edge_runtime.engine.engine import Engine
from edge_runtime.people.detector import Detection, Detector

_MOST_STARTS = 13  # so many sequences that start at different frames tell no more than a few
_TRUTH = ".gt.txt"


@dataclass(frozen=True)
class ClipFrame:
    """A picture, what a detector found in it, descriptors of that, (N, D) unit rows, and who really was there."""

    pixels: Nv12
    detections: tuple[Detection, ...]
    descriptors: NDArray[np.float32]
    truth: TrackedFrame


@dataclass(frozen=True)
class Clip:
    """All frames of a clip, evenly spaced."""

    name: str
    fps: float
    frames: tuple[ClipFrame, ...]

    def rates(self, wanted: list[float]) -> list[float]:
        """The rates that are not above the clip's own, with its own for the first that is."""
        return [self.fps] * any(rate >= self.fps for rate in wanted) + [rate for rate in wanted if rate < self.fps]

    def looks(self, rate: float) -> list[list[int]]:
        """Frames that are looked at at so many per second: sequences that start at each of the first frames."""
        step = self.fps / rate
        starts = range(0, ceil(step), max(1, ceil(step) // _MOST_STARTS))
        return [
            [start + int(n * step + 1e-9) for n in range(int((len(self.frames) - 1 - start) / step) + 1)]
            for start in starts
        ]


@dataclass(frozen=True)
class ClipLook:
    """One look at a clip, so many seconds after the first."""

    time_s: float
    frame: ClipFrame


@dataclass(frozen=True)
class LookSequence:
    """Looks at one clip at one rate. name: of the clip."""

    name: str
    rate: float
    looks: tuple[ClipLook, ...]


def as_sequences(clip: Clip, rate: float) -> list[LookSequence]:
    """The looks at a clip at one rate, starting at different frames."""
    return [
        LookSequence(
            clip.name, rate, tuple(ClipLook((number - frames[0]) / clip.fps, clip.frames[number]) for number in frames)
        )
        for frames in clip.looks(rate)
    ]


def find_clips(folder: Path) -> list[tuple[Path, Path]]:
    """Each clip of a folder with its true tracks: NAME.webm (or any video) beside NAME.gt.txt in MOTChallenge's form.

    Raises:
        ConfigError: there is no such pair.
    """
    truths = sorted(folder.glob(f"*{_TRUTH}"))
    if not truths:
        raise ConfigError(f"expected clips with true tracks in {folder}, NAME.webm beside NAME{_TRUTH}; found none")
    return [(_find_video(truth), truth) for truth in truths]


def read_clips(folder: Path, *, detector: Detector, engine: Engine) -> list[Clip]:
    """Look at every frame of the clips of a folder, see `find_clips`.

    Raises:
        ConfigError: there is none, or a file cannot be read.
    """
    return [_read_clip(video, truth, detector=detector, engine=engine) for video, truth in find_clips(folder)]


def _find_video(truth: Path) -> Path:
    name = truth.name.removesuffix(_TRUTH)
    videos = [path for path in truth.parent.glob(f"{name}.*") if path.suffix in (".webm", ".mp4", ".avi")]
    if not videos:
        raise ConfigError(f"expected a video {name}.webm, .mp4 or .avi beside {truth}, found none")
    return videos[0]


def _read_clip(video: Path, truth: Path, *, detector: Detector, engine: Engine) -> Clip:
    rows = np.loadtxt(truth, delimiter=",", ndmin=2)
    capture = cv2.VideoCapture(str(video))
    fps = float(capture.get(cv2.CAP_PROP_FPS))
    frames = tuple(
        _look(pixels, rows[rows[:, 0] == number], detector=detector, engine=engine)
        for number, pixels in enumerate(_pixels(capture), start=1)
    )
    if not frames or fps <= 0:
        raise ConfigError(f"OpenCV cannot decode {video}: expected a video, found {len(frames)} frames at {fps:g} fps")
    return Clip(video.stem, fps, frames)


def _pixels(capture: cv2.VideoCapture) -> Iterator[Nv12]:
    while True:
        is_read, pixels = capture.read()
        if not is_read:
            return
        yield as_nv12(pixels)


def as_nv12(pixels: NDArray[np.uint8]) -> Nv12:
    """A picture as a camera gives it. pixels: (H, W, 3) uint8, BGR; H and W are even."""
    height_px, width_px = pixels.shape[:2]
    planes = cv2.cvtColor(pixels, cv2.COLOR_BGR2YUV_I420)
    chroma = planes[height_px:].reshape(2, height_px // 2, width_px // 2)
    return Nv12(planes[:height_px], np.ascontiguousarray(chroma.transpose(1, 2, 0)))


def _look(pixels: Nv12, rows: NDArray[np.float64], *, detector: Detector, engine: Engine) -> ClipFrame:
    """rows: (N, 6 or more) of frame, id, left, top, width, height."""
    detections = tuple(detector.detect(pixels))
    spec = engine.manifest.input
    crops = crop_people(
        pixels,
        [detection.box for detection in detections],
        height_px=spec.height_px,
        width_px=spec.width_px,
        rule=spec.resize,
    )
    descriptors = engine.describe(crops) if detections else np.zeros((0, engine.manifest.descriptor.length), np.float32)
    truth = TrackedFrame(
        rows[:, 1].astype(np.int64), np.concatenate([rows[:, 2:4], rows[:, 2:4] + rows[:, 4:6]], axis=1)
    )
    return ClipFrame(pixels, detections, descriptors, truth)
