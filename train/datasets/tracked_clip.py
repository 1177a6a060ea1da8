"""Clips with ground truth of who is where, as MOTChallenge publishes them, read as people to find again."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import Box, pixel_box
from train.datasets.samples import ReidData, Sample

_EVERY = 4


@dataclass(frozen=True)
class TrackedClip:
    """A video, and a text file with a line `frame, person, left, top, width, height, ...` per box; frames from 1."""

    video: Path
    ground_truth: Path


@dataclass(frozen=True)
class _Line:
    """One box of the ground truth."""

    frame: int
    person: int
    box: Box


def read_tracked_clips(clips: Sequence[TrackedClip], *, crops: Path, name: str, terms: str) -> ReidData:
    """Cut the people out of every fourth frame and look for each crop among all others.

    A camera is one second of one clip: a crop is not looked for in its own second, where its neighbours are nearly the
    same picture. Only boxes that lie inside the frame count. People of different clips are different people.

    crops: a folder, where the crops are written as PNG files.

    Raises:
        DataError: a file is missing or damaged, the ground truth does not fit the video, or nobody can be looked for.
    """
    samples: list[Sample] = []
    for number, clip in enumerate(clips):
        first = max((sample.identity for sample in samples), default=0)
        second = max((sample.camera_id for sample in samples), default=-1) + 1
        samples += _cut(clip, crops, number=number, first=first, second=second)
    if len({sample.camera_id for sample in samples}) < 2:
        raise DataError(
            f"expected people in two seconds of {', '.join(str(clip.video) for clip in clips)} or more, found none"
        )
    return ReidData(name, terms, (), tuple(samples), tuple(samples))


def _cut(clip: TrackedClip, crops: Path, *, number: int, first: int, second: int) -> list[Sample]:
    """The crops of one clip. first, second: added to its people and its seconds, which count from 1 and from 0."""
    lines = _read_lines(clip.ground_truth)
    people = {person: first + place for place, person in enumerate(sorted({line.person for line in lines}), start=1)}
    video = cv2.VideoCapture(str(clip.video))
    if not video.isOpened():
        raise DataError(f"expected a video at {clip.video}, found none that OpenCV can read")
    per_second = max(1, round(video.get(cv2.CAP_PROP_FPS)))
    samples: list[Sample] = []
    for frame in range(1, max(line.frame for line in lines) + 1):
        is_read, image = video.read()
        if not is_read:
            raise DataError(f"{clip.ground_truth} names frame {frame}, but {clip.video} has only {frame - 1}")
        for line in lines:
            if line.frame == frame and (frame - 1) % _EVERY == 0 and _is_inside(line.box, image):
                path = crops / f"{people[line.person]:04d}_clip{number}_{frame:06d}.png"
                left, top, right, bottom = pixel_box(
                    line.box, frame_height_px=image.shape[0], frame_width_px=image.shape[1]
                )
                cv2.imwrite(str(path), image[top:bottom, left:right])
                samples.append(Sample(path, people[line.person], second + (frame - 1) // per_second))
    return samples


def _is_inside(box: Box, image: NDArray[np.uint8]) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= image.shape[1] and box[3] <= image.shape[0]


def _read_lines(path: Path) -> list[_Line]:
    """The boxes that count: MOTChallenge marks those that do not by a 0 in the seventh column.

    Raises:
        DataError: the file is missing or is no ground truth.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the ground truth {path}: {error}") from error
    lines = []
    for number, row in enumerate(text.splitlines(), start=1):
        try:
            frame, person, left, top, width, height, *rest = (float(value) for value in row.split(","))
        except ValueError as error:
            raise DataError(
                f"expected frame, person, left, top, width, height in line {number} of {path}, found {row[:60]!r}"
            ) from error
        if not rest or rest[0] != 0:
            lines.append(_Line(int(frame), int(person), (left, top, left + width, top + height)))
    if not lines:
        raise DataError(f"expected boxes of people in {path}, found none")
    return lines
