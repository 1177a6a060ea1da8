"""A source over a real RTSP server that is stopped, frozen, locked by a password, and started again."""

import hashlib
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from edge_runtime.camera import patience as patience_module
from edge_runtime.camera.address import Trust
from edge_runtime.camera.frame import Frame
from edge_runtime.camera.player import Gst
from edge_runtime.camera.source import CameraSource
from tests.edge_runtime.camera.conftest import MakeCamera, MakeClip, wait_for, wait_until_live
from tests.support.mqtt_broker import Secrets
from tests.support.rtsp_camera import RtspCamera, free_port


def read_until(source: CameraSource, is_wanted: Callable[[Frame], bool], *, timeout_s: float = 20.0) -> Frame:
    """Read frames until one is as wanted."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        frame = source.read(1.0)
        if frame is not None and is_wanted(frame):
            return frame
    raise AssertionError(f"no such frame within {timeout_s} s: {source.status()}")


def test_frames_flow_again_after_the_camera_was_unplugged(
    make_camera: MakeCamera, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera that comes back is used again within 10 s, and its loss and return are one log line each."""
    caplog.set_level(logging.INFO)
    camera = make_camera()
    with CameraSource(camera.uri, camera_id="gate") as source:
        wait_until_live(source, timeout_s=15.0)
        camera.kill()
        wait_for(source, lambda status: status.state == "reconnecting")
        time.sleep(3.0)  # several tries fail meanwhile
        seen = source.status().frames
        camera.start()
        status = wait_for(source, lambda status: status.frames > seen, timeout_s=10.0)
        assert status.state == "live"
        assert status.reconnects == 1
    assert [message.split(":")[0] for message in caplog.messages[:2]] == ["camera gate live", "camera gate lost"]
    assert len(caplog.messages) == 3
    assert caplog.messages[2].startswith("camera gate back after ")


def test_a_camera_that_hangs_is_stalled_and_comes_back(make_camera: MakeCamera) -> None:
    """Open connections without frames are noticed: first stalled, then given up and tried again."""
    camera = make_camera()
    with CameraSource(camera.uri, camera_id="gate", stall_s=0.7) as source:
        wait_for(source, lambda status: status.frames >= 10)  # then it is known how often they come
        camera.freeze()
        wait_for(source, lambda status: status.state == "stalled")
        wait_for(source, lambda status: status.state == "reconnecting")
        camera.thaw()
        wait_for(source, lambda status: status.state == "live" and status.reconnects == 1)


def test_a_camera_that_is_not_there_yet_is_waited_for(
    make_camera: MakeCamera, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is logged once; the source goes on trying, because a camera may start later than its node."""
    caplog.set_level(logging.INFO)
    camera = make_camera()
    camera.kill()
    with CameraSource(camera.uri, camera_id="gate") as source:
        status = wait_for(source, lambda status: status.reason != "not connected yet")
        assert "connect" in status.reason
        assert source.read() is None
        assert source.status().state == "reconnecting"
        camera.start()
        wait_until_live(source, timeout_s=10.0)
        assert source.status().reconnects == 0
    assert [message.split(":")[0] for message in caplog.messages] == ["camera gate not reached yet", "camera gate live"]


def test_a_stream_that_ends_is_connected_again(make_camera: MakeCamera, make_clip: MakeClip) -> None:
    """A camera should never end: when it closes the stream without a fault, the source connects again."""
    camera = make_camera("--clip", str(make_clip(frames=30)))
    with CameraSource(camera.uri, camera_id="gate") as source:
        status = wait_for(source, lambda status: status.state == "reconnecting" and status.frames > 0)
        assert status.reason == "the camera ended the stream"
        wait_for(source, lambda status: status.reconnects == 1)


def test_the_sound_of_a_camera_is_left_out(make_camera: MakeCamera, caplog: pytest.LogCaptureFixture) -> None:
    """A camera that also sends sound gives pictures at the first attempt."""
    camera = make_camera("--microphone")
    with ExitStack() as stack:
        # Which of the two streams comes first is chance.
        sources = [stack.enter_context(CameraSource(camera.uri, camera_id=f"gate-{n}")) for n in range(6)]
        for source in sources:
            wait_until_live(source, timeout_s=15.0)
    assert not caplog.messages, "no fault on the way"


def test_times_are_the_cameras_own_when_it_tells_them(make_camera: MakeCamera) -> None:
    """Before the first sender report a frame has its arrival time, then the camera's; both lie near now."""
    with CameraSource(make_camera().uri, camera_id="gate") as source:
        first = read_until(source, lambda frame: True)
        now_ns = time.time_ns()
        assert first.time_source == "arrival"
        assert now_ns - first.uncertainty_ns <= first.capture_ns <= now_ns
        if Gst.version() < (1, 22):
            return  # rtspsrc cannot tell the camera's time: arrival is all there is
        told = read_until(source, lambda frame: frame.time_source == "rtcp-ntp")
        assert abs(told.capture_ns - time.time_ns()) < 5e9
        assert told.monotonic_ns <= time.monotonic_ns()
        distance_ns = abs(told.capture_ns - time.time_ns() + time.monotonic_ns() - told.monotonic_ns)
        assert told.uncertainty_ns == pytest.approx(distance_ns, abs=5e6)  # two pairs of clock readings apart


def test_a_slow_reader_of_a_camera_sees_the_newest_frame(make_camera: MakeCamera) -> None:
    """However long the reader was away, the next frame is the newest, and the others were dropped and counted."""
    with CameraSource(make_camera().uri, camera_id="gate") as source:
        count = wait_for(source, lambda status: status.frames >= 20).frames
        frame = source.read()
        assert frame is not None
        assert frame.index >= count - 1
        assert source.status().dropped >= 19


@pytest.mark.parametrize("credentials", ["", "bob:wr0ng@", "bob:@"])
def test_wrong_credentials_are_told_once_and_never_shown(
    make_camera: MakeCamera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, credentials: str
) -> None:
    """A refused password is tried again every minute, and appears in no log and no status."""
    monkeypatch.setattr(patience_module, "_REFUSED_RETRY_S", 0.2)
    caplog.set_level(logging.DEBUG)
    camera = make_camera("--user", "bob", "--password", "s3cret")
    with CameraSource(f"rtsp://{credentials}{camera.address}", camera_id="gate", retry_cap_s=0.2) as source:
        status = wait_for(source, lambda status: status.reason != "not connected yet")
        time.sleep(1.0)
    assert status.state == "reconnecting"
    assert "refuses the user or password given: " in status.reason
    assert "correct the credentials. It is asked again every minute" in status.reason
    assert len(caplog.messages) == 1
    assert not any(secret in f"{status} {caplog.text}" for secret in ("bob", "wr0ng"))


@pytest.mark.parametrize("has_seen_frames", [True, False])
def test_a_camera_that_refuses_while_it_starts_is_asked_again(
    make_camera: MakeCamera, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, has_seen_frames: bool
) -> None:
    """After a power cut it may refuse everybody for a while; node and camera may have started together."""
    monkeypatch.setattr(patience_module, "_REFUSED_RETRY_S", 0.5)
    camera = make_camera("--user", "bob", "--password", "s3cret")
    with ExitStack() as stack:
        source = CameraSource(f"rtsp://bob:s3cret@{camera.address}", camera_id="gate")
        if has_seen_frames:
            stack.enter_context(source)
            wait_until_live(source, timeout_s=15.0)
        camera.kill()
        starting = make_camera("--port", str(camera.port), "--user", "bob", "--password", "factory")
        if not has_seen_frames:
            stack.enter_context(source)
        wait_for(source, lambda status: "refuses the user or password" in status.reason)
        assert source.status().state == "reconnecting"
        time.sleep(1.0)
        starting.kill()
        camera.start()
        wait_for(source, lambda status: status.state == "live")
    assert caplog.text.count("refuses the user or password") == 1, "said once"
    assert "s3cret" not in caplog.text


def test_a_camera_that_sends_over_udp_only_is_used(make_camera: MakeCamera) -> None:
    """TCP is asked for first, since it loses nothing; then what the camera has."""
    with CameraSource(make_camera("--udp-only").uri, camera_id="gate") as source:
        wait_until_live(source, timeout_s=15.0)


def test_a_camera_that_sends_no_pictures_is_named_so(make_camera: MakeCamera) -> None:
    """The address of its sound alone, or a camera whose video is turned off."""
    with CameraSource(make_camera("--sound-only").uri, camera_id="gate") as source:
        status = wait_for(source, lambda status: status.reason != "not connected yet")
    assert status.reason == "the address gives audio and no video; correct it, or turn the camera's video on"


def test_a_stream_that_begins_anew_loses_no_frame(make_camera: MakeCamera) -> None:
    """Some cameras change the SSRC of their stream at any time; the connection and all tracks go on."""
    with CameraSource(make_camera("--new-ssrc").uri, camera_id="gate") as source:
        status = wait_for(source, lambda status: status.frames >= 40)
    assert (status.state, status.reconnects) == ("live", 0)


def test_connections_that_failed_leave_nothing_open(make_camera: MakeCamera, make_clip: MakeClip) -> None:
    """Neither files nor threads: a camera may come and go for years."""
    camera = make_camera("--clip", str(make_clip(frames=3)))

    def is_open() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with CameraSource(camera.uri, camera_id="gate", retry_cap_s=0.1) as source:
        # Where the end of a stream is not told, which happens, a connection ends by its silence alone, after 6 s.
        wait_for(source, lambda status: status.state == "reconnecting" and status.reconnects >= 2, timeout_s=60.0)
        before = is_open()
        wait_for(source, lambda status: status.state == "reconnecting" and status.reconnects >= 10, timeout_s=60.0)
        after = is_open()
    assert after[0] < before[0] + 8, "one connection may be open in either"
    assert after[1] == before[1]


def test_a_camera_with_seldom_frames_is_not_taken_for_lost(make_camera: MakeCamera) -> None:
    """A frame a second, though 0.4 s of silence end a camera with many."""
    with CameraSource(make_camera("--frames-per-s", "1").uri, camera_id="gate", stall_s=0.2) as source:
        wait_until_live(source, timeout_s=15.0)
        status = wait_for(source, lambda status: status.frames >= 5 or status.state != "live")
    assert (status.state, status.reconnects) == ("live", 0)


def test_a_camera_that_closes_after_a_moment_is_logged_once(
    make_camera: MakeCamera, make_clip: MakeClip, caplog: pytest.LogCaptureFixture
) -> None:
    """It comes and goes for ever; that is one state."""
    caplog.set_level(logging.INFO)
    camera = make_camera("--clip", str(make_clip(frames=3)))
    with CameraSource(camera.uri, camera_id="gate", retry_cap_s=0.1) as source:
        wait_for(source, lambda status: status.reconnects >= 6, timeout_s=60.0)
    assert [message.split(":")[0] for message in caplog.messages[:4:3]] == ["camera gate live", "camera gate lost"]
    assert "its return is told when it lasts" in caplog.messages[3]
    assert len(caplog.messages) == 4


@pytest.fixture
def tls_camera(make_camera: MakeCamera, secrets: Secrets, tmp_path: Path) -> RtspCamera:
    """A camera that is reached by rtsps."""
    both = tmp_path / "both.pem"
    both.write_text(secrets.server.read_text() + secrets.server_key.read_text())
    return make_camera("--certificate", str(both))


def fingerprint(certificate: Path) -> str:
    """SHA-256 of a certificate in PEM."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()


def test_a_camera_with_its_own_certificate_is_trusted_when_told_so(tls_camera: RtspCamera, secrets: Secrets) -> None:
    """By the authority that signed it, or by its fingerprint."""
    for trust in (Trust(ca_file=secrets.ca), Trust(fingerprint=fingerprint(secrets.server))):
        with CameraSource(f"rtsps://{tls_camera.address}", camera_id="gate", trust=trust) as source:
            wait_until_live(source, timeout_s=15.0)


def test_a_certificate_that_is_not_trusted_is_named(tls_camera: RtspCamera, secrets: Secrets) -> None:
    """With its fingerprint, so that it can be compared and set; nothing is received meanwhile."""
    found = fingerprint(secrets.server)
    for trust, expected in (
        (Trust(), f"no known authority has signed it; if it is the camera's own, set its `fingerprint: {found}`"),
        (Trust(fingerprint="0" * 64), f"has another fingerprint than expected: sha256 {found}"),
    ):
        with CameraSource(f"rtsps://{tls_camera.address}", camera_id="gate", trust=trust) as source:
            status = wait_for(source, lambda status: status.reason != "not connected yet")
        assert expected in status.reason
        assert status.frames == 0


def test_an_authority_that_cannot_be_read_is_a_final_fault(tls_camera: RtspCamera, tmp_path: Path) -> None:
    """No camera will mend it."""
    trust = Trust(ca_file=tmp_path / "none.pem")
    with CameraSource(f"rtsps://{tls_camera.address}", camera_id="gate", trust=trust) as source:
        status = wait_for(source, lambda status: status.state == "disabled")
    assert "none.pem: expected certificates of authorities in PEM" in status.reason


def test_right_credentials_open_the_camera(make_camera: MakeCamera, caplog: pytest.LogCaptureFixture) -> None:
    """User and password are taken from the URI, percent-decoded, and are not logged."""
    caplog.set_level(logging.DEBUG)
    camera = make_camera("--user", "bob", "--password", "s3 cr/et@")
    with CameraSource(f"rtsp://bob:s3%20cr%2Fet%40@{camera.address}", camera_id="gate") as source:
        wait_until_live(source, timeout_s=15.0)
    assert caplog.messages == [f"camera gate live: rtsp://{camera.address}"]


def test_closing_does_not_wait_for_a_camera_that_never_answers() -> None:
    """A host that takes the connection and stays silent does not hold `close` up for more than 2 s."""
    with socket.create_server(("127.0.0.1", free_port())) as silent:
        source = CameraSource(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/camera", camera_id="silent")
        source.start()
        assert source.read(0.5) is None
        started_s = time.monotonic()
        source.close()
        assert time.monotonic() - started_s < 2.0
        assert "camera-silent" not in [thread.name for thread in threading.enumerate()]
