"""How often cameras are looked at: chosen by arrival, shared fairly, and judged."""

import pytest

from edge_runtime.streams import pace as pace_module
from edge_runtime.streams.pace import CameraPace, LookRates, choose_next


class Clock:
    """Stands for the monotonic clock, which no test can set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1000.0
        monkeypatch.setattr(pace_module.time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that stands still until a test sets it."""
    return Clock(monkeypatch)


def looked_at(pace: CameraPace, arrivals_s: list[float]) -> list[float]:
    """Which of these frames are looked at, by workers that are always free."""
    chosen = []
    for arrival_s in arrivals_s:
        if pace.is_due(arrival_s):
            pace.note_begin(arrival_s)
            chosen.append(arrival_s)
    return chosen


@pytest.mark.parametrize(("frames_per_s", "max_fps"), [(15, 10), (30, 10), (25, 2), (12.5, 10), (60, 0.5)])
def test_no_more_frames_are_looked_at_than_asked_for(frames_per_s: float, max_fps: float) -> None:
    """Over any time that many per second, to within the two with which the counting starts; and no fewer."""
    seconds = 20
    arrivals_s = [1000 + number / frames_per_s for number in range(int(seconds * frames_per_s))]
    chosen = len(looked_at(CameraPace(max_fps), arrivals_s))
    assert seconds * max_fps - 1 <= chosen <= seconds * max_fps + 2


def test_frames_that_come_a_little_early_are_not_missed() -> None:
    """A camera of just 10 frames per second with jitter: every frame is looked at."""
    arrivals_s = [1000 + number / 10 + (0.03 if number % 3 else -0.03) for number in range(100)]
    assert looked_at(CameraPace(10), arrivals_s) == arrivals_s


def run_for(pace: CameraPace, clock: Clock, *, seconds: int, looks_per_s: int, busy_s: float = 0.1) -> list[bool]:
    """Give a camera that gives 15 frames per second so many looks, and judge once a second."""
    changes = []
    for _ in range(seconds):
        for _ in range(looks_per_s):
            clock.now_s += 1 / looks_per_s
            pace.note_look(busy_s)
        changes.append(pace.judge(is_live=True, frames_per_s=15))
    return changes


def test_a_camera_that_gets_one_of_ten_looks_is_too_slow_until_it_gets_them(clock: Clock) -> None:
    """One change of the verdict each way, however long it lasts."""
    pace = CameraPace(10)
    assert sum(run_for(pace, clock, seconds=30, looks_per_s=1)) == 1
    assert pace.is_too_slow
    assert pace.rates.wanted == 10
    assert str(LookRates(10, 1)) == "1.0 of 10 looks/s"
    run_for(pace, clock, seconds=30, looks_per_s=10)
    assert not pace.is_behind
    assert not pace.is_too_slow
    assert pace.mean_rates().got == pytest.approx(330 / 60, abs=0.3)


def test_few_looks_are_no_fault_where_no_more_are_wanted(clock: Clock) -> None:
    """The user asked for one look per second, or the camera gives one frame per second."""
    asked, slow_camera = CameraPace(1), CameraPace(10)
    run_for(asked, clock, seconds=30, looks_per_s=1)
    for _ in range(30):
        clock.now_s += 1
        slow_camera.note_look(0.1)
        slow_camera.judge(is_live=True, frames_per_s=1.0)
    for pace in (asked, slow_camera):
        assert (pace.rates.wanted, pace.is_behind) == (1, False)


def test_a_camera_that_is_away_wants_nothing(clock: Clock) -> None:
    """It is the camera's fault, and not this machine's."""
    pace = CameraPace(10)
    run_for(pace, clock, seconds=20, looks_per_s=1)
    assert pace.judge(is_live=False, frames_per_s=15)
    assert (pace.is_too_slow, pace.rates) == (False, LookRates(0.0, 0.0))


def test_the_camera_that_used_the_least_time_for_its_wish_is_next(clock: Clock) -> None:
    """Twice the wish, twice the time."""
    first, second, double = CameraPace(5), CameraPace(5), CameraPace(10)
    first.note_look(0.3)
    second.note_look(0.2)
    double.note_look(0.3)
    everyone = [first, second, double]
    assert choose_next(everyone, everyone, workers=1) is double
    assert choose_next([first, second], everyone, workers=1) is second
    assert choose_next([], everyone, workers=1) is None


def test_a_heavy_camera_waits_while_light_ones_get_too_few_looks(clock: Clock) -> None:
    """But keeps half of an even share, and everything that the others leave."""
    heavy, light = CameraPace(10), CameraPace(10)
    everyone = [heavy, light]
    run_for(light, clock, seconds=10, looks_per_s=5)
    heavy.note_look(1.0)
    assert choose_next([heavy], everyone, workers=1) is heavy  # 1 s of its half of 5 s
    for _ in range(4):
        heavy.note_look(1.0)
    assert choose_next([heavy], everyone, workers=1) is None
    run_for(light, clock, seconds=10, looks_per_s=10)
    for _ in range(6):
        heavy.note_look(1.0)
    assert choose_next([heavy], everyone, workers=1) is heavy  # the light one has all it wants


def test_equally_heavy_cameras_do_not_wait_for_each_other(clock: Clock) -> None:
    """All get too few looks; no worker must be idle."""
    everyone = [CameraPace(10) for _ in range(4)]
    for _ in range(12):
        for pace in everyone:
            clock.now_s += 0.5
            pace.note_look(1.0)
            pace.judge(is_live=True, frames_per_s=15)
    assert all(pace.is_too_slow for pace in everyone)
    assert all(choose_next([pace], everyone, workers=2) is pace for pace in everyone)


def share_of_looks(clock: Clock, costs_s: list[float], *, workers: int, seconds: float = 40.0) -> list[float]:
    """Run cameras of 15 frames per second, of which 10 are wanted, for a while of the clock's time.

    costs_s: seconds of a worker that a look at each takes. Returns the looks per second of each in the last 20 s.
    """
    paces = [CameraPace(10) for _ in costs_s]
    begun: dict[CameraPace, float] = {}  # what is in work, and when it will be done
    looks, start_s, verdict_s = [0] * len(paces), clock.now_s, clock.now_s
    while clock.now_s < start_s + seconds:
        clock.now_s += 0.005
        for pace in [pace for pace, done_s in begun.items() if done_s <= clock.now_s + 1e-6]:
            del begun[pace]
            pace.note_look(costs_s[paces.index(pace)])
            looks[paces.index(pace)] += clock.now_s > start_s + seconds - 20
        newest_s = start_s + int((clock.now_s - start_s) * 15) / 15
        waiting = [pace for pace in paces if pace not in begun and pace.is_due(newest_s)]
        while waiting and len(begun) < workers and (chosen := choose_next(waiting, paces, workers=workers)):
            waiting.remove(chosen)
            chosen.note_begin(newest_s)
            begun[chosen] = clock.now_s + costs_s[paces.index(chosen)]
        if clock.now_s >= verdict_s + 1:
            verdict_s = clock.now_s
            for pace in paces:
                pace.judge(is_live=True, frames_per_s=15)
    return [number / 20 for number in looks]


def test_sixteen_small_cameras_beside_a_heavy_one_keep_nine_of_ten_looks(clock: Clock) -> None:
    """Fifteen small ones want 1.5 of two workers; one look at the heavy one takes as long as thirty of theirs."""
    heavy, *small = share_of_looks(clock, [0.3, *[0.01] * 15], workers=2)
    assert min(small) >= 9
    assert heavy >= 0.5, "it gets what they leave"


def test_sixteen_equal_cameras_share_evenly_when_there_is_too_little_for_all(clock: Clock) -> None:
    """They want 3.2 of two workers."""
    looks = share_of_looks(clock, [0.02] * 16, workers=2)
    assert sum(looks) > 75, "no worker is idle"
    assert max(looks) - min(looks) <= 1
