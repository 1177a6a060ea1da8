"""A node that publishes a few descriptors every few milliseconds until it is killed, or stopped by SIGTERM.

Run by tests as `python -m tests.support.publish_until_killed PORT FOLDER WILL_DELAY_S`.
"""

import signal
import sys
import threading
from pathlib import Path

from edge_runtime.link.broker import BrokerSettings
from edge_runtime.link.publisher import LinkSettings, Publisher
from tests.support.sample_messages import MANIFEST, open_spool, publish


def main(port: int, folder: Path, will_delay_s: int) -> None:
    """Publish for ever; say `ready` once the first messages are spooled."""
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    broker = BrokerSettings("127.0.0.1", port)
    settings = LinkSettings(broker, "lab", "cam", will_delay_s=will_delay_s, backlog_per_s=2000.0)
    with open_spool(folder) as spool:
        publisher = Publisher(settings, spool, node_card={}, manifests=[MANIFEST])
        publisher.start()
        publish(publisher, 3)
        print("ready", flush=True)
        while not ending.wait(0.005):
            publish(publisher, 3)
        print(publisher.stop(10.0), spool.next_seq, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
