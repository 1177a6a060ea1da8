"""What is sent over one connection: statuses, gaps, live messages, then the backlog at a limited rate."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import cbor2
from pydantic import BaseModel, ConfigDict

from edge_runtime.contract.errors import PublishError
from edge_runtime.link import topics
from edge_runtime.link.broker import Acknowledgement, Connection, TooLargeError
from edge_runtime.link.counters import LinkCounters
from edge_runtime.link.entries import Gap, SpooledMessage
from edge_runtime.link.messages import Birth, GapMessage, Vector
from edge_runtime.link.retained import RetainedMessages
from edge_runtime.link.spool import Spool
from edge_runtime.link.wire_format import encode_message, seal
from edge_runtime.link.wire_types import Space, Unsigned

logger = logging.getLogger(__name__)

CONTENT_TYPES = {leaf: f"application/vnd.reid.{leaf}+cbor;v=1" for leaf in ("descriptor", "track", "gap")}
_TIDY_INTERVAL_S = 1.0
_ANSWER_TIMEOUT_S = 30.0  # some brokers answer pings but no publish; without a limit the link would wait for ever


@dataclass(frozen=True)
class DeliveryRates:
    """How fast messages are sent.

    backlog_per_s: how many older messages are sent per second.
    refused_retry_s: how long a topic is paused after the broker refused a message on it.
    """

    backlog_per_s: float
    refused_retry_s: float


@dataclass(frozen=True)
class _InFlight:
    """A publish that the broker has not acknowledged yet: a spooled message, a gap, or (neither) a retained message.

    due_ns: when a live descriptor could be sent at the earliest, for the latency: its capture, or later where the node
    waited for a better moment. None for the end of a track: it is sent long after its capture.
    """

    topic: str
    spooled: SpooledMessage | None = None
    due_ns: int | None = None
    is_historical: bool = False
    gap: Gap | None = None
    sent_s: float = field(default_factory=time.monotonic)


class _NeededFields(BaseModel):
    """The fields of a spooled message that sending needs. The receiver checks the rest."""

    model_config = ConfigDict(frozen=True, strict=True)

    space: Space
    capture_ns: Unsigned
    descriptor: Vector | None
    waited_ns: Unsigned | None = None


@dataclass(frozen=True)
class _Packet:
    """A spooled message with its final payload."""

    leaf: str
    fields: _NeededFields
    payload: bytes


class Delivery:
    """Sends what is in the spool over one connection, and removes from the spool what the broker acknowledged.

    Lives as long as the connection. Messages from `spool.next_seq` at construction on are live, older ones backlog.
    Not thread-safe: the publisher's thread constructs it and calls all methods.
    """

    def __init__(
        self,
        connection: Connection,
        spool: Spool,
        *,
        retained: RetainedMessages,
        counters: LinkCounters,
        gap_topic: str,
        rates: DeliveryRates,
        large_topics: set[str],
    ) -> None:
        """large_topics: topics of messages that were too large for the broker; shared by all connections."""
        self.connection, self._spool, self._retained, self._counters = connection, spool, retained, counters
        self._gap_topic, self._rates = gap_topic, rates
        self._backlog_stop = self._live_next = spool.next_seq
        self._backlog_next, self._openings = 0, spool.openings
        self._in_flight: dict[int, _InFlight] = {}
        self._paused_until: dict[str, float] = {}
        self._refused_topics: set[str] = set()
        self._large_topics = large_topics
        self._tidy_at = self._tokens_at = time.monotonic()
        self._tokens = 1.0

    def run_once(self, wait_s: float) -> None:
        """Send what may be sent now, wait up to `wait_s` for answers or a `wake`, and handle the answers.

        Raises:
            PublishError: the connection is lost, or the broker does not answer.
        """
        self._refill_tokens()
        self._tidy()
        self._send_statuses()
        self._send_live()
        self._send_backlog()
        if self._backlog_next < self._backlog_stop:
            wait_s = min(wait_s, 1.0 / self._rates.backlog_per_s)
        self._handle_answers(wait_s)

    def is_finished(self) -> bool:
        """Whether the broker has acknowledged everything."""
        return not self._in_flight and not self._spool.count() and not self._spool.gaps()

    def publish_last(self, topic: str, payload: bytes, *, timeout_s: float) -> None:
        """Wait for the answers to everything in flight, then publish one more retained message and wait for its answer.

        Raises:
            PublishError: the connection is lost.
        """
        deadline = time.monotonic() + timeout_s
        self._wait_for_answers(deadline)
        self._publish_status(topic, payload, is_retained=True)
        self._wait_for_answers(deadline)

    def _handle_answers(self, wait_s: float) -> None:
        answers, _ = self.connection.step(wait_s)
        delivered = [seq for answer in answers if (seq := self._handle_answer(answer)) is not None]
        if delivered:
            self._spool.acknowledge(delivered)

    def _wait_for_answers(self, deadline: float) -> None:
        while self._in_flight and (left_s := deadline - time.monotonic()) > 0:
            self._handle_answers(left_s)

    @property
    def _free_slots(self) -> int:
        """How many more publishes may be in flight."""
        return self.connection.receive_maximum - len(self._in_flight)

    def _refill_tokens(self) -> None:
        """Token bucket for the backlog: one token per message, refilled at the rate, holding those of one second."""
        now, rate = time.monotonic(), self._rates.backlog_per_s
        self._tokens = min(self._tokens + (now - self._tokens_at) * rate, max(1.0, rate))
        self._tokens_at = now

    def _tidy(self) -> None:
        """Once per second: check for a broker that does not answer, tidy the spool, send gaps, resume paused topics."""
        now = time.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + _TIDY_INTERVAL_S
        oldest = next(iter(self._in_flight.values()), None)
        if oldest and now - oldest.sent_s > _ANSWER_TIMEOUT_S:
            broker = self.connection.settings
            raise PublishError(
                f"the broker {broker} has not acknowledged a message on {oldest.topic} for {_ANSWER_TIMEOUT_S:g} s"
            )
        if self._openings != self._spool.openings:  # its database could not be read when this connection began
            self._openings, self._backlog_next = self._spool.openings, 0
        self._send_gaps()
        for topic in [topic for topic, until in self._paused_until.items() if until < now]:
            del self._paused_until[topic]
            # Messages on this topic were skipped: read the spool again from the start, without what is in flight.
            self._live_next, self._backlog_next = self._backlog_stop, 0

    def _send_statuses(self) -> None:
        while self._free_slots > 0 and (status := self._retained.take()):
            topic, payload, is_retained = status
            self._publish_status(topic, payload, is_retained=is_retained)

    def _publish_status(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        try:
            packet_id = self.connection.publish(topic, payload, qos=int(is_retained), is_retained=is_retained)
        except TooLargeError as error:
            self._note_too_large(topic, error)
            if topic.endswith("/birth") and (short := Birth.shorten(payload)) != payload:
                self._publish_status(topic, short, is_retained=is_retained)
            return
        if is_retained:
            self._in_flight[packet_id] = _InFlight(topic)

    def _send_gaps(self) -> None:
        in_flight = {sent.gap for sent in self._in_flight.values()}
        for gap in [gap for gap in self._spool.gaps() if gap not in in_flight][: max(self._free_slots, 0)]:
            message = GapMessage(
                boot=self._spool.boot, first=gap.first, last=gap.last, why=gap.why, publish_ns=time.time_ns()
            )
            content_type = CONTENT_TYPES["gap"]
            packet_id = self.connection.publish(
                self._gap_topic, seal(encode_message(message)), qos=1, content_type=content_type
            )
            self._in_flight[packet_id] = _InFlight(self._gap_topic, gap=gap)

    def _send_live(self) -> None:
        stop, slots = self._spool.next_seq, self._free_slots
        if slots > 0 and self._live_next < stop:
            pending = self._pending(self._live_next, stop=stop, limit=slots)
            if pending is not None:
                self._live_next = pending[-1].seq + 1 if len(pending) == slots else stop
                self._send_spooled(pending, is_historical=False)

    def _send_backlog(self) -> None:
        # Some places stay free for live messages, unless the broker takes only a few at once.
        slots = min(self._free_slots - self.connection.receive_maximum // 10, int(self._tokens))
        if slots > 0 and self._backlog_next < self._backlog_stop:
            pending = self._pending(self._backlog_next, stop=self._backlog_stop, limit=slots)
            if pending is not None:
                self._backlog_next = pending[-1].seq + 1 if len(pending) == slots else self._backlog_stop
                self._tokens -= len(pending)
                self._send_spooled(pending, is_historical=True)

    def _pending(self, first: int, *, stop: int, limit: int) -> list[SpooledMessage] | None:
        """Messages to send; None while the database cannot be read."""
        topics = list(self._paused_until)
        try:
            return self._spool.pending(first=first, stop=stop, limit=limit, without_topics=topics)
        except PublishError:  # another program has locked it: the spool logs that
            return None

    def _send_spooled(self, pending: Sequence[SpooledMessage], *, is_historical: bool) -> None:
        in_flight = {sent.spooled.seq for sent in self._in_flight.values() if sent.spooled}
        for spooled in pending:
            if spooled.seq not in in_flight and not self._spool.is_delivered(spooled.seq):
                self._send_one(spooled, is_historical=is_historical)

    def _send_one(self, spooled: SpooledMessage, *, is_historical: bool) -> None:
        now_ns = time.time_ns()
        try:
            packet = _pack(spooled, publish_ns=now_ns, is_historical=is_historical)
        except PublishError as error:  # one damaged message must not block all others
            logger.error("%s: it is dropped and reported as lost", error)
            self._spool.drop_damaged(spooled.seq)
            return
        fields = packet.fields
        codec = {"codec": fields.descriptor.codec} if fields.descriptor else {}
        try:
            packet_id = self.connection.publish(
                spooled.topic,
                packet.payload,
                qos=1,
                content_type=CONTENT_TYPES[packet.leaf],
                expiry_s=max(1, int(self._spool.max_age_s - (now_ns - spooled.created_ns) / 1e9)),
                user_properties={"space": fields.space, "boot": spooled.boot, "seq": str(spooled.seq), **codec},
            )
        except TooLargeError as error:  # it stays in the spool, for the next connection
            self._note_too_large(spooled.topic, error)
            return
        is_timed = packet.leaf == "descriptor" and not is_historical
        due_ns = fields.capture_ns + (fields.waited_ns or 0) if is_timed else None
        self._in_flight[packet_id] = _InFlight(spooled.topic, spooled, due_ns, is_historical)

    def _handle_answer(self, answer: Acknowledgement) -> int | None:
        """Handle the broker's answer to one publish. Returns the number of the spooled message that it has now."""
        sent = self._in_flight.pop(answer.packet_id, None)
        if sent is None:
            return None
        if answer.refusal is not None:
            self._pause_topic(sent.topic, answer.refusal)
            return None
        if sent.topic in self._refused_topics:
            self._refused_topics.remove(sent.topic)
            logger.info("the broker %s accepts messages on %s again", self.connection.settings, sent.topic)
        if sent.gap:
            self._spool.acknowledge_gap(sent.gap)
        if sent.spooled is None:
            return None
        latency_ms = None if sent.due_ns is None else (time.time_ns() - sent.due_ns) / 1e6
        self._counters.add_delivered(is_historical=sent.is_historical, latency_ms=latency_ms)
        return sent.spooled.seq

    def _note_too_large(self, topic: str, error: TooLargeError) -> None:
        """Say once per topic, over all connections, which limit of the broker is too low."""
        self._counters.add_refused()
        if topic not in self._large_topics:
            self._large_topics.add(topic)
            logger.error("%s: it is not sent; raise the broker's limit (mosquitto: max_packet_size)", error)

    def _pause_topic(self, topic: str, refusal: str) -> None:
        self._counters.add_refused()
        if topic not in self._refused_topics:
            sentence = "the broker %s refuses messages on %s: %s; check its access rules. They stay in the spool"
            logger.error(sentence, self.connection.settings, topic, refusal)
        self._refused_topics.add(topic)
        self._paused_until[topic] = time.monotonic() + self._rates.refused_retry_s


def _pack(spooled: SpooledMessage, *, publish_ns: int, is_historical: bool) -> _Packet:
    """Set the fields of a spooled message that are known only when it is sent.

    Raises:
        PublishError: the message is damaged.
    """
    try:
        leaf = topics.parse_topic(spooled.topic).leaf
        fields = cbor2.loads(spooled.payload)
        needed = _NeededFields.model_validate(fields)
        fields |= {
            "boot": spooled.boot,
            "seq": spooled.seq,
            "publish_ns": publish_ns,
            "historical": is_historical,
        }
        return _Packet(leaf, needed, seal(cbor2.dumps(fields)))
    except (cbor2.CBORError, TypeError, ValueError, RecursionError, PublishError) as error:
        reason = " ".join(str(error).split())
        raise PublishError(f"message {spooled.seq} of the spool is damaged ({reason})") from error
