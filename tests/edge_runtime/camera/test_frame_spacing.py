"""The rate of a camera by its time stamps."""

import pytest

from edge_runtime.camera.frame_spacing import FrameSpacing


def test_the_rate_is_that_of_the_latest_frames() -> None:
    """Unknown before the second frame; a camera that changes its rate is told within 30 frames."""
    spacing = FrameSpacing()
    assert spacing.frames_per_s() == 0
    times_ns = [number * 40_000_000 for number in range(50)]
    times_ns += [times_ns[-1] + number * 100_000_000 for number in range(1, 40)]
    rates = []
    for time_ns in times_ns:
        spacing.note(time_ns)
        rates.append(spacing.frames_per_s())
    assert rates[0] == 0
    assert rates[49] == pytest.approx(25)
    assert rates[-1] == pytest.approx(10)


def test_time_stamps_that_jump_back_start_it_again() -> None:
    """A camera that restarts its clock has no negative rate."""
    spacing = FrameSpacing()
    for time_ns in (10**12, 10**12 + 10**8, 0, 10**8):
        spacing.note(time_ns)
    assert spacing.frames_per_s() == pytest.approx(10)
