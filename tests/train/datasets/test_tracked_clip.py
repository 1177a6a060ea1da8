"""People are cut out of a clip by its ground truth, and a second of a clip counts as a camera."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from train.datasets.tracked_clip import TrackedClip, read_tracked_clips

FRAMES, PER_SECOND, SIZE = 17, 8, (48, 64)
COLOURS = {7: (200, 40, 40), 9: (40, 200, 40)}
"""Two people, each of one colour (blue, green, red); person 9 walks to the right and out of the frame."""


def write_clip(folder: Path, *, frames: int = FRAMES, rows: str | None = None) -> TrackedClip:
    """Two coloured rectangles on black, and where they are."""
    video, truth = folder / "clip.avi", folder / "gt.txt"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), PER_SECOND, SIZE[::-1])
    lines = []
    for frame in range(1, frames + 1):
        image = np.zeros((*SIZE, 3), np.uint8)
        for person, left in ((7, 4), (9, 20 + 3 * frame)):
            image[8:40, left : left + 16] = COLOURS[person]
            lines.append(f"{frame},{person},{left},8,16,32,1,-1,-1,-1")
        writer.write(image)
    writer.release()
    truth.write_text("\n".join(lines) if rows is None else rows)
    return TrackedClip(video, truth)


def test_every_fourth_frame_gives_the_people_that_are_inside_it(tmp_path: Path) -> None:
    """Frames 1, 5, 9, 13, 17; person 9 is outside from frame 10 on. Query and gallery are the same crops."""
    data = read_tracked_clips([write_clip(tmp_path)], crops=tmp_path, name="street", terms="none")
    assert data.query == data.gallery
    assert data.train == ()
    found = [(sample.identity, sample.camera_id) for sample in data.query]
    assert found == [(1, 0), (2, 0), (1, 0), (2, 0), (1, 1), (2, 1), (1, 1), (1, 2)]
    for sample in data.query:
        crop = cv2.imread(str(sample.path))
        assert crop is not None
        assert crop.shape == (32, 16, 3)
        wanted = COLOURS[7 if sample.identity == 1 else 9]
        assert np.abs(crop[4:-4, 4:-4].astype(int) - wanted).max() < 30  # what JPEG changes


def test_people_and_seconds_of_another_clip_are_others(tmp_path: Path) -> None:
    """Numbers go on where the clip before ended."""
    clip = write_clip(tmp_path)
    data = read_tracked_clips([clip, clip], crops=tmp_path, name="street", terms="none")
    assert {sample.identity for sample in data.query} == {1, 2, 3, 4}
    assert {sample.camera_id for sample in data.query if sample.identity > 2} == {3, 4, 5}
    assert len({sample.path for sample in data.query}) == len(data.query) == 16


def test_boxes_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    """A seventh column of 0 says so; without it all count."""
    rows = "1,7,4,8,16,32,1\n9,7,4,8,16,32,0\n9,9,4,8,16,32\n"
    data = read_tracked_clips([write_clip(tmp_path, rows=rows)], crops=tmp_path, name="street", terms="none")
    assert [(sample.identity, sample.camera_id) for sample in data.query] == [(1, 0), (2, 1)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1,7,4,8,16", "expected frame, person, left, top, width, height in line 1 of .*gt.txt, found '1,7,4,8,16'"),
        ("", "expected boxes of people in .*gt.txt, found none"),
        ("40,7,4,8,16,32", r"names frame 18, but .*clip\.avi has only 17"),
        ("1,7,4,8,16,32", r"expected people in two seconds of .*clip\.avi or more"),
    ],
)
def test_a_ground_truth_that_does_not_fit_is_refused(tmp_path: Path, rows: str, said: str) -> None:
    """One sentence says what was expected and found."""
    with pytest.raises(DataError, match=said):
        read_tracked_clips([write_clip(tmp_path, rows=rows)], crops=tmp_path, name="street", terms="none")


def test_a_missing_video_is_refused(tmp_path: Path) -> None:
    """The path is named."""
    clip = TrackedClip(tmp_path / "none.avi", write_clip(tmp_path).ground_truth)
    with pytest.raises(DataError, match=r"expected a video at .*none\.avi"):
        read_tracked_clips([clip], crops=tmp_path, name="street", terms="none")
