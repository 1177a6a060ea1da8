"""The receiving side of the link: check and decode what arrives, and count it."""

import json
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from edge_runtime.contract.descriptor import has_direction
from edge_runtime.contract.errors import PublishError, ReidError
from edge_runtime.link.broker import Received
from edge_runtime.link.counters import percentile
from edge_runtime.link.messages import (
    Birth,
    CameraStatus,
    DescriptorMessage,
    GapMessage,
    Message,
    ModelCard,
    NodeStatus,
)
from edge_runtime.link.topics import Topic, parse_topic
from edge_runtime.link.wire_format import decode_json, decode_message, decode_metrics
from edge_runtime.receiver.sequence import Missing, SequenceTracker

_LATENCIES_KEPT = 100_000
_HELD_MESSAGES = 100_000
_HELD_BYTES = 64 << 20
_MOST_NODES = 10_000
_TRACKS_KEPT = 100_000
_MOST_TEXT = 1_000
NodeName = tuple[str, str]
"""Site and node."""


@dataclass(frozen=True)
class Accepted:
    """A message that passed every check: topic, fields, vector length, and the space against the node's birth."""

    topic: Topic
    message: Message
    payload_bytes: int


@dataclass(frozen=True)
class Refused:
    """A payload that must not be used, and the reason in one sentence."""

    topic: str
    why: str


@dataclass(frozen=True)
class Noted:
    """News that is no descriptor or track: a status, a birth, metrics, a gap, a number that arrived twice."""

    topic: str
    text: str


Event = Accepted | Refused | Noted


@dataclass(frozen=True)
class NodeSummary:
    """What arrived from one node. `missing` is empty when the sequence is complete.

    node: site and node; with the boot where runs of a node used the same numbers, so that each has its own account.
    """

    node: str
    first: int | None
    last: int | None
    missing: tuple[Missing, ...]


@dataclass(frozen=True)
class ReceiverSummary:
    """What arrived from all nodes.

    historical: messages that waited in a node's spool. duplicates: arrived again and were dropped. reused: numbers
    that another run of the node had used before. refused: payloads that must not be used.
    latency: from capture to publish of live descriptors, by the node's own clock, without what the node has waited for
    a better moment.
    """

    messages: int
    descriptors: int
    tracks: int
    historical: int
    duplicates: int
    reused: int
    refused: int
    bytes_per_descriptor: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    is_complete: bool
    nodes: tuple[NodeSummary, ...]


@dataclass
class _Node:
    sequence: SequenceTracker = field(default_factory=SequenceTracker)
    spaces: dict[str, int | None] = field(default_factory=dict)
    """With the length of their descriptors, where the birth says it."""
    has_birth: bool = False
    held: list[Received] = field(default_factory=list)
    boot: str | None = None
    has_ended: bool = False


class Receiver:
    """Turns the payloads that a subscriber receives into events.

    space: the only space to accept; None accepts every space that the node's birth names. Messages of a node are held
    back until its birth arrives.
    Not thread-safe: one thread calls all methods.
    """

    def __init__(self, space: str | None = None) -> None:
        self._space = space
        self._nodes: dict[NodeName, _Node] = {}
        self._counts: Counter[str] = Counter()
        self._tracks = OrderedDict[str, None]()
        self._held_bytes = 0
        self._latencies_ms = deque[float](maxlen=_LATENCIES_KEPT)

    def take(self, received: Received) -> Iterator[Event]:
        """Check one payload. Whatever it holds, nothing is raised: a faulty one gives `Refused`.

        Texts of events are printable, whatever the sender wrote, and not long.
        """
        try:
            if not received.topic.isprintable():
                raise PublishError("expected a topic of printable characters")
            yield from self._sort(received)
        except ReidError as error:
            self._counts["refused"] += 1
            yield Refused(_printable(received.topic), _printable(str(error)))

    def _sort(self, received: Received) -> Iterator[Event]:
        topic = parse_topic(received.topic)
        if topic.leaf == "identity":
            yield Noted(received.topic, "a gallery's message")
            return
        node = self._node(topic)
        match topic.leaf:
            case "birth":
                yield from self._take_birth(node, received)
            case "status" if topic.camera is None:
                yield self._take_status(node, received)
            case "status":
                state = decode_json(received.payload, CameraStatus)
                yield Noted(received.topic, _printable(state.model_dump_json()))
            case "metrics":
                yield Noted(received.topic, _printable(json.dumps(decode_metrics(received.payload))))
            case "gap":
                yield self._take_gap(node, received)
            case _ if not node.has_birth and self._may_hold(node, received):
                node.held.append(received)
                self._held_bytes += len(received.payload)
            case _:
                yield from self._take_message(node, topic, received=received)

    def _node(self, topic: Topic) -> _Node:
        name = (topic.site, topic.node)
        node = self._nodes.get(name)
        if node is None:
            if len(self._nodes) >= _MOST_NODES:
                raise PublishError(f"there are {_MOST_NODES} nodes already; somebody may be making up names")
            node = self._nodes[name] = _Node()
        return node

    def _may_hold(self, node: _Node, received: Received) -> bool:
        return len(node.held) < _HELD_MESSAGES and self._held_bytes + len(received.payload) <= _HELD_BYTES

    def finish(self) -> Iterator[Event]:
        """Check the messages that are still held back; without a birth they are refused."""
        for node in self._nodes.values():
            node.has_birth = True
            for received in self._release(node):
                yield from self.take(received)

    def is_holding(self) -> bool:
        """Whether messages are held back."""
        return self._held_bytes > 0

    def forget_held(self) -> None:
        """Forget the messages that are held back; whoever received them will receive them again."""
        for node in self._nodes.values():
            self._release(node)

    def count(self, what: Literal["refused", "duplicate"]) -> int:
        """How many messages were refused, or arrived again and were dropped."""
        return self._counts[what]

    def has_ended(self) -> bool:
        """Whether there is a node and all nodes have stopped. A node that is `offline` is expected to come back."""
        heard = [node for node in self._nodes.values() if node.boot]
        return bool(heard) and all(node.has_ended for node in heard)

    def summary(self) -> ReceiverSummary:
        """What arrived so far."""
        nodes = tuple(one for name, node in sorted(self._nodes.items()) for one in _summarise("/".join(name), node))
        counts, latencies = self._counts, sorted(self._latencies_ms)
        return ReceiverSummary(
            messages=counts["messages"],
            descriptors=counts["descriptors"],
            tracks=counts["tracks"],
            historical=counts["historical"],
            duplicates=counts["duplicate"],
            reused=counts["reused"],
            refused=counts["refused"],
            bytes_per_descriptor=counts["bytes"] / counts["descriptors"] if counts["descriptors"] else None,
            latency_p50_ms=percentile(latencies, share=0.50),
            latency_p95_ms=percentile(latencies, share=0.95),
            is_complete=not any(node.missing for node in nodes),
            nodes=nodes,
        )

    def _take_birth(self, node: _Node, received: Received) -> Iterator[Event]:
        birth = decode_json(received.payload, Birth)
        node.spaces |= {model.space_id: _length(model) for model in birth.models}
        node.has_birth = True
        yield Noted(received.topic, _printable(f"spaces {', '.join(sorted(birth.spaces())) or 'none'}"))
        for earlier in self._release(node):
            yield from self.take(earlier)

    def _release(self, node: _Node) -> list[Received]:
        held, node.held = node.held, []
        self._held_bytes -= sum(len(one.payload) for one in held)
        return held

    def _take_status(self, node: _Node, received: Received) -> Event:
        status = decode_json(received.payload, NodeStatus)
        if status.state == "online":
            node.boot, node.has_ended = status.boot, False
        elif status.state == "stopped" and (not received.is_retained or status.boot == node.boot):
            # A retained `stopped` of another run was published before we subscribed; that run's end is no news.
            node.boot, node.has_ended = status.boot, True
        # Numbers that a retained status announces may have been delivered before we subscribed.
        if not received.is_retained and status.oldest_seq is not None and status.next_seq is not None:
            node.sequence.expect(status.oldest_seq, status.next_seq)
        return Noted(received.topic, status.state)

    def _take_gap(self, node: _Node, received: Received) -> Event:
        gap = decode_message(received.payload, leaf="gap")
        assert isinstance(gap, GapMessage)
        node.sequence.add_gap(Missing(gap.first, gap.last, gap.why), boot=gap.boot)
        return Noted(received.topic, f"numbers {gap.first} to {gap.last} that have not arrived never will: {gap.why}")

    def _take_message(self, node: _Node, topic: Topic, *, received: Received) -> Iterator[Event]:
        message = decode_message(received.payload, leaf=topic.leaf)
        assert not isinstance(message, GapMessage)
        arrival = node.sequence.add(message.boot, message.seq)
        if arrival != "new":
            self._counts[arrival] += 1
        if arrival == "duplicate":
            yield Noted(received.topic, f"seq {message.seq} arrived twice")
            return
        if arrival == "reused":
            said = "the node's spool was deleted, or two machines have this name"
            yield Noted(received.topic, f"seq {message.seq} was used before: {said}")
        if why := self._check_space(node, topic, space=message.space):
            self._counts["refused"] += 1
            yield Refused(received.topic, f"seq {message.seq}: {why}")
            return
        if why := _check_observation(message, length=node.spaces[message.space]):
            self._counts["refused"] += 1
            yield Refused(received.topic, f"seq {message.seq}: {why}")
            return
        self._count(message, len(received.payload))
        yield Accepted(topic, message, len(received.payload))

    def _check_space(self, node: _Node, topic: Topic, *, space: str) -> str | None:
        """Why a message of this space must not be used; None if it may."""
        if topic.space not in (None, space):
            return f"its space is {space}, but its topic names {topic.space}"
        if self._space not in (None, space):
            return f"expected space {self._space}, found {space}: its descriptors cannot be compared with yours"
        if space not in node.spaces:
            known = ", ".join(sorted(node.spaces)) or "no space at all"
            return f"expected a space of the node's birth ({known}), found {space}: it cannot be compared with anything"
        return None

    def _count(self, message: Message, payload_bytes: int) -> None:
        self._counts["messages"] += 1
        self._counts["tracks"] += message.track not in self._tracks
        self._tracks[message.track] = None
        self._tracks.move_to_end(message.track)
        if len(self._tracks) > _TRACKS_KEPT:
            self._tracks.popitem(last=False)
        self._counts["historical"] += message.historical
        if not isinstance(message, DescriptorMessage):
            return
        self._counts["descriptors"] += 1
        self._counts["bytes"] += payload_bytes
        if not message.historical:
            self._latencies_ms.append((message.publish_ns - message.capture_ns - (message.waited_ns or 0)) / 1e6)


def _length(model: ModelCard) -> int | None:
    """The length of the model's descriptors, if its manifest says it as we do."""
    descriptor = (model.model_extra or {}).get("descriptor")
    length = descriptor.get("length") if isinstance(descriptor, dict) else None
    return length if isinstance(length, int) else None


def _check_observation(message: Message, *, length: int | None) -> str | None:
    """Why the box or the vector must not be used; None if they may. length: what the birth says, None: nothing.

    Raises:
        DataError: the number of bytes does not fit codec and length.
    """
    left, top, right, bottom = message.box
    if right < left or bottom < top:
        return f"expected a box (left, top, right, bottom), found {message.box}"
    vector = message.descriptor
    if vector is None:
        return None
    if vector.scale <= 0:
        return f"expected a scale above 0, found {vector.scale:g}"
    is_usable = has_direction(vector.encoded())
    if length not in (None, vector.length):
        return f"expected {length} numbers in its vector, as the node's birth says, found {vector.length}"
    if not is_usable:
        return "expected a vector of finite numbers that are not all 0"
    return None


def _printable(text: str) -> str:
    """The text with control characters written out, cut where it gets long."""
    shown = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}..."
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in shown)


def _summarise(name: str, node: _Node) -> list[NodeSummary]:
    """One account, or one of each run if runs used the same numbers."""
    sequence = node.sequence
    if not sequence.is_reused:
        return [NodeSummary(name, sequence.first, sequence.last, tuple(sequence.missing()))]
    return [
        NodeSummary(f"{name} boot {boot}", numbers.start, numbers.stop - 1, tuple(missing))
        for boot, (numbers, missing) in sequence.accounts().items()
    ]
