"""A real RTSP camera in a process of its own, that tests can unplug, freeze and plug in again."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

_SERVER = Path(__file__).with_name("rtsp_server.py")


class RtspCamera:
    """Serves `rtsp://127.0.0.1:<port>/camera` between `start` and `kill`; see `rtsp_server.py` for the options."""

    def __init__(self, *options: str) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}/camera"
        self.uri = f"rtsp://{self.address}"
        self._command = [sys.executable, str(_SERVER), "--port", str(self.port), *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, timeout_s: float = 10.0) -> None:
        """Start serving; returns when clients may connect."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        watchdog = threading.Timer(timeout_s, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        assert line == b"ready\n", "the RTSP server did not start"

    def kill(self) -> None:
        """Unplug the camera: its process ends at once. Does nothing when it is not running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def freeze(self) -> None:
        """Hang the camera: its connections stay open and nothing comes."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen camera go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def free_port() -> int:
    """A loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
