"""Two cameras out of one clip, and the street without its people."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import StreamError
from edge_runtime.demo.clip_cameras import empty_street, split_clip


def write_clip(path: Path, *, frames: int = 40) -> None:
    """A grey street, 160 x 90, whose one walker, a dark bar, crosses it from left to right."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 90))
    for number in range(frames):
        frame = np.full((90, 160, 3), 180, np.uint8)
        left = number * 160 // frames
        frame[30:80, left : left + 8] = 20
        writer.write(frame)
    writer.release()


def test_a_clip_becomes_two_cameras_that_overlap(tmp_path: Path) -> None:
    """Both see the middle, each its own end, and all frames."""
    write_clip(tmp_path / "clip.avi")
    files = split_clip(tmp_path / "clip.avi", tmp_path)
    assert list(files) == ["left", "right"]
    darkest = {}
    for camera, path in files.items():
        capture = cv2.VideoCapture(str(path))
        assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 40
        assert int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)) == 88
        frames = [capture.read()[1] for _ in range(40)]
        darkest[camera] = [bool(frame.min() < 100) for frame in frames]
        capture.release()
    assert darkest["left"][0]
    assert not darkest["right"][0]
    assert darkest["right"][-1]
    assert not darkest["left"][-1]
    assert any(left and right for left, right in zip(darkest["left"], darkest["right"], strict=True))


def test_the_street_is_shown_without_people(tmp_path: Path) -> None:
    """The picture that stays on the user's disk shows nobody."""
    write_clip(tmp_path / "clip.avi")
    assert empty_street(tmp_path / "clip.avi").min() > 150


def test_a_file_that_is_no_clip_is_named(tmp_path: Path) -> None:
    """Before anything starts."""
    (tmp_path / "notes.txt").write_text("no video")
    with pytest.raises(StreamError, match=r"expected a clip that OpenCV can read, found .*notes\.txt"):
        split_clip(tmp_path / "notes.txt", tmp_path)
