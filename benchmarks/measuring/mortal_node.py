"""A node that publishes a few descriptors every few milliseconds until it is killed, or stopped by SIGTERM.

Run as `python -m benchmarks.measuring.mortal_node PORT FOLDER WILL_DELAY_S`. It says `ready` once the first messages
are spooled, and at its end how many messages wait and which number comes next. SIGUSR1 steps its clock by what the file
`clock_step_s` in the folder says; the machine's own clock stays.
"""

import itertools
import signal
import sys
import threading
import time
import zlib
from pathlib import Path

from benchmarks.measuring.hostile_messages import descriptor_message, random_descriptors
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.contract.script import shipped_model
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.messages import DescriptorMessage
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.spool import Spool
from edge_runtime.link.spool_file import SpoolSettings

SITE, NODE, SPOOL, CLOCK_STEP = "lab", "cam", "spool.sqlite", "clock_step_s"
_BATCH, _PAUSE_S = 3, 0.005
_WAITING = 2000  # with more in the spool it pauses, so that a slow machine makes no gaps of its own
_STOP_S = 30.0


def is_unchanged(message: DescriptorMessage) -> bool:
    """Whether a message of this node is as the node has made it: the mark that it carries is of its content."""
    return message.monotonic_ns == _mark(message)


def _mark(message: DescriptorMessage) -> int:
    return zlib.crc32(message.descriptor.data + message.capture_ns.to_bytes(8, "big"))


def main(port: int, folder: Path, *, will_delay_s: int) -> None:
    """Publish until SIGTERM."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    _step_clock(folder / CLOCK_STEP)
    signal.signal(signal.SIGUSR1, lambda *_: _step_clock(folder / CLOCK_STEP))
    manifest = read_manifest(Path(shipped_model()))
    patterns = [_pattern(vector, manifest) for vector in random_descriptors(0)]
    settings = LinkSettings(
        BrokerSettings("127.0.0.1", port),
        SITE,
        NODE,
        will_delay_s=will_delay_s,
        backlog_per_s=2000.0,
        reconnect_max_s=0.5,
    )
    spool_settings = SpoolSettings(folder / SPOOL, max_mib=8, max_age_h=1, min_free_mib=0)
    with Spool(spool_settings, node=NODE) as spool:
        publisher = Publisher(settings, spool, node_card={}, manifests=[manifest])
        publisher.start()
        endless = itertools.cycle(patterns)
        publisher.publish("door", [_now(next(endless)) for _ in range(_BATCH)])
        print("ready", flush=True)
        while not ending.wait(_PAUSE_S):
            if spool.count() < _WAITING:
                publisher.publish("door", [_now(next(endless)) for _ in range(_BATCH)])
        print(publisher.stop(_STOP_S), spool.next_seq, flush=True)


def _pattern(vector: object, manifest: Manifest) -> DescriptorMessage:
    changes = {"space": manifest.space_id, "model": manifest.model_id, "boot": "0" * 16}
    return descriptor_message(0, vector).model_copy(update=changes)


def _now(pattern: DescriptorMessage) -> DescriptorMessage:
    message = pattern.model_copy(update={"capture_ns": _REAL_NS() + _OFFSET_NS[0]})
    return message.model_copy(update={"monotonic_ns": _mark(message)})


_REAL_NS, _REAL_S = time.time_ns, time.time
_OFFSET_NS = [0]


def _step_clock(file: Path) -> None:
    """Let every part of this process read another time from now on."""
    if file.exists():
        step_s = int(file.read_text())
        _OFFSET_NS[0] = step_s * 10**9
        time.time_ns = lambda: _REAL_NS() + _OFFSET_NS[0]
        time.time = lambda: _REAL_S() + step_s


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), will_delay_s=int(sys.argv[3]))
