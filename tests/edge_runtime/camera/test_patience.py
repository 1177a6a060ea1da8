"""How long a camera may be silent, and when it is asked again; on a clock that the tests turn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.camera import patience as patience_module
from edge_runtime.camera.patience import Patience, retry_delay_s


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        """What a test has set."""
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the module under test."""
    clock = Clock()
    monkeypatch.setattr(patience_module, "time", clock)
    return clock


def give_frames(patience: Patience, clock: Clock, *, gaps_s: list[float]) -> bool:
    """Give a frame after each gap; whether the camera never counted as lost meanwhile."""
    was_kept = True
    for gap_s in gaps_s:
        clock.now_s += gap_s
        was_kept &= patience.silence_s() <= patience.lost_after_s()
        patience.note_frame()
    return was_kept


def live_patience() -> Patience:
    """Of a camera, with the daemon's limits."""
    return Patience(is_live=True, stall_s=3.0, retry_cap_s=5.0)


def test_a_camera_with_a_frame_every_eight_seconds_is_never_lost(clock: Clock) -> None:
    """As some send at night; without knowing it before."""
    patience = live_patience()
    patience.note_connection()
    assert give_frames(patience, clock, gaps_s=[8.0] * 10)
    clock.now_s += 33
    assert patience.silence_s() > patience.lost_after_s(), "but when it is really gone"


def test_a_camera_that_sends_fewer_frames_from_dusk_on_is_asked_anew_once(clock: Clock) -> None:
    """15 frames per second, then one in 8 seconds."""
    patience, connections = live_patience(), 1
    patience.note_connection()
    assert give_frames(patience, clock, gaps_s=[1 / 15] * 100)
    for _ in range(20):
        if not give_frames(patience, clock, gaps_s=[8.0]):
            patience.note_silence()
            patience.note_connection()
            connections += 1
    assert connections == 2


def test_frequent_frames_that_stop_are_noticed_soon(clock: Clock) -> None:
    """After 3 s the camera is stalled, after 6 s lost; one late frame changes nothing."""
    patience = live_patience()
    patience.note_connection()
    assert give_frames(patience, clock, gaps_s=[0.1, 0.1, 0.1, 5.0, 0.1])
    assert (patience.stalled_after_s(), patience.lost_after_s()) == (3.0, 6.0)


def test_a_camera_with_one_frame_a_minute_is_learned_after_some_attempts(clock: Clock) -> None:
    """Each connection that gave a single frame is followed by one that may be silent for twice as long."""
    patience, connections = live_patience(), 0
    while connections < 9:
        patience.note_connection()
        connections += 1
        patience.note_frame()
        clock.now_s += 60
        if patience.silence_s() <= patience.lost_after_s():
            break
        patience.note_silence()
    assert connections == 3


def test_a_camera_that_closes_after_a_moment_is_asked_less_and_less(clock: Clock) -> None:
    """Eight times a minute or so instead of once a second; one that has lasted is asked again at once."""
    patience, pauses_s = live_patience(), []
    for _ in range(8):
        patience.note_connection()
        give_frames(patience, clock, gaps_s=[0.1, 0.1])
        pauses_s.append(patience.pause_s(is_refused=False))
    assert pauses_s[0] <= 1 < 2.5 <= min(pauses_s[3:])
    assert max(pauses_s) <= 5
    patience.note_connection()
    give_frames(patience, clock, gaps_s=[0.1] * 200)
    assert patience.pause_s(is_refused=False) <= 1


def test_a_refusal_is_followed_by_a_minute(clock: Clock) -> None:
    """More often would look like an attack."""
    assert live_patience().pause_s(is_refused=True) == 60


@given(failures=st.integers(1, 10_000), cap_s=st.floats(0.1, 60), chance=st.floats(0, 1, exclude_max=True))
def test_retries_wait_longer_up_to_the_cap(failures: int, cap_s: float, chance: float) -> None:
    """A delay is at least half its longest, never above the cap, and the first one is at most 1 s."""
    longest_s = min(cap_s, 2.0 ** min(failures - 1, 10))
    assert longest_s / 2 <= retry_delay_s(failures, cap_s=cap_s, chance=chance) <= longest_s
