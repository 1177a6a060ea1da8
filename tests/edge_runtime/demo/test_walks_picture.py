"""The picture of who walked where."""

from pathlib import Path

import cv2
import numpy as np

from edge_runtime.demo.walks_picture import WalkedTrack, draw_walks


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
