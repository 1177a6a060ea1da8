"""The newest frame of one camera or file; faults, ends and reconnections are handled here."""

import logging
import random
import threading
import time

from edge_runtime.camera.address import Address
from edge_runtime.camera.catalog import parse_address
from edge_runtime.camera.frame import Frame, SourceState, SourceStatus
from edge_runtime.camera.frame_spacing import FrameSpacing
from edge_runtime.camera.player import PlaybackError, Player, VideoSample
from edge_runtime.contract.errors import StreamError
from edge_runtime.contract.time_source import TimeSource

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_FIRST_CAMERA_FRAME_S = 20.0  # a camera may send a key frame only every 10 s
# decodebin of GStreamer 1.22 sometimes reports no error for a damaged file: then no frame comes, and nothing else.
_FIRST_FILE_FRAME_S = 5.0
_RETRY_FIRST_S = 1.0
_REFUSED_RETRY_S = 60.0  # trying sooner would look like an attack, and some cameras then lock the user out
_SHORT_NS, _SHORT_SHARE = 1_000_000_000, 0.1  # a file was cut off if more than both is missing at its end


class CameraSource:
    """Plays one address in a thread of its own, `camera-ID`, and keeps the newest frame for one reader.

    A frame that the reader did not take before the next one came is dropped and counted. A file is played at its own
    speed, like a camera; with `paced=False` the source waits until the reader has taken each frame instead.

    Faults of a camera in the network are tried again without end, except credentials that it refuses from the start.
    A fault of a file, and of a local camera that has not given a frame yet, is final: the source is then `disabled`.

    Threads: `start`, `read`, `waiting_since_s`, `status` and `close` may be called from any thread; the daemon calls
    `read` from its workers and `status` also from the health server's threads. The other methods run in the source's
    own thread unless they say otherwise. No Python code runs in GStreamer's threads.
    """

    def __init__(
        self, uri: str, *, camera_id: str, paced: bool = True, stall_s: float = 3.0, retry_cap_s: float = 5.0
    ) -> None:
        """Check the address; nothing is opened yet. See `catalog.SCHEMES` for the forms of an address.

        After `stall_s` without a new frame the source is `stalled`, after twice that it connects again. It waits at
        most `retry_cap_s` between two attempts.

        Raises:
            StreamError: the address has none of the known forms.
        """
        self.camera_id = camera_id
        self._address = parse_address(uri)
        self._paced = paced or self._address.scheme.is_live
        self._stall_s = stall_s
        self._retry_cap_s = retry_cap_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera-{camera_id}", daemon=True)
        self._changed = threading.Condition()  # guards everything below
        self._state: SourceState = "reconnecting"
        self._reason = "not connected yet"
        self._newest: tuple[int, VideoSample] | None = None
        self._newest_arrival_s = 0.0
        self._spacing = FrameSpacing()
        self._frames = self._dropped = self._reconnects = 0
        self._lost_at_s: float | None = None
        self._error: StreamError | None = None

    def start(self) -> None:
        """Start the thread that plays.

        Raises:
            StreamError: the file or the device does not exist.
        """
        try:
            self._address.scheme.check_present(self._address)
        except StreamError as error:
            self._disable(error)
            raise
        self._thread.start()

    def read(self, timeout_s: float = 0.0) -> Frame | None:
        """Take the newest frame, waiting up to `timeout_s` for one. Returns None when there is none.

        Raises:
            StreamError: the source is disabled; the message gives the reason.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._is_final(), timeout_s)
            newest, self._newest = self._newest, None
            self._changed.notify_all()
            if newest is None and self._error is not None:
                raise StreamError(str(self._error)) from self._error
        return None if newest is None else self._make_frame(*newest)

    def waiting_since_s(self) -> float | None:
        """Monotonic time at which the newest frame arrived; None when there is none that was not read."""
        with self._changed:
            return None if self._newest is None else self._newest_arrival_s

    def status(self) -> SourceStatus:
        """State, reason and counters now."""
        with self._changed:
            rate = self._spacing.frames_per_s()
            return SourceStatus(self._state, self._reason, self._frames, self._dropped, self._reconnects, rate)

    def close(self) -> None:
        """Stop playing; returns within 2 s."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def __enter__(self) -> "CameraSource":
        """See `start`."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """See `close`."""
        self.close()

    def _run(self) -> None:
        """The thread: play until the end, a final fault or `close`."""
        try:
            self._play_until_final()
        except StreamError as error:
            self._disable(error)

    def _play_until_final(self) -> None:
        """Play again after each fault that may pass.

        Raises:
            StreamError: a final fault.
        """
        failures = 0
        while not self._stop.is_set():
            frames_before = self._frames
            try:
                fault, least_s = self._play_once(), 0.0
            except PlaybackError as error:
                fault, least_s = self._describe_refusal(error), _REFUSED_RETRY_S
            if fault is None:
                return
            failures = 1 if self._frames > frames_before else failures + 1
            delay_s = retry_delay_s(failures, cap_s=self._retry_cap_s, chance=random.random())
            self._note_loss("reconnecting", fault)
            self._stop.wait(max(delay_s, least_s))

    def _play_once(self) -> str | None:
        """Play until the stream ends or fails. Returns a fault that may pass; None: ended, or asked to stop.

        Raises:
            PlaybackError: the camera refuses our credentials.
            StreamError: a final fault.
        """
        player = Player(self._address, paced=self._paced)
        try:
            fault = self._take_samples(player)
        except PlaybackError as error:
            if error.is_refused:
                raise
            fault = str(error)
        finally:
            player.close()
        if fault is not None and self._is_final_fault():
            what, remedy = ("video", "copy the file again")
            if self._address.scheme.is_live:
                what, remedy = ("working camera", "see that no other program uses it")
            raise StreamError(f"expected a {what} at {self._address.name}, found a fault: {fault}; {remedy}")
        return fault

    def _describe_refusal(self, error: PlaybackError) -> str:
        """Describe refused credentials. After frames it may pass: some cameras do not know their users while starting.

        Raises:
            StreamError: the credentials have never been accepted.
        """
        fault = f"{self._address.name} refuses the user or password given: {error}; correct the credentials"
        if self._frames == 0:
            raise StreamError(fault) from error
        if fault != self._reason:
            logger.error("camera %s: %s; it accepted them before, so it is asked again", self.camera_id, fault)
        return fault

    def _take_samples(self, player: Player) -> str | None:
        """Take samples until the stream ends, no new frame comes, or `close` is called. Returns a fault or None.

        A frame with the time stamp of the one before does not count as new: a frozen camera repeats its last frame.
        """
        is_live = self._address.scheme.is_live
        position_ns: int | None = None
        last_s, limit_s = time.monotonic(), _FIRST_CAMERA_FRAME_S if is_live else _FIRST_FILE_FRAME_S
        while not self._stop.is_set():
            sample = player.next_sample(_POLL_S)
            if player.is_over:
                return self._handle_end(position_ns, player.duration_ns())
            if sample is not None and (sample.position_ns is None or sample.position_ns != position_ns):
                self._store(sample)
                position_ns, last_s, limit_s = sample.position_ns, time.monotonic(), 2 * self._stall_s
            elif time.monotonic() - last_s > limit_s and (is_live or self._frames == 0):
                return f"no new frame for {limit_s:g} s"
            elif time.monotonic() - last_s > self._stall_s and self._state == "live":
                self._note_loss("stalled", f"no new frame for {self._stall_s:g} s")
        return None

    def _store(self, sample: VideoSample) -> None:
        """Make a sample the newest one. If not paced, first wait until the reader has taken the one before."""
        with self._changed:
            if not self._paced:
                self._changed.wait_for(lambda: self._newest is None or self._stop.is_set())
            self._dropped += self._newest is not None
            if self._state != "live":
                self._note_live()
            self._newest, self._newest_arrival_s = (self._frames, sample), time.monotonic()
            self._spacing.note(sample.monotonic_ns if sample.position_ns is None else sample.position_ns)
            self._frames += 1
            self._changed.notify_all()

    def _note_live(self) -> None:
        """Set the state, and log once, when frames come (again). The caller holds the lock."""
        self._state, self._reason = "live", ""
        if self._frames > 0 and self._lost_at_s is not None:
            logger.info("camera %s back after %.0f s", self.camera_id, time.monotonic() - self._lost_at_s)
            self._reconnects += 1
        else:
            logger.info("camera %s live: %s", self.camera_id, self._address.name)
        self._lost_at_s = None

    def _note_loss(self, state: SourceState, reason: str) -> None:
        """Set the state, and log once, when frames stop coming."""
        self._set_state(state, reason)
        if self._lost_at_s is None:
            self._lost_at_s = time.monotonic()
            logger.warning("camera %s %s: %s", self.camera_id, "lost" if self._frames else "not reached yet", reason)

    def _handle_end(self, position_ns: int | None, duration_ns: int | None) -> str | None:
        """Handle the end of the stream. Returns a fault for a camera, which should not end; None for a whole file.

        Raises:
            StreamError: a file without a picture, or one that is shorter than its header says.
        """
        name = self._address.name
        if self._address.scheme.is_live:
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
        """Stop for good, and log the reason. Runs in the thread of `start` or in the source's own."""
        with self._changed:
            self._error = error
            self._set_state("disabled", str(error))
        logger.error("camera %s disabled: %s", self.camera_id, error)

    def _set_state(self, state: SourceState, reason: str) -> None:
        with self._changed:
            self._state, self._reason = state, reason
            self._changed.notify_all()

    def _make_frame(self, index: int, sample: VideoSample) -> Frame:
        """Copy a sample's pixels, in the reader's thread, and choose the best time known about it."""
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

    def _is_final(self) -> bool:
        """Whether no frame can come any more. Runs in the reader's thread."""
        return self._state in ("ended", "disabled") or self._stop.is_set()

    def _is_final_fault(self) -> bool:
        final = self._address.scheme.fault_is_final
        return final == "always" or (final == "before the first frame" and self._frames == 0)


def retry_delay_s(failures: int, *, cap_s: float, chance: float) -> float:
    """Seconds to wait after so many failures in a row: doubled each time up to `cap_s`, then times 0.5 to 1.

    chance: a random number in [0, 1) that chooses the factor, so that many nodes do not connect at the same moment.
    """
    return min(cap_s, _RETRY_FIRST_S * 2.0 ** min(failures - 1, 16)) * (0.5 + chance / 2)


def _capture_time(address: Address, sample: VideoSample) -> tuple[int, TimeSource, int]:
    """Choose the best time known about a sample: UTC in nanoseconds, how it was found, uncertainty in nanoseconds."""
    arrival_ns = time.time_ns() - time.monotonic_ns() + sample.monotonic_ns
    if not address.scheme.is_live:
        return arrival_ns, "file", 0
    uncertainty_ns = address.scheme.arrival_uncertainty_ns
    # The clock of a camera that was never set starts in 1970 or 1900: then the arrival is the better time.
    if sample.ntp_ns is not None and abs(arrival_ns - sample.ntp_ns) <= uncertainty_ns:
        return sample.ntp_ns, "rtcp-ntp", abs(arrival_ns - sample.ntp_ns)
    return arrival_ns, "arrival", uncertainty_ns
