"""The newest frame of one camera or file; faults, ends and reconnections are handled here."""

import logging
import threading
import time

from edge_runtime.camera.address import ANY_KNOWN_AUTHORITY, Address, Trust
from edge_runtime.camera.catalog import parse_address
from edge_runtime.camera.frame import Frame, SourceState, SourceStatus
from edge_runtime.camera.frame_spacing import FrameSpacing
from edge_runtime.camera.patience import Patience
from edge_runtime.camera.player import PlaybackError, Player, VideoSample
from edge_runtime.contract.errors import StreamError
from edge_runtime.contract.time_source import TimeSource

logger = logging.getLogger(__name__)

_POLL_S = 0.1
_SHORT_NS, _SHORT_SHARE = 1_000_000_000, 0.1  # a file was cut off if more than both is missing at its end


class CameraSource:
    """Plays one address in a thread of its own, `camera-ID`, and keeps the newest frame for one reader.

    A frame that the reader did not take before the next one came is dropped and counted. A file is played at its own
    speed, like a camera; with `paced=False` the source waits until the reader has taken each frame instead.

    A camera that fails is asked again without end: it may be plugged in, get its users or get its certificate later. A
    fault of a file, and a GStreamer that lacks something, is final: the source is then `disabled`.

    Threads: `start`, `read`, `waiting_since_s`, `status` and `close` may be called from any thread; the daemon calls
    `read` from its workers and `status` also from the health server's threads. The other methods run in the source's
    own thread unless they say otherwise.
    """

    def __init__(
        self,
        uri: str,
        *,
        camera_id: str,
        trust: Trust = ANY_KNOWN_AUTHORITY,
        paced: bool = True,
        stall_s: float = 3.0,
        retry_cap_s: float = 5.0,
    ) -> None:
        """Check the address; nothing is opened yet. See `catalog.SCHEMES` for the forms of an address.

        After `stall_s` without a new frame the source is `stalled`, after twice that it connects again, or later where
        frames come seldom. It waits at most `retry_cap_s` between two attempts; a minute where it was refused.

        Raises:
            StreamError: the address has none of the known forms.
        """
        self.camera_id = camera_id
        self._address = parse_address(uri)
        self._paced = paced or self._address.scheme.is_live
        self._trust = trust
        self._patience = Patience(is_live=self._address.scheme.is_live, stall_s=stall_s, retry_cap_s=retry_cap_s)
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
        self._brief_lives = 0  # times in a row that frames came for a moment only
        self._is_flickering = False  # after two of them nothing more is logged until frames last
        self._error: StreamError | None = None

    def start(self) -> None:
        """Start the thread that plays.

        Raises:
            StreamError: the file does not exist.
        """
        try:
            if not self._address.scheme.is_live:
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
        while not self._stop.is_set():
            is_refused = False
            try:
                fault = self._play_once()
            except PlaybackError as error:
                fault, is_refused = str(error), error.is_refused
            if fault is None or self._stop.is_set():
                return
            if not self._address.scheme.is_live:
                raise StreamError(
                    f"expected a video at {self._address.name}, found a fault: {fault}; copy the file again"
                )
            self._note_fault(fault, is_refused=is_refused)
            self._stop.wait(self._patience.pause_s(is_refused=is_refused))

    def _play_once(self) -> str | None:
        """Play until the stream ends or fails. Returns a fault that may pass; None: ended, or asked to stop.

        Raises:
            PlaybackError: the pipeline fails.
            StreamError: a final fault.
        """
        try:
            self._address.scheme.check_present(self._address)
        except StreamError as error:
            if not self._address.scheme.is_live:
                raise
            return str(error)
        self._patience.note_connection()
        player = Player(self._address, paced=self._paced, trust=self._trust)
        try:
            return self._take_samples(player)
        finally:
            player.close()

    def _note_fault(self, fault: str, *, is_refused: bool) -> None:
        """Note a fault after which the camera is asked again; a refusal is logged also while the camera is lost."""
        name, transport = self._address.name, self._address.transport
        self._address = self._address.scheme.after_fault(self._address, fault)
        if self._address.transport != transport:
            fault = f"it does not send over {transport.upper()}; asked over {self._address.transport.upper()} now"
        if is_refused:
            fault = (
                f"{name} refuses the user or password given: {fault}; correct the credentials. It is asked again every "
                "minute, since a camera that has just started may not know its users yet"
            )
            if self._lost_at_s is not None and fault != self._reason:
                logger.warning("camera %s: %s", self.camera_id, fault)
        self._note_loss("reconnecting", fault)

    def _take_samples(self, player: Player) -> str | None:
        """Take samples until the stream ends, no new frame comes, or `close` is called. Returns a fault or None.

        A frame with the time stamp of the one before does not count as new: a frozen camera repeats its last frame.
        """
        is_live, patience = self._address.scheme.is_live, self._patience
        position_ns: int | None = None
        while not self._stop.is_set():
            sample = player.next_sample(_POLL_S)
            if player.is_over:
                return self._handle_end(position_ns, player.duration_ns())
            silence_s = patience.silence_s()
            if sample is not None and (sample.position_ns is None or sample.position_ns != position_ns):
                patience.note_frame()
                self._store(sample)
                position_ns = sample.position_ns
            elif silence_s > patience.lost_after_s() and (is_live or self._frames == 0):
                fault = f"no new frame for {patience.lost_after_s():.3g} s"
                patience.note_silence()
                return fault
            elif silence_s > patience.stalled_after_s() and self._state == "live":
                self._note_loss("stalled", f"no new frame for {patience.stalled_after_s():.3g} s")
        return None

    def _store(self, sample: VideoSample) -> None:
        """Make a sample the newest one. If not paced, first wait until the reader has taken the one before."""
        with self._changed:
            if not self._paced:
                self._changed.wait_for(lambda: self._newest is None or self._stop.is_set())
            self._dropped += self._newest is not None
            if self._state != "live" or (self._is_flickering and self._patience.is_steady()):
                self._note_live()
            self._newest, self._newest_arrival_s = (self._frames, sample), time.monotonic()
            self._spacing.note(sample.monotonic_ns if sample.position_ns is None else sample.position_ns)
            self._frames += 1
            self._changed.notify_all()

    def _note_live(self) -> None:
        """Set the state, and log once, when frames come (again). The caller holds the lock."""
        self._reconnects += self._frames > 0 and self._state != "live"
        self._state, self._reason = "live", ""
        if self._is_flickering and not self._patience.is_steady():
            return
        if self._frames > 0 and self._lost_at_s is not None:
            logger.info("camera %s back after %.0f s", self.camera_id, time.monotonic() - self._lost_at_s)
        else:
            logger.info("camera %s live: %s", self.camera_id, self._address.name)
        self._lost_at_s, self._is_flickering = None, False
        if self._patience.is_steady():
            self._brief_lives = 0

    def _note_loss(self, state: SourceState, reason: str) -> None:
        """Set the state, and log once, when frames stop coming."""
        if self._state == "live":
            self._brief_lives = 0 if self._patience.is_steady() else self._brief_lives + 1
        self._set_state(state, reason)
        if self._lost_at_s is not None:
            return
        self._lost_at_s = time.monotonic()
        self._is_flickering = self._brief_lives > 1
        what = "lost" if self._frames else "not reached yet"
        more = "; it gives frames for moments only, and its return is told when it lasts" if self._is_flickering else ""
        logger.warning("camera %s %s: %s%s", self.camera_id, what, reason, more)

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
