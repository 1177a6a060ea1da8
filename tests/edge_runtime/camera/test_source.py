"""A source over files and local cameras: newest frame, capture times, faults in one sentence."""

import logging
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.camera import catalog
from edge_runtime.camera import source as source_module
from edge_runtime.camera.catalog import parse_address
from edge_runtime.camera.frame import Frame, SourceStatus
from edge_runtime.camera.player import VideoSample
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import StreamError
from tests.edge_runtime.camera.conftest import MakeClip, run_pipeline, wait_for, wait_until_live


def read_all(source: CameraSource) -> list[Frame]:
    """Read until the source says that there is no more."""
    frames = []
    while (frame := source.read(10.0)) is not None:
        frames.append(frame)
    return frames


def test_a_file_gives_every_frame_once_when_it_is_not_paced(make_clip: MakeClip) -> None:
    """If not paced, no frame is dropped, however slow the reader is, and then the file has ended."""
    with CameraSource(str(make_clip(frames=20)), camera_id="gate", paced=False) as source:
        frames = read_all(source)
        assert source.read(0.0) is None
        assert source.status() == SourceStatus("ended", "the file was played to its end", 20, 0, 0, pytest.approx(10))
    assert [frame.index for frame in frames] == list(range(20))
    assert {(frame.camera_id, frame.time_source) for frame in frames} == {("gate", "file")}


def test_times_come_from_the_stream_and_not_from_a_count(make_clip: MakeClip) -> None:
    """Frames of a file that plays 10 frames/s are 100 ms apart, in both clocks, however fast they are read."""
    before_ns = time.time_ns()
    with CameraSource(str(make_clip(frames=5)), camera_id="gate", paced=False) as source:
        frames = read_all(source)
    steps_ns = np.diff([frame.monotonic_ns for frame in frames])
    np.testing.assert_allclose(steps_ns, 1e8, atol=2e6)  # what two readings of the clock may lie apart
    np.testing.assert_allclose(np.diff([frame.capture_ns for frame in frames]), 1e8, atol=2e6)
    assert before_ns - 1e8 < frames[0].capture_ns < time.time_ns()
    assert frames[0].uncertainty_ns == 0


def test_a_slow_reader_sees_the_newest_frame(make_clip: MakeClip) -> None:
    """Older frames are dropped and counted; read, waiting and dropped frames add up to all."""
    with CameraSource(str(make_clip(frames=60, fps=30)), camera_id="gate") as source:
        first = source.read(10.0)
        count = wait_for(source, lambda status: status.frames >= 20).frames
        newest = source.read()
        assert first is not None
        assert newest is not None
        assert newest.index >= count - 1
        status = wait_for(source, lambda status: status.state == "ended")
        last = source.read()
    assert last is not None
    assert last.index == 59
    assert status.dropped == 60 - 3


def test_a_paced_file_plays_like_a_camera(make_clip: MakeClip) -> None:
    """No frame comes before its time, so a clip of 1 s ends no sooner than 1 s after its first frame."""
    with CameraSource(str(make_clip(frames=11, fps=10)), camera_id="gate") as source:
        frames = [(time.monotonic_ns(), frame) for frame in iter(lambda: source.read(10.0), None)]
    assert all(now_ns >= frame.monotonic_ns - 5e6 for now_ns, frame in frames)
    assert frames[-1][0] - frames[0][1].monotonic_ns >= 0.99e9


@pytest.mark.parametrize(("wrong_by_s", "expected"), [(0.4, "rtcp-ntp"), (3600, "arrival"), (4e9, "arrival")])
def test_a_camera_whose_clock_is_wrong_is_stamped_by_arrival(wrong_by_s: float, expected: str) -> None:
    """A clock that was never set starts in 1970 or before, and messages cannot hold times before 1970."""
    sample = VideoSample(None, 0, time.monotonic_ns(), time.time_ns() - int(wrong_by_s * 1e9))
    address = parse_address("rtsp://10.0.0.7/stream")
    capture_ns, time_source, uncertainty_ns = source_module._capture_time(address, sample)
    assert time_source == expected
    assert abs(time.time_ns() - capture_ns) <= uncertainty_ns + 1e9


def test_a_frame_cannot_be_changed(make_clip: MakeClip) -> None:
    """Its pixels are read-only, so that two readers of a frame cannot disturb each other."""
    with CameraSource(str(make_clip()), camera_id="gate", paced=False) as source:
        frame = source.read(10.0)
    assert frame is not None
    for plane in (frame.pixels.luma, frame.pixels.chroma):
        with pytest.raises(ValueError, match="read-only"):
            plane[0, 0] = 1


def test_a_frame_waits_until_it_is_read(make_clip: MakeClip) -> None:
    """Since the moment it arrived; nothing is copied or converted to know that."""
    with CameraSource(str(make_clip()), camera_id="gate", paced=False) as source:
        assert source.waiting_since_s() is None or source.status().frames > 0
        wait_until_live(source, timeout_s=10.0)
        since_s = source.waiting_since_s()
        assert since_s is not None
        assert 0 <= time.monotonic() - since_s < 10
        assert source.read() is not None


def test_several_sources_run_in_one_process(make_clip: MakeClip) -> None:
    """Sources do not disturb each other: each delivers all its frames."""
    sources = [CameraSource(str(make_clip(f"{n}.avi", frames=10 + n)), camera_id=str(n), paced=False) for n in range(3)]
    for source in sources:
        source.start()
    counts = [len(read_all(source)) for source in sources]
    for source in sources:
        source.close()
    assert counts == [10, 11, 12]


def test_file_names_cannot_change_the_pipeline(make_clip: MakeClip) -> None:
    """A path is quoted, whatever characters it has."""
    path = make_clip("plain.avi", frames=3)
    path = path.rename(path.with_name('q"uote\\ ! fakesink.avi'))
    with CameraSource(path.as_uri(), camera_id="x", paced=False) as source:
        assert len(read_all(source)) == 3


X264 = "video/x-raw,format=I420 ! x264enc key-int-max=5 ! "
CORRUPT = {
    "garbage.mp4": lambda clip: os.urandom(100_000),
    "empty.mp4": lambda clip: b"",
    "text.avi": lambda clip: b"this is no video\n" * 50,
    "no index.mp4": lambda clip: clip("whole.mp4", encoder=X264 + "mp4mux").read_bytes()[:-2000],
    "cut.avi": lambda clip: clip("whole.avi").read_bytes()[:3000],
}


@pytest.mark.parametrize("name", CORRUPT)
def test_a_corrupt_file_is_a_final_fault(make_clip: MakeClip, tmp_path: Path, name: str) -> None:
    """Garbage, an empty file and a cut one disable the source; the error names the file and what to do."""
    path = tmp_path / name
    path.write_bytes(CORRUPT[name](make_clip))
    with CameraSource(str(path), camera_id="gate") as source:
        with pytest.raises(StreamError, match=rf"expected a video at .*{name}, found .*; .*copy") as caught:
            source.read(10.0)
        assert "\n" not in str(caught.value)
        assert source.status().state == "disabled"
        assert source.status().reason == str(caught.value)
        with pytest.raises(StreamError):
            source.read()


def test_a_file_that_ends_before_its_header_says_is_cut_off(make_clip: MakeClip, tmp_path: Path) -> None:
    """The frames that are there are read; then the error says how much is missing."""
    whole = make_clip("whole.mp4", frames=100, encoder=X264 + "mp4mux faststart=true").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with CameraSource(str(path), camera_id="gate", paced=False) as source:
        with pytest.raises(StreamError, match=r"cut off: expected 10\.0 s of video .* found \d\.\d s; copy it again"):
            read_all(source)
        assert source.status().frames >= 20


def test_a_file_without_video_is_refused(tmp_path: Path) -> None:
    """A file with sound only is not a video."""
    run_pipeline(f'audiotestsrc num-buffers=20 ! wavenc ! filesink location="{tmp_path}/sound.wav"')
    with (
        CameraSource(str(tmp_path / "sound.wav"), camera_id="gate") as source,
        pytest.raises(StreamError, match=r"expected a video at .*sound\.wav"),
    ):
        source.read(10.0)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("{folder}/none.mp4", "expected a video file at .*none.mp4, found nothing; correct"),
        ("{folder}", "expected a video file at .*, found a folder; correct"),
    ],
)
def test_what_is_not_there_is_refused_at_the_start(tmp_path: Path, uri: str, message: str) -> None:
    """A missing file is reported before anything runs."""
    source = CameraSource(uri.format(folder=tmp_path), camera_id="gate")
    with pytest.raises(StreamError, match=message):
        source.start()
    source.close()


def test_a_usb_camera_may_appear_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is waited for, and why is said once; what appears is tried, though here it is no camera, and tried again."""
    device = tmp_path / "video9"
    monkeypatch.setattr(catalog, "_DEVICE", r".*")
    with CameraSource(f"v4l2://{device}", camera_id="gate", retry_cap_s=0.1) as source:
        wait_for(source, lambda status: "found no such device; plug it in" in status.reason)
        time.sleep(0.5)
        device.symlink_to("/dev/null")
        status = wait_for(source, lambda status: "no such device" not in status.reason)
        assert status.state == "reconnecting"
    assert caplog.text.count("not reached yet") == 1


class FrozenPlayer:
    """Stands for a camera whose time stamps no longer advance: no real camera can be made to do so."""

    is_over = False

    def __init__(self, *_: object, **__: object) -> None:
        self._position_ns = 0

    def next_sample(self, timeout_s: float) -> VideoSample:
        """See `Player.next_sample`; after five frames always the same time stamp."""
        time.sleep(0.01)
        self._position_ns = min(self._position_ns + 1, 5)
        return VideoSample(None, self._position_ns, time.monotonic_ns(), None)

    def close(self) -> None:
        """See `Player.close`."""
        pass


def test_a_frozen_camera_is_stalled_and_then_connected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that repeat a time stamp do not count as new."""
    monkeypatch.setattr(source_module, "Player", FrozenPlayer)
    with CameraSource("rtsp://127.0.0.1:9/camera", camera_id="gate", stall_s=0.2) as source:
        status = wait_for(source, lambda status: status.state == "stalled")
        assert status.reason == "no new frame for 0.2 s"
        assert status.frames == 5
        wait_for(source, lambda status: status.state == "reconnecting")
        wait_for(source, lambda status: status.reconnects == 1)


def test_closing_takes_no_more_than_two_seconds(make_clip: MakeClip) -> None:
    """A source stops in the middle of a clip, paced or not, and leaves no thread; a waiting reader comes back."""
    for paced in (True, False):
        source = CameraSource(str(make_clip(frames=100)), camera_id="closing", paced=paced)
        source.start()
        wait_until_live(source, timeout_s=10.0)
        started_s = time.monotonic()
        source.close()
        assert time.monotonic() - started_s < 2.0
        assert "camera-closing" not in [thread.name for thread in threading.enumerate()]
        source.read()
        assert source.read(60.0) is None


def test_memory_does_not_grow(make_clip: MakeClip) -> None:
    """Frames are released: after 400 pictures of 0.9 MB the process has grown by less than 40 MB."""
    path = str(make_clip(frames=400, size="width=640,height=480", encoder="jpegenc ! avimux"))
    with CameraSource(path, camera_id="gate", paced=False) as source:
        for _ in range(50):
            source.read(10.0)
        before = resident_bytes()
        assert sum(1 for _ in iter(lambda: source.read(10.0), None)) == 350  # one frame is held at a time
        assert resident_bytes() - before < 40e6


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_change_of_state_is_logged_once(make_clip: MakeClip, caplog: pytest.LogCaptureFixture) -> None:
    """One line when frames come and one at the end, none per frame."""
    caplog.set_level(logging.INFO)
    path = make_clip(frames=30)
    with CameraSource(str(path), camera_id="gate", paced=False) as source:
        read_all(source)
    assert caplog.messages == [f"camera gate live: {path}", f"camera gate ended: 30 frames of {path}"]
