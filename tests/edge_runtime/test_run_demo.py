"""The demo's first words; `make demo` and the wheel's test run it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime import run_demo
from edge_runtime.contract.errors import ConfigError, StreamError
from edge_runtime.demo.clip_cameras import empty_street, split_clip
from edge_runtime.demo.walks_picture import WalkedTrack, draw_walks


def test_typed_bare_it_names_a_source(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, a command with a source that may be at hand, and where to read on."""
    with pytest.raises(SystemExit) as ended:
        run_demo.main([])
    purpose, shortest, next_step = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert "on one machine" in purpose
    assert shortest.split(" --source ")[1]
    assert "edge_runtime/README.md" in next_step


@pytest.mark.parametrize("picture", ["walks.gif", "nowhere/walks.png"])
def test_a_picture_that_cannot_be_written_is_refused_first(picture: str) -> None:
    """Not after a minute."""
    with pytest.raises(ConfigError, match=r"expected --picture to be a \.png or \.jpg file"):
        run_demo.main(["--source", "clip.avi", "--picture", picture])


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


def test_each_person_has_one_colour_before_both_cameras(tmp_path: Path) -> None:
    """Two people: one walks past both cameras, the other past one; nobody's colour is another's."""
    street = np.full((90, 160, 3), 128, np.uint8)
    feet = np.array([(0.2, 0.8), (0.8, 0.8)], np.float32)
    tracks = [
        WalkedTrack("left", "one", 0, 5_000_000_000, feet),
        WalkedTrack("right", "one", 6_000_000_000, 9_000_000_000, feet),
        WalkedTrack("left", "other", 2_000_000_000, 4_000_000_000, feet - 0.3),
    ]
    draw_walks(tmp_path / "walks.png", {"left": street, "right": street}, tracks=tracks)
    picture = cv2.imread(str(tmp_path / "walks.png"))
    left, right = np.split(picture[:400], [picture.shape[1] // 2], axis=1)
    strong = [
        {tuple(one) for one in half[(half.max(2).astype(int) - half.min(2)) > 100].reshape(-1, 3).tolist()}
        for half in (left, right)
    ]
    assert strong[0] & strong[1], "the person before both cameras"
    assert strong[0] - strong[1], "the other one"
