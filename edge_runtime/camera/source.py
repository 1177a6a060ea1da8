"""Source: the newest frame of one camera or file, through faults and reconnects."""

import logging
import random
import threading
import time
from pathlib import Path

from edge_runtime.camera.frame import Frame, SourceStatus, State, TimeSource
from edge_runtime.camera.pipeline import Address, parse_address
from edge_runtime.camera.player import PlaybackError, Player, Sample
from edge_runtime.contract.errors import StreamError

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_FIRST_CAMERA_FRAME_S = 20.0  # a camera may send a key frame only every 10 s
# decodebin of GStreamer 1.22 sometimes swallows the error of a damaged file; then only silence tells.
_FIRST_FILE_FRAME_S = 5.0
_RETRY_FIRST_S = 1.0
_REFUSED_RETRY_S = 60.0  # sooner would look like an attack, and some cameras then lock the user out
_SHORT_NS, _SHORT_SHARE = 1_000_000_000, 0.1  # a file that lacks more than both of its end was cut off
# What an arrival time cannot know: exposure, encoding and network for rtsp, exposure and transfer for the others.
_ARRIVAL_UNCERTAINTY_NS = {"rtsp": 1_000_000_000, "v4l2": 100_000_000, "csi": 100_000_000}


class Source:
    """Plays one address in a thread of its own and keeps the newest frame for one reader.

    A frame that the reader did not take before the next one came is dropped and counted. A file is played at its own
    speed like a camera; with `paced=False` every frame of it waits for the reader instead. A camera that fails is
    tried again for as long as it takes; a camera that was never there or that refuses the credentials from the first,
    and a damaged file, are final. All methods may be called from any thread, and none raises into GStreamer.
    """

    def __init__(
        self, uri: str, *, camera_id: str, paced: bool = True, stall_s: float = 3.0, retry_cap_s: float = 5.0
    ) -> None:
        """Check the address; nothing is opened yet. See `pipeline.parse_address` for its forms.

        After `stall_s` without a new frame the source is `stalled`, after twice that it connects again, waiting at
        most `retry_cap_s` between two tries.

        Raises:
            StreamError: the address has none of the known forms.
        """
        self.camera_id = camera_id
        self._address = parse_address(uri)
        self._paced = paced or self._address.scheme != "file"
        self._stall_s = stall_s
        self._retry_cap_s = retry_cap_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera_id}", daemon=True)
        self._changed = threading.Condition()  # guards everything below
        self._state: State = "reconnecting"
        self._reason = "not connected yet"
        self._newest: tuple[int, Sample] | None = None
        self._frames = self._dropped = self._reconnects = 0
        self._lost_at_s: float | None = None
        self._error: StreamError | None = None

    def start(self) -> None:
        """Start playing.

        Raises:
            StreamError: the file or the device is not there.
        """
        try:
            _check_is_there(self._address)
        except StreamError as error:
            self._disable(error)
            raise
        self._thread.start()

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """Take the newest frame, waiting up to `timeout_s` for one. Returns None when there is none.

        Raises:
            StreamError: the source is disabled; the error says why.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._is_final(), timeout_s)
            newest, self._newest = self._newest, None
            self._changed.notify_all()
            if newest is None and self._error is not None:
                raise StreamError(str(self._error)) from self._error
        return None if newest is None else self._frame(*newest)

    def wait_until_live(self, timeout_s: float) -> None:
        """Wait for the first frame, which stays to be read.

        Raises:
            StreamError: none came in time, or the source is disabled; the error says why.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames > 0 or self._is_final(), timeout_s)
            if self._error is not None:
                raise StreamError(str(self._error)) from self._error
            if self._frames == 0:
                raise StreamError(
                    f"expected a first frame of {self._address.name} within {timeout_s:g} s, found none: "
                    f"{self._reason}; check the camera and its address"
                )

    def status(self) -> SourceStatus:
        """State, reason and counters at this moment."""
        with self._changed:
            return SourceStatus(self._state, self._reason, self._frames, self._dropped, self._reconnects)

    def close(self) -> None:
        """Stop playing; returns within 2 s."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def __enter__(self) -> "Source":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        """The thread: play until the end, a final fault or `close`."""
        try:
            self._play_through_faults()
        except StreamError as error:
            self._disable(error)

    def _play_through_faults(self) -> None:
        failures = 0
        while not self._stop.is_set():
            frames_before = self._frames
            try:
                fault, least_s = self._play_once(), 0.0
            except PlaybackError as error:
                fault, least_s = self._judge_refusal(error), _REFUSED_RETRY_S
            if fault is None:
                return
            failures = 1 if self._frames > frames_before else failures + 1
            delay_s = retry_delay_s(failures, cap_s=self._retry_cap_s, chance=random.random())
            self._lose("reconnecting", fault)
            self._stop.wait(max(delay_s, least_s))

    def _play_once(self) -> str | None:
        """Play until something happens. Returns the fault that a retry may heal, or None: ended, or asked to stop.

        Raises:
            PlaybackError: the camera refuses our credentials.
            StreamError: a fault that no retry heals.
        """
        player = Player(self._address, paced=self._paced)
        try:
            fault = self._pull(player)
        except PlaybackError as error:
            if error.is_refused:
                raise
            fault = str(error)
        finally:
            player.close()
        if fault is not None and self._is_final_fault():
            what, remedy = ("working camera", "see that no other program uses it")
            if not self._is_camera():
                what, remedy = ("video", "copy the file again")
            raise StreamError(f"expected a {what} at {self._address.name}, found a fault: {fault}; {remedy}")
        return fault

    def _judge_refusal(self, error: PlaybackError) -> str:
        """Put a refusal into words. One that comes after frames may pass: a camera forgets its users as it starts.

        Raises:
            StreamError: the credentials have never been right.
        """
        fault = f"{self._address.name} refuses the user or password given: {error}; correct the credentials"
        if self._frames == 0:
            raise StreamError(fault) from error
        if fault != self._reason:
            logger.error(
                "camera %s: %s; it has let us in before, so it is asked again now and then", self.camera_id, fault
            )
        return fault

    def _pull(self, player: Player) -> str | None:
        """Take samples until the stream ends, stays silent or `close` is called. Returns a fault or None.

        A frame that repeats the time stamp of the one before is no sign of life: its camera is frozen.
        """
        position_ns: int | None = None
        last_s, limit_s = time.monotonic(), _FIRST_CAMERA_FRAME_S if self._is_camera() else _FIRST_FILE_FRAME_S
        while not self._stop.is_set():
            sample = player.next_sample(_POLL_S)
            if player.is_over:
                return self._end(position_ns, player.duration_ns())
            if sample is not None and (sample.position_ns is None or sample.position_ns != position_ns):
                self._offer(sample)
                position_ns, last_s, limit_s = sample.position_ns, time.monotonic(), 2 * self._stall_s
            elif time.monotonic() - last_s > limit_s and (self._is_camera() or self._frames == 0):
                return f"no new frame for {limit_s:g} s"
            elif time.monotonic() - last_s > self._stall_s and self._state == "live":
                self._lose("stalled", f"no new frame for {self._stall_s:g} s")
        return None

    def _offer(self, sample: Sample) -> None:
        """Put a sample where the reader finds it, in place of an older one; without pace, wait for the reader."""
        with self._changed:
            if not self._paced:
                self._changed.wait_for(lambda: self._newest is None or self._stop.is_set())
            self._dropped += self._newest is not None
            if self._state != "live":
                self._go_live()
            self._newest = (self._frames, sample)
            self._frames += 1
            self._changed.notify_all()

    def _go_live(self) -> None:
        """Note, and say once, that frames come (again). The caller holds the lock."""
        self._state, self._reason = "live", ""
        if self._frames > 0 and self._lost_at_s is not None:
            logger.info("camera %s back after %.0f s", self.camera_id, time.monotonic() - self._lost_at_s)
            self._reconnects += 1
        else:
            logger.info("camera %s live: %s", self.camera_id, self._address.name)
        self._lost_at_s = None

    def _lose(self, state: State, reason: str) -> None:
        """Note, and say once, that no frames come."""
        self._set_state(state, reason)
        if self._lost_at_s is None:
            self._lost_at_s = time.monotonic()
            logger.warning("camera %s %s: %s", self.camera_id, "lost" if self._frames else "not reached yet", reason)

    def _end(self, position_ns: int | None, duration_ns: int | None) -> str | None:
        """Handle the regular end of a stream. Returns the fault that it is for a camera; None for a whole file.

        Raises:
            StreamError: a file without a picture, or one that ends long before its own header says.
        """
        name = self._address.name
        if self._is_camera():
            return "the camera ended the stream"
        if self._frames == 0:
            raise StreamError(f"expected a video at {name}, found no picture in it; the file is damaged, copy it again")
        missing_ns = (duration_ns or 0) - (position_ns or 0)
        if duration_ns and missing_ns > max(_SHORT_NS, _SHORT_SHARE * duration_ns):
            raise StreamError(
                f"{name} is cut off: expected {duration_ns / 1e9:.1f} s of video as its header says, found "
                f"{(position_ns or 0) / 1e9:.1f} s; copy it again"
            )
        self._set_state("ended", "the file was played to its end")
        logger.info("camera %s ended: %d frames of %s", self.camera_id, self._frames, name)
        return None

    def _disable(self, error: StreamError) -> None:
        """Give up for good, and say why."""
        with self._changed:
            self._error = error
            self._set_state("disabled", str(error))
        logger.error("camera %s disabled: %s", self.camera_id, error)

    def _set_state(self, state: State, reason: str) -> None:
        with self._changed:
            self._state, self._reason = state, reason
            self._changed.notify_all()

    def _frame(self, index: int, sample: Sample) -> Frame:
        """Copy a sample's pixels and choose the best time known about it."""
        capture_ns, time_source, uncertainty_ns = _capture_time(self._address, sample)
        return Frame(
            camera_id=self.camera_id,
            index=index,
            pixels=sample.pixels(),
            capture_ns=capture_ns,
            monotonic_ns=sample.monotonic_ns,
            time_source=time_source,
            uncertainty_ns=uncertainty_ns,
        )

    def _is_camera(self) -> bool:
        return self._address.scheme != "file"

    def _is_final(self) -> bool:
        return self._state in ("ended", "disabled") or self._stop.is_set()

    def _is_final_fault(self) -> bool:
        """A file's fault does not heal, nor does that of a local camera that never gave a frame."""
        return self._address.scheme == "file" or (self._address.scheme != "rtsp" and self._frames == 0)


def retry_delay_s(failures: int, *, cap_s: float, chance: float) -> float:
    """How long to wait after so many failures in a row: doubling up to `cap_s`, half of it by `chance` in [0, 1)."""
    return min(cap_s, _RETRY_FIRST_S * 2.0 ** min(failures - 1, 16)) * (0.5 + chance / 2)


def _capture_time(address: Address, sample: Sample) -> tuple[int, TimeSource, int]:
    """Choose the best time known about a sample: UTC in nanoseconds, its source, its uncertainty in nanoseconds."""
    arrival_ns = time.time_ns() - time.monotonic_ns() + sample.monotonic_ns
    if address.scheme == "file":
        return arrival_ns, "file", 0
    uncertainty_ns = _ARRIVAL_UNCERTAINTY_NS[address.scheme]
    # A camera whose clock was never set counts from 1970, or from 1900: then its word is worse than the arrival.
    if sample.ntp_ns is not None and abs(arrival_ns - sample.ntp_ns) <= uncertainty_ns:
        return sample.ntp_ns, "rtcp-ntp", abs(arrival_ns - sample.ntp_ns)
    return arrival_ns, "arrival", uncertainty_ns


def _check_is_there(address: Address) -> None:
    path = Path(address.location)
    if address.scheme == "file" and not path.is_file():
        what = "a folder" if path.is_dir() else "nothing"
        raise StreamError(f"expected a video file at {address.name}, found {what}; correct the camera's address")
    if address.scheme == "v4l2" and not path.is_char_device():
        raise StreamError(
            f"expected a camera at {address.location}, found no such device; plug it in, or correct the camera's "
            "address (v4l2-ctl --list-devices names the cameras)"
        )
