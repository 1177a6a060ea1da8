"""Whether two detectors find the same people in the frames of a video."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box

_SAME_PERSON = 0.5


@dataclass(frozen=True)
class Found:
    """One person whom a detector found."""

    box: Box
    score: float


@dataclass(frozen=True)
class PersonPair:
    """The same person, found by two detectors. overlap: IoU of the boxes. score_change: of the second one."""

    overlap: float
    score_change: float


def match_people(expected: Sequence[Sequence[Found]], found: Sequence[Sequence[Found]]) -> list[PersonPair]:
    """Pairs of people, frame by frame, whose boxes overlap by half and more; each is in one pair at most."""
    pairs: list[PersonPair] = []
    for first, second in zip(expected, found, strict=True):
        overlaps = [(_overlap(a.box, b.box), i, j) for i, a in enumerate(first) for j, b in enumerate(second)]
        taken: tuple[set[int], set[int]] = (set(), set())
        for overlap, i, j in sorted(overlaps, reverse=True):
            if overlap >= _SAME_PERSON and i not in taken[0] and j not in taken[1]:
                taken[0].add(i)
                taken[1].add(j)
                pairs.append(PersonPair(overlap, second[j].score - first[i].score))
    return pairs


def share_found(expected: Sequence[Sequence[Box]], found: Sequence[Sequence[Box]]) -> float:
    """Share of the expected boxes, frame by frame, that overlap a found one by half; 1 where none are expected."""
    hits = [
        any(_overlap(box, other) >= _SAME_PERSON for other in others)
        for boxes, others in zip(expected, found, strict=True)
        for box in boxes
    ]
    return sum(hits) / len(hits) if hits else 1.0


def read_frames(video: Path, count: int, *, size_px: tuple[int, int] | None = None) -> list[Nv12]:
    """Frames spread over a video, as a decoder gives them. size_px: cut to its shape in the middle and resized to it.

    Raises:
        DataError: the video cannot be read, or has fewer frames.
    """
    clip = cv2.VideoCapture(str(video))
    total = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(0, max(0, total - 1), count).astype(int).tolist())
    frames: list[Nv12] = []
    for number in range(total):
        if clip.grab() and number in wanted:
            pixels = np.asarray(clip.retrieve()[1], np.uint8)
            frames.append(_as_nv12(_cut(pixels, size_px or (len(pixels) // 2 * 2, pixels.shape[1] // 2 * 2))))
    if len(frames) < count:
        raise DataError(f"expected a video of at least {count} frames at {video}, found {len(frames)}; give another")
    return frames


def _cut(pixels: NDArray[np.uint8], size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """The largest part in the middle that has the shape of size_px, at that size."""
    height_px, width_px = pixels.shape[:2]
    zoom = max(size_px[0] / height_px, size_px[1] / width_px)
    rows, columns = round(size_px[0] / zoom), round(size_px[1] / zoom)
    top, left = (height_px - rows) // 2, (width_px - columns) // 2
    part = pixels[top : top + rows, left : left + columns]
    return np.asarray(cv2.resize(part, (size_px[1], size_px[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def _as_nv12(bgr: NDArray[np.uint8]) -> Nv12:
    """OpenCV's planes in the order of NV12."""
    height_px, width_px = bgr.shape[:2]
    planes = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    chroma = planes[height_px:].reshape(2, height_px // 2, width_px // 2).transpose(1, 2, 0)
    return Nv12(np.ascontiguousarray(planes[:height_px]), np.ascontiguousarray(chroma))
