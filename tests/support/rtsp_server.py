"""A real RTSP camera on loopback: `python rtsp_server.py --port N [--clip FILE] [--user NAME ...] ...`.

Serves `rtsp://127.0.0.1:N/camera` as H.264 from a test picture, or from a clip that starts again for each client, and
prints `ready` when it listens. It ends when it is terminated.
"""

import argparse
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - the versions must be chosen first

ENCODER = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay name=pay{} pt=96"
DELAY = "queue max-size-time=0 max-size-buffers=0 max-size-bytes=0 min-threshold-time=700000000"
SOUND = "audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay0 pt=0"
# After 20 frames the stream goes on from another payloader. Without the capssetter that one would take the first SSRC.
NEW_SSRC = (
    "( {picture} num-buffers=20 ! {caps} ! {encode} ssrc=111 seqnum-offset=5 ! pay0. "
    "{picture} ! {caps} ! {encode} ssrc=222 seqnum-offset=999 ! "
    'capssetter replace=true caps="application/x-rtp,media=(string)video,clock-rate=90000,'
    'encoding-name=(string)H264,packetization-mode=(string)1,payload=96,ssrc=(uint)222" ! pay0. concat name=pay0 )'
)


def main(argv: list[str]) -> int:
    """Serve until terminated. Returns 1 when the port is taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clip", help="a video file; without it a moving test picture of 320x240, 15 frames/s")
    parser.add_argument("--frames-per-s", default="15", help="of the test picture; 1/2 is a frame every two seconds")
    parser.add_argument("--microphone", action="store_true", help="send sound (G.711) beside the pictures")
    parser.add_argument("--sound-only", action="store_true", help="send sound and no pictures")
    parser.add_argument("--new-ssrc", action="store_true", help="go on with another SSRC after 20 frames")
    parser.add_argument("--udp-only", action="store_true", help="refuse RTP over TCP")
    parser.add_argument("--certificate", help="serve rtsps with this certificate and key, one PEM file")
    parser.add_argument("--user")
    parser.add_argument("--password")
    options = parser.parse_args(argv)

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(options.port))
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(launch_text(options))
    if options.udp_only:
        factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
    if options.user or options.certificate:
        guard(server, factory, options)
    server.get_mount_points().add_factory("/camera", factory)
    if server.attach(None) == 0:
        print(f"port {options.port} is taken", file=sys.stderr)
        return 1
    print("ready", flush=True)
    GLib.MainLoop().run()
    return 0


def launch_text(options: argparse.Namespace) -> str:
    """The pipeline that makes the stream, as gst-rtsp-server reads it."""
    if options.sound_only:
        return f"( {SOUND} )"
    picture, caps = "videotestsrc is-live=true pattern=ball", "video/x-raw,width=320,height=240"
    if options.new_ssrc:
        encode = ENCODER.replace("name=pay{}", "")
        return NEW_SSRC.format(picture=picture, caps=f"{caps},framerate=15/1", encode=encode)
    rate = options.frames_per_s if "/" in options.frames_per_s else f"{options.frames_per_s}/1"
    pictures = f"{picture} ! {caps},framerate={rate}"
    if options.clip is not None:
        pictures = f'filesrc location="{options.clip}" ! decodebin ! videoconvert ! video/x-raw,format=I420'
    if options.microphone:  # it comes first, as from a camera whose encoder takes a while
        return f"( {SOUND} {pictures} ! {DELAY} ! {ENCODER.format(1)} )"
    return f"( {pictures} ! {ENCODER.format(0)} )"


def guard(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, options: argparse.Namespace
) -> None:
    """Encrypt, if there is a certificate, and let in only who knows the password (basic), if there is one."""
    auth = GstRtspServer.RTSPAuth()
    viewer = GstRtspServer.RTSPToken()
    viewer.set_string("media.factory.role", "viewer")
    if options.user:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), viewer)
    else:
        auth.set_default_token(viewer)
    if options.certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options.certificate))
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
