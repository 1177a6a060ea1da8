"""A node, its broker and its disk, and what may happen to them. Each fault is over when its function returns."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring.mortal_node import CLOCK_STEP, SPOOL
from benchmarks.measuring.mosquitto import Mosquitto
from edge_runtime.contract.errors import PublishError

_ROOT = Path(__file__).resolve().parents[2]
_END_S = 60.0
_DAY_S = 86_400


class FaultySite:
    """One node that publishes through one broker. folder: of the node's spool.

    is_small_disk: that folder is a disk of its own, which may be filled.
    """

    def __init__(self, broker: Mosquitto, folder: Path, *, draw: random.Random, is_small_disk: bool) -> None:
        self.broker, self.folder, self.draw, self.is_small_disk = broker, folder, draw, is_small_disk
        self.kills = self.flips = 0
        self._node = start_node(broker.port, folder)

    def kill(self) -> None:
        """SIGKILL, and the next run."""
        self._kill()
        self._node = start_node(self.broker.port, self.folder)

    def restart_broker(self) -> None:
        """It ends as it should, is away for a while, and has what it has acknowledged."""
        self.broker.stop()
        time.sleep(self.draw.uniform(0.0, 1.0))
        self.broker.start()

    def hang_broker(self) -> None:
        """It keeps its connections and answers nothing."""
        self.broker.pause()
        time.sleep(self.draw.uniform(0.2, 2.0))
        self.broker.resume()

    def fill_disk(self) -> None:
        """Somebody fills the disk, and frees it again."""
        hog = self.folder / "hog"
        with contextlib.suppress(OSError), hog.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        time.sleep(self.draw.uniform(0.5, 1.5))
        hog.unlink()

    def lock_spool(self) -> None:
        """Another program writes into the spool's database, for longer than a writer waits."""
        with contextlib.closing(sqlite3.connect(self.folder / SPOOL, isolation_level=None, timeout=_END_S)) as other:
            other.execute("BEGIN IMMEDIATE")
            time.sleep(self.draw.uniform(0.6, 1.5))
            other.execute("ROLLBACK")

    def flip_bits(self) -> None:
        """Three bits of one of the spool's files flip while the node is dead."""
        self._kill()
        path = self.draw.choice([path for path in sorted(self.folder.glob(f"{SPOOL}*")) if path.stat().st_size])
        content = bytearray(path.read_bytes())
        for _ in range(3):
            content[self.draw.randrange(len(content))] ^= 1 << self.draw.randrange(8)
            self.flips += 1
        path.write_bytes(content)
        self._node = start_node(self.broker.port, self.folder)

    def step_clock(self) -> None:
        """The node's clock is set, by an hour or by a month, forward or back."""
        (self.folder / CLOCK_STEP).write_text(str(self.draw.choice((-30 * _DAY_S, -3600, 0, 3600, 30 * _DAY_S))))
        self._node.send_signal(signal.SIGUSR1)

    def end(self) -> tuple[int, int]:
        """Stop the node as it should be stopped. Returns how many messages wait, and how many numbers it has used.

        Raises:
            PublishError: it does not end, or not as it should.
        """
        self._node.terminate()
        try:
            output, _ = self._node.communicate(timeout=_END_S)
            waiting, next_seq = map(int, output.split())
        except (subprocess.TimeoutExpired, ValueError) as error:
            self._kill()
            raise PublishError(f"the node did not end as it should after SIGTERM: {error}") from error
        return waiting, next_seq

    def close(self) -> None:
        """Leave no process behind."""
        self._node.kill()
        self._node.communicate()

    def _kill(self) -> None:
        self._node.kill()
        self._node.communicate()
        self.kills += 1


Fault = Callable[[FaultySite], None]
FAULTS: dict[str, tuple[Fault, int]] = {
    "kill -9": (FaultySite.kill, 4),
    "broker restarts": (FaultySite.restart_broker, 1),
    "broker hangs": (FaultySite.hang_broker, 1),
    "disk full": (FaultySite.fill_disk, 1),
    "spool locked": (FaultySite.lock_spool, 1),
    "bits flip": (FaultySite.flip_bits, 1),
    "clock steps": (FaultySite.step_clock, 1),
}
"""By name, with how often it comes beside the others."""


def draw_faults(count: int, *, draw: random.Random, is_small_disk: bool) -> list[str]:
    """Names of faults in random order: first one of each, then by their shares."""
    shares = {name: share for name, (_, share) in FAULTS.items() if is_small_disk or name != "disk full"}
    first = draw.sample(list(shares), min(count, len(shares)))
    return first + draw.choices(list(shares), weights=list(shares.values()), k=count - len(first))


def start_node(port: int, folder: Path, *, will_delay_s: int = 10) -> "subprocess.Popen[str]":
    """Start a node and wait until it has spooled something.

    Raises:
        PublishError: it ends before that.
    """
    command = [sys.executable, "-m", "benchmarks.measuring.mortal_node", str(port), str(folder), str(will_delay_s)]
    environment = os.environ | {"PYTHONPATH": str(_ROOT)}
    node = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=_ROOT, env=environment
    )
    assert node.stdout is not None
    if node.stdout.readline() != "ready\n":
        node.communicate()
        raise PublishError(f"the node did not start, exit code {node.returncode}")
    return node
