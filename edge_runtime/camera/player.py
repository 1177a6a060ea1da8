"""One GStreamer pipeline from its start to a fault or its end. Only this file and `certificate.py` import gi.

The caller's thread pulls frames and polls the bus, and no GLib main loop is needed. Of our code only
`_decode_without_delay` and `_choose_video`, and what checks certificates, run in GStreamer's own threads, once per
connection; they cannot raise an exception.
"""

import logging
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.camera.address import ANY_KNOWN_AUTHORITY, Address, Trust
from edge_runtime.camera.pipeline import HardwareConverter, pipeline_text
from edge_runtime.contract.errors import StreamError
from edge_runtime.contract.nv12 import Nv12

try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    gi.require_version("GstVideo", "1.0")
    from gi.repository import GLib, Gst, GstApp, GstVideo  # noqa: F401 - GstApp gives the appsink its methods

    from edge_runtime.camera.certificate import CertificateCheck
except (ImportError, ValueError) as error:
    _missing: Exception | None = error  # raised by the first Player: an error while importing would end in a traceback
else:
    _missing = None

logger = logging.getLogger(__name__)

_NTP_TO_UNIX_S = 2_208_988_800  # from 1900 to 1970, RFC 5905
_LATEST_ARRIVAL_NS = 5_000_000_000  # a live frame whose time stamp is older is treated as arriving now
_HARDWARE_DECODER = "nvv4l2decoder"
_UPRIGHT, _MIRRORED = "rotate-0", "flip-"


@dataclass(frozen=True)
class VideoSample:
    """One decoded picture, still in GStreamer's memory, with its times in nanoseconds. Any thread may use it.

    handle: the GstSample. position_ns: its time stamp in the stream. monotonic_ns: the same moment on this device's
    monotonic clock. ntp_ns: the camera's own clock as UTC. A stream may have no position_ns and no ntp_ns.
    orientation: how its pictures are to be turned, as GStreamer's tag `image-orientation` says it.
    """

    handle: Any
    position_ns: int | None
    monotonic_ns: int
    ntp_ns: int | None
    orientation: str = _UPRIGHT

    def pixels(self) -> Nv12:
        """Copy the picture, as it was decoded, and turn it upright."""
        buffer = self.handle.get_buffer()
        info = GstVideo.VideoInfo.new_from_caps(self.handle.get_caps())
        meta = GstVideo.buffer_get_video_meta(buffer)  # where the planes lie, if not as the caps say
        strides, offsets = (meta.stride, meta.offset) if meta else (info.stride, info.offset)
        _, memory = buffer.map(Gst.MapFlags.READ)
        data = memory.data  # already a copy, and 15 times as fast as Buffer.extract_dup
        buffer.unmap(memory)
        height, width = info.height, info.width
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        luma = _plane(data, offsets[0], stride=strides[0], shape=(height, width))
        if info.finfo.format == GstVideo.VideoFormat.NV12:
            pairs = _plane(data, offsets[1], stride=strides[1], shape=(half_height, 2 * half_width))
            chroma = np.lib.stride_tricks.as_strided(
                pairs, (half_height, half_width, 2), (strides[1], 2, 1), writeable=False
            )
        else:
            halves = [_plane(data, offsets[n], stride=strides[n], shape=(half_height, half_width)) for n in (1, 2)]
            chroma = np.asarray(cv2.merge(halves), np.uint8)
            chroma.flags.writeable = False
        is_bt709 = info.colorimetry.matrix == GstVideo.VideoColorMatrix.BT709
        is_full_range = info.colorimetry.range == getattr(GstVideo.VideoColorRange, "0_255")
        picture = Nv12(luma, chroma, "bt709" if is_bt709 else "bt601", is_full_range)
        return _upright(picture, self.orientation)


class PlaybackError(Exception):
    """The pipeline stopped with a fault. is_refused: the camera does not accept the credentials."""

    def __init__(self, message: str, *, is_refused: bool = False) -> None:
        super().__init__(message)
        self.is_refused = is_refused


class Player:
    """Plays one address once. One thread makes, uses and closes it; GStreamer runs threads of its own inside."""

    def __init__(self, address: Address, *, paced: bool, trust: Trust = ANY_KNOWN_AUTHORITY) -> None:
        """Start playing. trust: which certificate the camera may show, where it shows one.

        Raises:
            StreamError: GStreamer is missing or lacks an element, or the address needs hardware that is not here.
        """
        if _missing:
            raise StreamError(
                f"GStreamer 1.x and its Python bindings are needed to read a camera, and were not found ({_missing}); "
                "install gir1.2-gst-plugins-base-1.0 and PyGObject"
            ) from _missing
        Gst.init(None)
        self._address = address
        text = pipeline_text(address, hardware=_hardware_converter(), paced=paced)
        try:
            self._pipeline = Gst.parse_launch(text)
        except GLib.Error as error:
            raise StreamError(
                f"GStreamer cannot build the pipeline of {address.name}: {error.message}; {address.scheme.remedy}"
            ) from error
        self._pipeline.connect("deep-element-added", _decode_without_delay)
        self._offered: list[str] = []  # kinds of streams that the camera has: video, audio, application
        self._certificate: CertificateCheck | None = None
        camera = self._pipeline.get_by_name("camera")
        if camera is not None:
            self._set_up_camera(camera, trust)
        self._frames = self._pipeline.get_by_name("frames")
        self._pad = self._frames.get_static_pad("sink")
        self._bus = self._pipeline.get_bus()
        self._ntp = Gst.Caps.from_string("timestamp/x-ntp")
        self._is_over = False
        self._pipeline.set_state(Gst.State.PLAYING)  # what fails here comes as a message on the bus

    def next_sample(self, timeout_s: float) -> VideoSample | None:
        """Wait for the next picture. Returns None when none came in time or the stream has ended (see `is_over`).

        Raises:
            PlaybackError: the pipeline reports a fault.
        """
        handle = self._frames.try_pull_sample(int(timeout_s * Gst.SECOND))
        if handle is not None:
            return self._stamp(handle)
        # At its end the stream's appsink returns at once, shortly before the bus has the message: wait 1 ms for it.
        message = self._bus.timed_pop_filtered(Gst.MSECOND, Gst.MessageType.ERROR | Gst.MessageType.EOS)
        if message is not None and message.type == Gst.MessageType.ERROR:
            raise self._fault(message)
        self._is_over = message is not None
        return None

    @property
    def is_over(self) -> bool:
        """Whether the stream has ended without a fault."""
        return self._is_over

    def duration_ns(self) -> int | None:
        """Length of the stream as its header says; None for a live one."""
        is_known, duration_ns = self._pipeline.query_duration(Gst.Format.TIME)
        return int(duration_ns) if is_known and duration_ns > 0 else None

    def close(self) -> None:
        """Stop, and release camera, connection and threads."""
        self._pipeline.set_state(Gst.State.NULL)

    def _set_up_camera(self, camera: Any, trust: Trust) -> None:
        """Give rtspsrc the credentials, and ask it for video only and for the camera's own time stamps."""
        self._certificate = CertificateCheck(camera, trust)
        # No method of this object: with a reference back to it the pipeline would never be freed.
        camera.connect("select-stream", _choose_video, self._offered)
        if self._address.user is not None:
            camera.set_property("user-id", self._address.user)
            camera.set_property("user-pw", self._address.password or "")
        _ask_for_camera_times(camera)

    def _stamp(self, handle: Any) -> VideoSample:
        """Add the times of a picture; see `VideoSample`."""
        now_ns = time.monotonic_ns()
        buffer, segment = handle.get_buffer(), handle.get_segment()
        position_ns = None if buffer.pts == Gst.CLOCK_TIME_NONE else int(buffer.pts)
        monotonic_ns = now_ns
        if position_ns is not None:
            playing_ns = segment.to_running_time(Gst.Format.TIME, position_ns) + self._pipeline.get_base_time()
            monotonic_ns = now_ns + playing_ns - self._pipeline.get_clock().get_time()
            if self._address.scheme.is_live and not now_ns - _LATEST_ARRIVAL_NS <= monotonic_ns <= now_ns:
                monotonic_ns = now_ns
        meta = buffer.get_reference_timestamp_meta(self._ntp)
        ntp_ns = int(meta.timestamp) - _NTP_TO_UNIX_S * 1_000_000_000 if meta else None
        return VideoSample(handle, position_ns, monotonic_ns, ntp_ns, read_orientation(self._pad))

    def _fault(self, message: Any) -> PlaybackError:
        """Make an exception of an error on the bus, without credentials in its message."""
        if self._certificate is not None and self._certificate.fault is not None:
            return PlaybackError(self._certificate.fault)
        if self._offered and "video" not in self._offered:
            kinds = " and ".join(sorted(set(self._offered)))
            return PlaybackError(f"the address gives {kinds} and no video; correct it, or turn the camera's video on")
        error, debug = message.parse_error()
        detail = ((debug or "").strip().splitlines() or [""])[-1]
        text = str(error.message)
        if detail and not detail.startswith("../"):  # otherwise it names a line of GStreamer's source
            text = detail if detail.startswith(text) else f"{text} {detail}"
        refused = error.matches(Gst.ResourceError.quark(), Gst.ResourceError.NOT_AUTHORIZED)
        for secret in (self._address.location, self._address.password):
            text = text.replace(secret, "...") if secret else text
        return PlaybackError(text, is_refused=refused)


def _decode_without_delay(_pipeline: Any, _parent: Any, element: Any) -> None:
    """Give libav's decoders one thread.

    With more a picture comes as many frames late as there are further threads, and each of these holds frames: 20 MiB
    per camera of 1080p on two cores. Several cameras use all cores anyway.
    """
    if element.find_property("thread-type") is not None:
        element.set_property("max-threads", 1)


def read_orientation(pad: Any) -> str:
    """What the stream that flows through a pad says of its pictures: `rotate-90`, for example."""
    found, index = _UPRIGHT, 0
    while (event := pad.get_sticky_event(Gst.EventType.TAG, index)) is not None:
        is_told, orientation = event.parse_tag().get_string(Gst.TAG_IMAGE_ORIENTATION)
        found, index = (orientation if is_told else found), index + 1
    return found


def _upright(picture: Nv12, orientation: str) -> Nv12:
    """Turn a picture. orientation: `rotate-90` (clockwise), `flip-rotate-90` (mirrored before), and so on."""
    if orientation == _UPRIGHT:
        return picture
    degrees = int(orientation.rpartition("-")[2])
    return picture.turned(quarters=degrees // 90, is_mirrored=orientation.startswith(_MIRRORED))


def _choose_video(_camera: Any, _number: int, caps: Any, offered: list[str]) -> bool:
    """Whether to receive one of the camera's streams; sound and metadata are left out. offered: takes its kind."""
    offered.append(str(caps.get_structure(0).get_string("media")))
    return offered[-1] == "video"


def _plane(data: bytes, offset: int, *, stride: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """One plane of a picture, read-only. stride: bytes from one row to the next; the last row may lack its padding."""
    height, width = shape
    row = np.frombuffer(data, np.uint8, count=stride * (height - 1) + width, offset=offset)
    return np.lib.stride_tricks.as_strided(row, shape, (stride, 1), writeable=False)


def _hardware_converter() -> HardwareConverter | None:
    """The converter for NVIDIA's decoder, where decodebin will take that."""
    if Gst.ElementFactory.find(_HARDWARE_DECODER) is None:
        return None
    converters: tuple[HardwareConverter, ...] = get_args(HardwareConverter)
    return next((name for name in converters if Gst.ElementFactory.find(name) is not None), None)


def _ask_for_camera_times(camera: Any) -> None:
    if camera.find_property("add-reference-timestamp-meta"):  # since GStreamer 1.22
        camera.set_property("add-reference-timestamp-meta", True)
    else:
        _warn_of_arrival_times()


@cache
def _warn_of_arrival_times() -> None:
    """Once per process: it holds for every camera."""
    logger.warning(
        "GStreamer %s does not pass on the clocks of RTSP cameras (1.22 and later do): their frames have the time of "
        "arrival, and `time_source` is `arrival`, never `rtcp-ntp`",
        ".".join(map(str, Gst.version()[:2])),
    )
