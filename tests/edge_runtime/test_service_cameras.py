"""Cameras of a running service that fail, come, go and change."""

import threading
import time
from pathlib import Path

import pytest

from edge_runtime import service as service_module
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import StreamError
from edge_runtime.link.messages import CameraStatus
from edge_runtime.link.publisher import Publisher
from edge_runtime.link.wire_format import decode_message
from edge_runtime.streams import stream as stream_module
from tests.support.running_service import ANN, BOB, make_service, run_service, statuses
from tests.support.scripted import ScriptedSource, scripted_stream


def test_a_camera_that_fails_between_two_frames_is_a_fault(publisher: Publisher) -> None:
    """Its tracks are ended and the others go on, though reading never failed; asked to stop, the run ends well."""
    dead, alive = ScriptedSource("door", [ANN]), ScriptedSource("hall")
    rare = scripted_stream(dead, max_fps=0.001)
    service = make_service(publisher, [rare, scripted_stream(alive)])

    def both_have_gone_on() -> bool:
        if dead.frames >= 1 and rare.counts.descriptors >= 1 and dead.told == "live":
            dead.told = "disabled"
            alive.frames = 0
        return dead.told == "disabled" and alive.frames > 20

    run_service(service, until=both_have_gone_on)
    assert statuses(publisher)["door"] == CameraStatus(state="disabled", why="unplugged")
    last = decode_message(publisher.spool.pending(first=2, stop=100, limit=100)[-1].payload, leaf="track")
    assert last.model_dump()["event"] == "end"


def test_a_camera_that_never_existed_stays_disabled(publisher: Publisher, tmp_path: Path) -> None:
    """Its status is never `reconnecting`, since nothing tries to connect."""
    gone = CameraSource(str(tmp_path / "gone.avi"), camera_id="gone")
    alive = ScriptedSource("hall")
    service = make_service(publisher, [scripted_stream(source) for source in (gone, alive)])
    run_service(service, until=lambda: alive.frames > 20)
    told = statuses(publisher)
    assert told["gone"].state == "disabled"
    assert "found nothing" in told["gone"].why
    assert told["hall"].state == "live"
    assert service.live_cameras() == 1


def test_people_are_ended_once_while_their_camera_is_away(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be away for days, and an open track means that a person is in front of the camera."""
    monkeypatch.setattr(service_module, "_STATUS_S", 0.05)
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source)
    service = make_service(publisher, [stream])

    def ends() -> int:
        rows = publisher.spool.pending(first=0, stop=1 << 62, limit=1 << 30)
        tracks = [decode_message(row.payload, leaf="track") for row in rows if row.topic.endswith("/track")]
        return [message.model_dump()["event"] for message in tracks].count("end")

    def camera_is_lost() -> bool:
        if stream.counts.descriptors >= 2 and source.told == "live":
            source.told = "reconnecting"
            time.sleep(0.3)
            assert ends() == 0, "it may come back at once"
            monkeypatch.setattr(stream_module, "_LOST_S", 0.2)
        return ends() > 0

    run_service(service, until=camera_is_lost)
    assert ends() == 2


def test_the_run_is_over_when_every_file_has_ended(publisher: Publisher) -> None:
    """`run` then returns without an error."""
    source = ScriptedSource()
    source.told = "ended"
    make_service(publisher, [scripted_stream(source)]).run(threading.Event())
    assert statuses(publisher)["door"].state == "disabled"


def test_a_run_that_ends_by_itself_with_a_broken_file_is_a_fault(publisher: Publisher, tmp_path: Path) -> None:
    """Nobody has asked it to stop, so whoever started it must learn of the fault."""
    gone, ended = CameraSource(str(tmp_path / "gone.avi"), camera_id="gone"), ScriptedSource("hall")
    ended.told = "ended"
    service = make_service(publisher, [scripted_stream(source) for source in (gone, ended)])
    with pytest.raises(StreamError, match=r"^camera gone: expected a video file at .*gone.avi, found nothing"):
        service.run(threading.Event())


def test_a_camera_that_leaves_ends_its_tracks_and_the_others_are_not_touched(publisher: Publisher) -> None:
    """Its people end, its status says why, and the totals keep what it has seen; the other one's track goes on."""
    leaving, staying, coming = ScriptedSource("a", [ANN]), ScriptedSource("b", [BOB]), ScriptedSource("c", [ANN])
    streams = [scripted_stream(source, every_s=100) for source in (leaving, staying)]
    service = make_service(publisher, streams)
    asked: list[int] = []

    def change() -> None:
        if not asked and all(stream.counts.tracks for stream in streams):
            asked.append(staying.frames)
            service.exchange(leaving=["a"], coming=[scripted_stream(coming, every_s=100)])

    run_service(service, until=lambda: coming.frames > 5 and staying.frames > asked[0] + 5, before_step=change)
    assert [stream.camera_id for stream in service.streams] == ["b", "c"]
    assert streams[0].counts.frames == leaving.frames  # the look that was under way when it left counts, too
    assert service.summary().frames == leaving.frames + sum(stream.counts.frames for stream in service.streams)
    assert service.summary().tracks == 3
    assert statuses(publisher)["a"] == CameraStatus(state="disabled", why="taken out of the configuration")
    rows = publisher.spool.pending(first=0, stop=100, limit=100)
    told = [(row.topic.split("/")[4], decode_message(row.payload, leaf="track").model_dump()["event"]) for row in rows
            if row.topic.endswith("/track")]  # fmt: skip
    assert told.index(("a", "end")) < told.index(("c", "start"))
    assert next(event for camera, event in told if camera == "b") == "start"
    assert [event for camera, event in told if camera == "b"].count("end") == 1


def test_a_camera_that_changes_starts_when_its_old_self_is_closed(publisher: Publisher) -> None:
    """A USB camera can be opened once only."""
    is_closed, may_close = threading.Event(), threading.Event()

    class SlowToClose(ScriptedSource):
        def close(self) -> None:
            assert may_close.wait(10)
            is_closed.set()

    class Counting(ScriptedSource):
        def start(self) -> None:
            assert is_closed.is_set()

    old, new, other = SlowToClose("a"), Counting("a", [ANN]), ScriptedSource("b")
    service = make_service(publisher, [scripted_stream(old), scripted_stream(other)])
    asked: list[int] = []

    def change() -> None:
        if not asked and old.frames:
            asked.append(other.frames)
            service.exchange(leaving=["a"], coming=[scripted_stream(new)])
        elif asked and other.frames > asked[0] + 5:  # it does not wait
            may_close.set()

    run_service(service, until=lambda: new.frames > 5, before_step=change)
    assert [stream.source for stream in service.streams] == [other, new]
