"""The soak's arithmetic: a line through noisy figures, and a clip that does not end."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import soak
from benchmarks.soak import Sizes, fit_slope, main, play_again_and_again


def test_a_growth_is_found_with_an_interval_that_holds_it() -> None:
    """10 MiB a day under noise of a MiB, over six hours; in most of many trials, as an interval of 95 % should."""
    draw = np.random.default_rng(0)
    at_s = np.arange(0.0, 6 * 3600, 10.0)
    held = 0
    for _ in range(200):
        slope = fit_slope(list(at_s), list(200 + 10 * at_s / 86_400 + draw.normal(size=len(at_s))))
        assert slope.low < slope.per_day < slope.high
        held += slope.low <= 10 <= slope.high
    assert 180 <= held <= 199


def test_only_what_is_proven_is_a_growth() -> None:
    """Noise alone has an interval around 0; threads that come and go are none."""
    flat = [Sizes(float(second), 200.0 + second % 4, 20 + second % 3, 30) for second in range(0, 120, 2)]
    slope = fit_slope([one.at_s for one in flat], [one.resident_mib for one in flat])
    assert all(bar["is_met"] for bar in soak._bars(flat, slope))
    grown = [Sizes(one.at_s, one.resident_mib, one.threads, 30 + int(one.at_s) // 60) for one in flat]
    assert [bar["is_met"] for bar in soak._bars(grown, slope)] == [True, True, False]


def test_a_short_clip_is_played_again(tmp_path: Path) -> None:
    """As often as it takes."""
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 64))
    for shade in (0, 120, 240):
        writer.write(np.full((64, 96, 3), shade, np.uint8))
    writer.release()
    play_again_and_again(clip, tmp_path / "long.avi", seconds=1.4)
    reader = cv2.VideoCapture(str(tmp_path / "long.avi"))
    shades = []
    while (found := reader.read())[0]:
        shades.append(round(found[1].mean() / 120) * 120)
    assert shades == [0, 120, 240, 0, 120, 240, 0]


def test_a_wrong_request_is_one_sentence(tmp_path: Path) -> None:
    """Before anything runs."""
    with pytest.raises(Exception, match="--minutes above 0"):
        main(["--minutes", "0", "--output", str(tmp_path / "soak.json")])
