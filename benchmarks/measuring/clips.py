"""Clips of other sizes, made of one clip by GStreamer."""

from pathlib import Path

import gi

from edge_runtime.camera.address import DECODE, quote_value
from edge_runtime.contract.errors import StreamError

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402 - after the version is chosen

_LIMIT_S = 1800  # 4K on two busy cores takes a quarter of an hour


def scale_clip(clip: Path, path: Path, *, height_px: int, width_px: int, fps: int, seconds: float) -> None:
    """Write the beginning of a clip at another size, as a camera sends it: H.264 of about its bit rate, each picture
    from the one before, none from later ones.

    Raises:
        StreamError: the clip cannot be read, or an element is missing.
    """
    Gst.init(None)
    kbit_s = max(500, height_px * width_px * fps // 8000)
    pipeline = Gst.parse_launch(
        f"filesrc location={quote_value(str(clip))} ! {DECODE} ! videoconvert ! videoscale ! videorate ! "
        f"video/x-raw,format=I420,height={height_px},width={width_px},framerate={fps}/1 ! "
        f"identity eos-after={round(seconds * fps)} ! x264enc speed-preset=superfast bframes=0 ref=1 "
        f"key-int-max={2 * fps} bitrate={kbit_s} ! mp4mux ! filesink location={quote_value(str(path))}"
    )
    pipeline.set_state(Gst.State.PLAYING)
    kinds = Gst.MessageType.EOS | Gst.MessageType.ERROR
    message = pipeline.get_bus().timed_pop_filtered(_LIMIT_S * Gst.SECOND, kinds)
    pipeline.set_state(Gst.State.NULL)
    if message is None or message.type == Gst.MessageType.ERROR:
        reason = "it takes too long" if message is None else message.parse_error()[0].message
        raise StreamError(f"cannot scale {clip} to {width_px}x{height_px}: {reason}")
