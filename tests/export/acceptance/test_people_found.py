"""People of two detectors compared, on the frames of a video."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from export.acceptance.people_found import read_frames, share_found


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Four frames of noise."""
    path = tmp_path / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    random = np.random.default_rng(0)
    for _ in range(4):
        writer.write(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def test_people_are_the_same_from_half_an_overlap_on() -> None:
    """Frame by frame; a box elsewhere, or in another frame, does not count."""
    one, half, other = (0.0, 0.0, 10.0, 20.0), (0.0, 0.0, 10.0, 10.0), (6.0, 0.0, 16.0, 20.0)
    assert share_found([[one], [one]], [[half], [other]]) == 0.5
    assert share_found([[one], []], [[], [one]]) == 0
    assert share_found([[], []], [[one], []]) == 1


def test_a_video_that_is_too_short_is_refused(tmp_path: Path, video: Path) -> None:
    """So is one that is none."""
    with pytest.raises(DataError, match=r"at least 5 frames at .*noise\.avi, found 4"):
        read_frames(video, 5, size_px=(48, 64))
    with pytest.raises(DataError, match="found 0"):
        read_frames(tmp_path / "none.avi", 5, size_px=(48, 64))


def test_frames_are_cut_to_a_shape_and_not_squeezed(tmp_path: Path, video: Path) -> None:
    """48 x 64 pixels at 36 x 64 are the rows in the middle; without a size they stay whole."""
    whole, cut = read_frames(video, 4)[0], read_frames(video, 4, size_px=(36, 64))[0]
    assert whole.luma.shape == (48, 64)
    assert whole.chroma.shape == (24, 32, 2)
    assert np.abs(cut.luma.astype(int) - whole.luma[6:42]).max() <= 1
