"""A throw-away MQTT broker on a free loopback port, and what it uses of its machine."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.link.broker_settings import BrokerSettings

_START_S = 10.0


class Mosquitto:
    """A mosquitto of our own. `stop` and `start` keep its port and what it has stored.

    folder: for its files. lines: of its configuration, beside where it listens and that it stores what it holds.
    is_verbose: it logs every packet.

    Raises:
        ConfigError: the program is not installed.
    """

    def __init__(self, folder: Path, *, lines: list[str], host: str = "127.0.0.1", is_verbose: bool = True) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if program is None:
            raise ConfigError("this needs the MQTT broker mosquitto: apt-get install mosquitto")
        self._command = [program, "-c", str(folder / "mosquitto.conf"), *(["-v"] if is_verbose else [])]
        self.folder, self.port, self.host = folder, free_port(), host
        self.log = folder / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None
        # Defaults of mosquitto that lose messages for a receiver that is away are raised, as on a real site.
        common = [
            f"listener {self.port} {host}",
            "persistence true",
            f"persistence_location {folder}/",
            "max_queued_messages 100000",
            "user root",
        ]
        (folder / "mosquitto.conf").write_text("\n".join([*common, *lines]) + "\n")

    @property
    def settings(self) -> BrokerSettings:
        """How to reach it without TLS or credentials."""
        return BrokerSettings(host=self.host, port=self.port, connect_timeout_s=3.0)

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            PublishError: it does not.
        """
        with self.log.open("ab") as log:
            process = self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET) as probe:
                if probe.connect_ex((self.host, self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise PublishError(f"mosquitto did not start: {self.log.read_text()}")

    def stop(self) -> None:
        """Stop it; it writes what it holds to its file."""
        if self._process is not None:
            self.resume()
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._running.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """Make it read its access list anew."""
        self._running.send_signal(signal.SIGHUP)

    def cpu_s(self) -> float:
        """CPU seconds that it has used since it started."""
        fields = Path(f"/proc/{self._running.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self._running.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process


def free_port() -> int:
    """A TCP port on loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
