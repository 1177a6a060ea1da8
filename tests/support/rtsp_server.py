"""A real RTSP camera on loopback: `python rtsp_server.py --port N [--clip FILE] [--microphone] [--user NAME ...]`.

Serves `rtsp://127.0.0.1:N/camera` as H.264 from a test picture, or from a clip that starts again for each client, and
prints `ready` when it listens. It ends when it is terminated.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions must be chosen first

ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay{} pt=96"
DELAY = "queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 min-threshold-time=700000000"
SOUND = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay0 pt=0"


def main(argv: list[str]) -> int:
    """Serve until terminated. Returns 1 when the port is taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clip", help="a video file; without it a moving test picture of 320x240, 15 frames/s")
    parser.add_argument("--microphone", action="store_true", help="send sound (G.711) beside the pictures")
    parser.add_argument("--user")
    parser.add_argument("--password")
    options = parser.parse_args(argv)

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch_text(options.clip, has_sound=options.microphone))
    if options.user:
        require_password(server, factory, options.user, options.password)
    server.get_mount_points().add_factory("/camera", factory)
    if server.attach(None) == 0:
        print(f"port {options.port} is taken", file=sys.stderr)
        return 1
    print("ready", flush=True)
    GLib.MainLoop().run()
    return 0


def launch_text(clip: str | None, *, has_sound: bool) -> str:
    """The pipeline that makes the stream, as gst-rtsp-server reads it."""
    if clip is None:
        pictures = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=15/1"
    else:
        pictures = f'filesrc location="{clip}" ! decodebin ! videoconvert ! video/x-raw,format=I420'
    if has_sound:  # it comes first, as from a camera whose encoder takes a while
        return f"( {SOUND} {pictures} ! {DELAY} ! {ENCODER.format(1)} )"
    return f"( {pictures} ! {ENCODER.format(0)} )"


def require_password(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, user: str, password: str
) -> None:
    """Let in only clients that know the password (basic authentication)."""
    auth = GstRtspServer.RTSPAuth()
    viewer = GstRtspServer.RTSPToken()
    viewer.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), viewer)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
