"""A node that is killed, as often as you like: nothing is lost, nothing is counted twice."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring.site_faults import start_node
from edge_runtime.link.messages import NodeStatus
from edge_runtime.link.wire_format import decode_json
from tests.conftest import ROOT
from tests.edge_runtime.link.conftest import Subscriber
from tests.support.mqtt_broker import Broker
from tests.support.sample_messages import open_spool, wait_for

KILLS = 5


def test_a_node_killed_in_mid_publish_loses_no_number(broker: Broker, tmp_path: Path) -> None:
    """After five SIGKILLs and restarts the listener has every number of the node, and has dropped the doubles."""
    summary_file = tmp_path / "summary.json"
    listen = [sys.executable, str(ROOT / "edge_runtime" / "listen.py"), f"127.0.0.1:{broker.port}", "--until-stopped"]
    with subprocess.Popen([*listen, "--summary", str(summary_file)], stdout=subprocess.DEVNULL) as listener:
        wait_for(lambda: "SUBSCRIBE" in broker.log.read_text())
        for _ in range(KILLS):
            node = start_node(broker.port, tmp_path)
            time.sleep(random.uniform(0.1, 0.5))
            node.kill()
            node.communicate()
        node = start_node(broker.port, tmp_path)
        node.terminate()
        output, _ = node.communicate(timeout=20)
        waiting, next_seq = map(int, output.split())
        assert listener.wait(20) == 0
    summary = json.loads(summary_file.read_text())
    assert waiting == 0
    assert summary["is_complete"]
    assert summary["nodes"] == [{"node": "lab/cam", "first": 0, "last": next_seq - 1, "missing": []}]
    assert summary["messages"] == next_seq > 3 * KILLS
    assert (summary["reused"], summary["refused"]) == (0, 0)


def test_the_last_will_says_offline(broker: Broker, tmp_path: Path, subscribe: Callable[..., Subscriber]) -> None:
    """A killed node is `offline`, retained, once the will's delay is over; its spool tells which run it was."""
    subscriber = subscribe(broker.settings)
    node = start_node(broker.port, tmp_path, will_delay_s=1)
    wait_for(lambda: subscriber.numbers())
    node.kill()
    node.communicate()
    wait_for(lambda: len(subscriber.payloads("reid/v1/lab/cam/status")) == 2)
    online, offline = (decode_json(text, NodeStatus) for text in subscriber.payloads("reid/v1/lab/cam/status"))
    assert offline == NodeStatus(state="offline", boot=online.boot, oldest_seq=None, next_seq=None)


def test_numbers_go_on_after_death(broker: Broker, tmp_path: Path) -> None:
    """The next run, of another boot, begins where the dead one ended."""
    node = start_node(broker.port, tmp_path)
    node.kill()
    node.communicate()
    with open_spool(tmp_path) as spool:
        assert spool.next_seq >= 3
        assert not spool.gaps()
