"""Many simulated nodes in one process: each has a connection of its own and sends the descriptors of a real node."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

import cbor2

from benchmarks.measuring.hostile_messages import BOOT, SPACE, birth, good_messages
from edge_runtime.contract.errors import PublishError
from edge_runtime.link.broker import Connection
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.delivery import CONTENT_TYPES
from edge_runtime.link.wire_format import seal

NODES_PER_PROCESS = 250
"""`select`, by which a connection waits, takes file numbers up to 1,024; a connection has three."""
_PASS_S = 0.005
_ANSWER_S = 10.0
_EXPIRY_S = 3600


@dataclass(frozen=True)
class Load:
    """What a process sends: `rate` messages per second of each of its nodes, from `begin_s` (UTC) for `seconds`."""

    begin_s: float
    seconds: float
    rate: float


@dataclass(frozen=True)
class SentFigures:
    """What became of a load. due: messages that were to be sent; those that were not sent stay at their node.

    closed: connections that were lost.
    """

    due: int
    sent: int
    acknowledged: int
    closed: int
    cpu_s: float


def send_fleet(pipe: Pipe, *, settings: BrokerSettings, names: Sequence[str]) -> None:
    """Connect all nodes, answer, then send each load that the parent orders and answer with its figures.

    Raises:
        PublishError: a node cannot connect.
    """
    nodes = [_Node(settings, name) for name in names]
    pipe.send(len(nodes))
    while (load := pipe.recv()) is not None:
        pipe.send(_send(nodes, load))
    for node in nodes:
        node.connection.drop()


class _Node:
    """One simulated node. waiting: when the frames were captured (UTC, ns) whose messages wait for a free place."""

    def __init__(self, settings: BrokerSettings, name: str) -> None:
        self.connection = Connection(settings, client_id=name, session_s=0)
        self.is_closed = False
        self.waiting = deque[int]()
        self.unanswered: set[int] = set()
        self.sent = self.acknowledged = 0
        [good] = good_messages(1, seed=0, node=name)
        self._topic, self._fields, self._seq = good.topic, cbor2.loads(good.payload), 0
        told = birth(name)
        self.unanswered.add(self.connection.publish(told.topic, told.payload, qos=1, is_retained=True))
        deadline_s = time.monotonic() + _ANSWER_S
        while self.unanswered and time.monotonic() < deadline_s:
            self.step(0.1)
        if self.unanswered:
            raise PublishError(f"the broker {settings} has not acknowledged the birth of {name}")
        self.acknowledged = 0

    @property
    def is_busy(self) -> bool:
        return bool(self.waiting or self.unanswered) and not self.is_closed

    def step(self, timeout_s: float = 0.0) -> None:
        """Take what was acknowledged, then send what waits as far as the broker's window goes."""
        if self.unanswered:
            acknowledged = {answer.packet_id for answer in self.connection.step(timeout_s)[0]}
            self.acknowledged += len(acknowledged & self.unanswered)
            self.unanswered -= acknowledged
        while self.waiting and len(self.unanswered) < self.connection.receive_maximum:
            now_ns = time.time_ns()
            fields = self._fields | {"seq": self._seq, "capture_ns": self.waiting[0], "publish_ns": now_ns}
            packet_id = self.connection.publish(
                self._topic,
                seal(cbor2.dumps(fields)),
                qos=1,
                content_type=CONTENT_TYPES["descriptor"],
                expiry_s=_EXPIRY_S,
                user_properties={"space": SPACE, "boot": BOOT, "seq": str(self._seq), "codec": "f16"},
            )
            self.unanswered.add(packet_id)
            self.waiting.popleft()
            self._seq += 1
            self.sent += 1


def _send(nodes: Sequence[_Node], load: Load) -> SentFigures:
    """Messages fall due at even intervals, one node after another, whether the earlier ones were sent or not."""
    cpu_s = time.process_time()
    for node in nodes:
        node.sent = node.acknowledged = 0
    total, per_s = round(load.seconds * load.rate * len(nodes)), load.rate * len(nodes)
    made = 0
    while made < total:
        due = min(total, max(made, int((time.time() - load.begin_s) * per_s) + 1))
        for number in range(made, due):
            nodes[number % len(nodes)].waiting.append(int((load.begin_s + number / per_s) * 1e9))
        made = due
        _step_all(nodes)
        time.sleep(_PASS_S)
    while any(node.is_busy for node in nodes) and time.time() < load.begin_s + load.seconds + _ANSWER_S:
        _step_all(nodes)
        time.sleep(_PASS_S)
    for node in nodes:
        node.waiting.clear()
    return SentFigures(
        due=total,
        sent=sum(node.sent for node in nodes),
        acknowledged=sum(node.acknowledged for node in nodes),
        closed=sum(node.is_closed for node in nodes),
        cpu_s=time.process_time() - cpu_s,
    )


def _step_all(nodes: Sequence[_Node]) -> None:
    for node in nodes:
        if node.is_busy:
            try:
                node.step()
            except PublishError:
                node.is_closed = True
