"""What one connection delivers: statuses, gaps, live messages first, then the backlog at a bounded rate."""

import contextlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import cbor2
from pydantic import BaseModel, ConfigDict

from edge_runtime.contract.errors import PublishError
from edge_runtime.link import messages, topics
from edge_runtime.link.broker import Acknowledged, Connection
from edge_runtime.link.counters import LinkCounters
from edge_runtime.link.retained import RetainedMessages
from edge_runtime.link.spool import Gap, Row, Spool

logger = logging.getLogger(__name__)

CONTENT_TYPES = {leaf: f"application/vnd.reid.{leaf}+cbor;v=1" for leaf in ("descriptor", "track", "gap")}
_TIDY_INTERVAL_S = 1.0
_ANSWER_S = 30.0  # a broker that answers pings but no publish for so long would hold the link up for ever


@dataclass(frozen=True)
class _Sent:
    """What waits for the broker's answer: a row of the spool, a gap, or (neither) a status.

    capture_ns: of a live descriptor. A track's end is said long after its last capture, so its delay says nothing.
    """

    topic: str
    row: Row | None = None
    capture_ns: int | None = None
    is_historical: bool = False
    gap: Gap | None = None
    at_s: float = field(default_factory=time.monotonic)


class _Carried(BaseModel):
    """What must be sound in a spooled message to send it; the receiver, whose version may differ, checks the rest."""

    model_config = ConfigDict(frozen=True, strict=True)

    space: messages.Space
    capture_ns: messages.Unsigned
    descriptor: messages.Vector | None


@dataclass(frozen=True)
class _Packet:
    """A row made ready to be sent."""

    leaf: str
    carried: _Carried
    payload: bytes


class Delivery:
    """Lives as long as its connection, in one thread. Numbers from the spool's `next_seq` at its birth on are live.

    backlog_per_s: how many older messages are sent per second.
    refused_retry_s: for how long a topic rests after the broker refused a message of it.
    """

    def __init__(
        self,
        connection: Connection,
        spool: Spool,
        *,
        retained: RetainedMessages,
        counters: LinkCounters,
        gap_topic: str,
        backlog_per_s: float,
        refused_retry_s: float,
    ) -> None:
        self.connection, self._spool, self._retained, self._counters = connection, spool, retained, counters
        self._gap_topic, self._backlog_per_s, self._refused_retry_s = gap_topic, backlog_per_s, refused_retry_s
        self._horizon = self._live_next = spool.next_seq
        self._backlog_next = 0
        self._sent: dict[int, _Sent] = {}
        self._resting: dict[str, float] = {}
        self._refused: set[str] = set()
        self._tidy_at = self._tokens_at = time.monotonic()
        self._tokens = 1.0

    def turn(self, patience_s: float) -> None:
        """Send what may be sent, wait for answers or news, and settle the answers.

        Raises:
            PublishError: the connection is gone, the broker does not answer, or the spool cannot be read.
        """
        self._tidy()
        self._send_statuses()
        self._send_live()
        self._send_backlog()
        if self._backlog_next < self._horizon:
            patience_s = min(patience_s, 1.0 / self._backlog_per_s)
        self._take_answers(patience_s)

    def is_finished(self) -> bool:
        """Whether the broker has everything."""
        return not self._sent and not self._spool.count() and not self._spool.gaps()

    def say_last(self, topic: str, payload: bytes, *, timeout_s: float) -> None:
        """Wait for the answers to all that is under way, then publish a last retained word and wait for its answer.

        Raises:
            PublishError: the connection is gone.
        """
        deadline = time.monotonic() + timeout_s
        self._wait_for_answers(deadline)
        self._publish_status(topic, payload, is_retained=True)
        self._wait_for_answers(deadline)

    def _take_answers(self, patience_s: float) -> None:
        acknowledged, _ = self.connection.step(patience_s)
        delivered = [seq for answer in acknowledged if (seq := self._settle(answer)) is not None]
        if delivered:
            self._spool.acknowledge(delivered)

    def _wait_for_answers(self, deadline: float) -> None:
        while self._sent and (left_s := deadline - time.monotonic()) > 0:
            self._take_answers(left_s)

    @property
    def _room(self) -> int:
        return self.connection.window - len(self._sent)

    def _tidy(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._tokens + (now - self._tokens_at) * self._backlog_per_s, max(1.0, self._backlog_per_s))
        self._tokens_at = now
        if now < self._tidy_at:
            return
        self._tidy_at = now + _TIDY_INTERVAL_S
        oldest = next(iter(self._sent.values()), None)
        if oldest and now - oldest.at_s > _ANSWER_S:
            broker = self.connection.settings
            raise PublishError(f"the broker {broker} has not answered a message of {oldest.topic} for {_ANSWER_S:g} s")
        self._spool.tidy()
        self._send_gaps()
        for topic in [topic for topic, until in self._resting.items() if until < now]:
            del self._resting[topic]
            # Rows of this topic were passed over: look through everything again; what is under way is left out.
            self._live_next, self._backlog_next = self._horizon, 0

    def _send_statuses(self) -> None:
        while self._room > 0 and (status := self._retained.take()):
            topic, payload, is_retained = status
            self._publish_status(topic, payload, is_retained=is_retained)

    def _publish_status(self, topic: str, payload: bytes, *, is_retained: bool) -> None:
        number = self.connection.publish(topic, payload, qos=int(is_retained), is_retained=is_retained)
        if is_retained:
            self._sent[number] = _Sent(topic)

    def _send_gaps(self) -> None:
        underway = {sent.gap for sent in self._sent.values()}
        for gap in [gap for gap in self._spool.gaps() if gap not in underway][: max(self._room, 0)]:
            payload = messages.encode_message(
                messages.GapMessage(
                    boot=self._spool.boot, first=gap.first, last=gap.last, why=gap.why, publish_ns=time.time_ns()
                )
            )
            number = self.connection.publish(self._gap_topic, payload, qos=1, content_type=CONTENT_TYPES["gap"])
            self._sent[number] = _Sent(self._gap_topic, gap=gap)

    def _send_live(self) -> None:
        stop, room = self._spool.next_seq, self._room
        if room > 0 and self._live_next < stop:
            rows = self._pending(self._live_next, stop=stop, limit=room)
            self._live_next = rows[-1].seq + 1 if len(rows) == room else stop
            self._send_rows(rows, is_historical=False)

    def _send_backlog(self) -> None:
        room = min(self._room, int(self._tokens))
        if room > 0 and self._backlog_next < self._horizon:
            rows = self._pending(self._backlog_next, stop=self._horizon, limit=room)
            self._backlog_next = rows[-1].seq + 1 if len(rows) == room else self._horizon
            self._tokens -= len(rows)
            self._send_rows(rows, is_historical=True)

    def _pending(self, first: int, *, stop: int, limit: int) -> list[Row]:
        return self._spool.pending(first=first, stop=stop, limit=limit, without_topics=list(self._resting))

    def _send_rows(self, rows: Sequence[Row], *, is_historical: bool) -> None:
        underway = {sent.row.seq for sent in self._sent.values() if sent.row}
        for row in rows:
            if row.seq not in underway and not self._spool.is_delivered(row.seq):
                self._send_row(row, is_historical=is_historical)

    def _send_row(self, row: Row, *, is_historical: bool) -> None:
        now_ns = time.time_ns()
        try:
            packet = _pack(row, publish_ns=now_ns, is_historical=is_historical)
        except PublishError as error:  # one bad sector must not hold up all the others
            logger.error("%s: it is dropped and reported as lost", error)
            with contextlib.suppress(PublishError):  # a full disk: dropped with the next connection
                self._spool.drop_damaged(row.seq)
            return
        carried = packet.carried
        codec = {"codec": carried.descriptor.codec} if carried.descriptor else {}
        number = self.connection.publish(
            row.topic,
            packet.payload,
            qos=1,
            content_type=CONTENT_TYPES[packet.leaf],
            expiry_s=max(1, int(self._spool.max_age_s - (now_ns - row.created_ns) / 1e9)),
            user={"space": carried.space, "boot": row.boot, "seq": str(row.seq), **codec},
        )
        is_timed = packet.leaf == "descriptor" and not is_historical
        self._sent[number] = _Sent(row.topic, row, carried.capture_ns if is_timed else None, is_historical)

    def _settle(self, answer: Acknowledged) -> int | None:
        """Take the broker's answer to one message; return the number of the row that may go."""
        sent = self._sent.pop(answer.number, None)
        if sent is None:
            return None
        if answer.refusal is not None:
            self._rest(sent.topic, answer.refusal)
            return None
        if sent.topic in self._refused:
            self._refused.remove(sent.topic)
            logger.info("the broker %s takes messages of %s again", self.connection.settings, sent.topic)
        if sent.gap:
            self._spool.acknowledge_gap(sent.gap)
        if sent.row is None:
            return None
        latency_ms = None if sent.capture_ns is None else (time.time_ns() - sent.capture_ns) / 1e6
        self._counters.add_delivered(is_historical=sent.is_historical, latency_ms=latency_ms)
        return sent.row.seq

    def _rest(self, topic: str, refusal: str) -> None:
        self._counters.add_refused()
        if topic not in self._refused:
            sentence = "the broker %s refuses messages of %s: %s; check its access list. What is spooled is kept"
            logger.error(sentence, self.connection.settings, topic, refusal)
        self._refused.add(topic)
        self._resting[topic] = time.monotonic() + self._refused_retry_s


def _pack(row: Row, *, publish_ns: int, is_historical: bool) -> _Packet:
    """Put into a spooled message what is known only when it is sent.

    Raises:
        PublishError: the row is damaged.
    """
    try:
        leaf = topics.parse_topic(row.topic).leaf
        fields = cbor2.loads(row.payload)
        carried = _Carried.model_validate(fields)
        fields |= {"boot": row.boot, "seq": row.seq, "publish_ns": publish_ns, "historical": is_historical}
        return _Packet(leaf, carried, cbor2.dumps(fields))
    except (cbor2.CBORError, TypeError, ValueError, RecursionError, PublishError) as error:
        reason = " ".join(str(error).split())
        raise PublishError(f"message {row.seq} of the spool is damaged ({reason})") from error
