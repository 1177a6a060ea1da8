"""From the broker into the gallery and back: messages in, identity messages out.

A message is acknowledged only when its row is on the disk. Until then the broker keeps it and sends it again, so that
a killed process, a full disk or a locked file loses nothing; the store drops what comes twice.
"""

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated

from edge_runtime.contract.errors import GalleryError, PublishError
from edge_runtime.contract.settings import checked_by
from edge_runtime.gallery.gallery import Gallery
from edge_runtime.gallery.home_assistant import PeopleSensors
from edge_runtime.link.broker import Connection, Received
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.topics import ROOT, check_name
from edge_runtime.receiver.receiver import Accepted, Noted, Receiver, Refused

logger = logging.getLogger(__name__)

_SESSION_S = 24 * 3600
_UNACKNOWLEDGED = 500
_MOST_WAITING = 4 * _UNACKNOWLEDGED
_BIRTH_S = 10.0  # how long messages wait for the birth of their node, which comes right after subscribing
_SETTLE_S = 1.0
_RETRY_MAX_S = 30.0
_IDENTITIES_AT_ONCE = 15
_LOGGED_REFUSALS = 20
_NOT_YET = "not connected yet"
_NAME = checked_by(lambda name: check_name(name, what="name"))
Name = Annotated[str, _NAME]


@dataclass(frozen=True)
class IntakeSettings:
    """What to receive.

    name: of the session that the broker keeps for a day while the gallery is away; two galleries need two names.
    sites: only these; empty: all. share: several galleries with the same word receive a part of the messages each
    (MQTT's shared subscription); each joins only the tracks that it received.
    """

    name: Name = "gallery"
    sites: tuple[Name, ...] = ()
    share: Name | None = None


@dataclass(frozen=True)
class IntakeState:
    """State of the intake. `broker` and `store` say what is wrong, None: nothing. since_ns: of the last row, UTC."""

    broker: str | None
    store: str | None
    last_row_ns: int | None
    stored: int
    refused: int
    duplicates: int
    unsent: int
    dropped: int
    last_refusal: str | None


@dataclass
class _Batch:
    """What was received and is not yet acknowledged."""

    accepted: list[Accepted] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    held: list[Received] = field(default_factory=list)


class Intake:
    """Call `run` in one thread; any thread may ask for the `state` and whether that thread `is_alive`.

    sensors: what else is published now and then; None: nothing.
    """

    def __init__(
        self,
        gallery: Gallery,
        settings: IntakeSettings,
        *,
        broker: BrokerSettings,
        sensors: PeopleSensors | None = None,
    ) -> None:
        self._sensors, self._sensors_at = sensors, 0.0
        self._gallery, self._settings, self._broker = gallery, settings, broker
        self._receiver = Receiver()
        self._counts: Counter[str] = Counter()
        self._batch = _Batch()
        self._unsent: list[tuple[int, int]] = []  # packet id and number of identity messages on their way
        self._acknowledged: set[int] = set()
        self._sent_up_to = 0
        self._broker_fault: str | None = _NOT_YET
        self._store_fault: str | None = None
        self._last_row_ns: int | None = None
        self._last_refusal: str | None = None
        self._retry_s, self._retry_at, self._settle_at = 1.0, 0.0, 0.0
        self._held_since = 0.0
        self._turned_s = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Receive until `stop` is set.

        Raises:
            ConfigError: a certificate or credentials file cannot be used.
        """
        pause_s = 1.0
        while not stop.is_set():
            try:
                connection = self._connect()
            except PublishError as error:
                self._note_broker(str(error))
                self._work(None)
                self._wait(stop, pause_s)
                pause_s = min(pause_s * 2, _RETRY_MAX_S)
                continue
            pause_s = 1.0
            self._note_broker(None)
            try:
                while not stop.is_set():
                    self._turn(connection)
                self._work(connection)
            except PublishError as error:
                self._note_broker(str(error))
            finally:
                self._forget_connection()
                connection.close()

    def is_alive(self) -> bool:
        """Whether the thread does its work; a long erasure may stop it for minutes."""
        return time.monotonic() - self._turned_s < 600

    def state(self) -> IntakeState:
        """State of the intake now."""
        return IntakeState(
            self._broker_fault,
            self._store_fault,
            self._last_row_ns,
            self._counts["stored"],
            self._receiver.count("refused"),
            self._receiver.count("duplicate"),
            len(self._unsent),
            self._counts["dropped"],
            self._last_refusal,
        )

    def _connect(self) -> Connection:
        connection = Connection(
            self._broker, client_id=self._settings.name, session_s=_SESSION_S, unacknowledged=_UNACKNOWLEDGED
        )
        try:
            # With QoS 0: a birth must come through while the allowed number of messages waits for just this birth.
            connection.subscribe(self._topics(("+/birth", "+/status"), share=None), qos=0)
            connection.subscribe(
                self._topics(("+/+/descriptor/+", "+/+/track", "+/gap"), share=self._settings.share), qos=1
            )
        except PublishError:
            connection.drop()
            raise
        self._held_since = time.monotonic()
        return connection

    def _topics(self, leaves: tuple[str, ...], *, share: str | None) -> list[str]:
        group = ["$share", share] if share else []
        return ["/".join((*group, *ROOT, site, leaf)) for site in self._settings.sites or ("+",) for leaf in leaves]

    def _turn(self, connection: Connection) -> None:
        """Receive for a moment, store it, acknowledge it, and send what was decided."""
        self._turned_s = time.monotonic()
        acknowledged, received = connection.step(0.05 if self._batch.received else 0.5)
        self._acknowledged |= {one.packet_id for one in acknowledged}
        for one in received:
            self._take(one)
        self._give_up_held()
        self._work(connection)

    def _work(self, connection: Connection | None) -> None:
        """Store what waits, then acknowledge it; after a fault, again when the pause is over."""
        if time.monotonic() < self._retry_at:
            return
        try:
            self._store()
            if connection:
                self._acknowledge(connection)
                self._send(connection)
                self._send_sensors(connection)
            if time.monotonic() >= self._settle_at:
                self._gallery.settle(self._gallery.clock.now_ns())
                self._settle_at = time.monotonic() + _SETTLE_S
        except GalleryError as error:
            self._note_store(str(error))
        else:
            self._note_store(None)

    def _take(self, received: Received) -> None:
        if not received.packet_id and len(self._batch.accepted) > _MOST_WAITING:
            self._counts["dropped"] += 1  # sent with QoS 0: nobody promised to keep it
            return
        events = list(self._receiver.take(received))
        for event in events:
            match event:
                case Accepted():
                    self._batch.accepted.append(event)
                case Refused(topic, why):
                    self._note_refusal(topic, why)
                case Noted(topic, text):
                    logger.debug("%s: %s", topic, text)
        if received.packet_id and events:
            self._batch.received.append(received)
        elif received.packet_id:
            self._held_since = self._held_since if self._batch.held else time.monotonic()
            self._batch.held.append(received)
        if self._batch.held and not self._receiver.is_holding():
            self._batch.received += self._batch.held
            self._batch.held = []

    def _give_up_held(self) -> None:
        """Refuse messages whose node has not said what it is for too long; they would stop all others."""
        if self._receiver.is_holding() and time.monotonic() - self._held_since > _BIRTH_S:
            for event in self._receiver.finish():
                if isinstance(event, Refused):
                    self._note_refusal(event.topic, event.why)
            self._batch.received += self._batch.held
            self._batch.held = []

    def _store(self) -> None:
        if self._batch.accepted:
            self._counts["stored"] += self._gallery.take(self._batch.accepted)
            self._batch.accepted = []
            self._last_row_ns = time.time_ns()

    def _acknowledge(self, connection: Connection) -> None:
        received, self._batch.received = self._batch.received, []
        for one in received:
            connection.acknowledge(one)

    def _send(self, connection: Connection) -> None:
        """Forget the identity messages that have arrived, and send the next ones."""
        if sent := [number for packet_id, number in self._unsent if packet_id in self._acknowledged]:
            self._gallery.sightings.mark_sent(sent)
            self._unsent = [one for one in self._unsent if one[1] not in sent]
        self._acknowledged.clear()
        free = _IDENTITIES_AT_ONCE - len(self._unsent)
        for one in self._gallery.sightings.unsent(after=self._sent_up_to, count=free) if free > 0 else []:
            packet_id = connection.publish(one.topic, one.payload, qos=1)
            self._unsent.append((packet_id, one.number))
            self._sent_up_to = one.number

    def _send_sensors(self, connection: Connection) -> None:
        if self._sensors is None or time.monotonic() < self._sensors_at:
            return
        self._sensors_at = time.monotonic() + self._sensors.every_s
        for one in self._sensors.notices(self._gallery.clock.now_ns()):
            connection.publish(one.topic, one.payload, qos=0, is_retained=True, expiry_s=one.expiry_s)

    def _forget_connection(self) -> None:
        """Rows wait on; packet ids mean nothing to the next connection, which receives the messages again."""
        self._batch.received, self._batch.held = [], []
        self._receiver.forget_held()
        self._unsent.clear()
        self._acknowledged.clear()
        self._sent_up_to = 0
        self._sensors_at = 0.0

    def _wait(self, stop: threading.Event, pause_s: float) -> None:
        deadline = time.monotonic() + pause_s
        while not stop.wait(0.2) and time.monotonic() < deadline:
            self._turned_s = time.monotonic()

    def _note_broker(self, fault: str | None) -> None:
        if (fault is None) != (self._broker_fault is None) or self._broker_fault == _NOT_YET:
            logger.warning("%s", f"{fault}; trying again" if fault else "connected to the broker")
        self._broker_fault = fault

    def _note_store(self, fault: str | None) -> None:
        if fault is None:
            if self._store_fault:
                logger.info("the gallery can be written again")
            self._retry_s, self._retry_at = 1.0, 0.0
        else:
            if not self._store_fault:
                logger.error("%s; nothing is acknowledged until then, trying again", fault)
            self._retry_at = time.monotonic() + self._retry_s
            self._retry_s = min(self._retry_s * 2, _RETRY_MAX_S)
        self._store_fault = fault

    def _note_refusal(self, topic: str, why: str) -> None:
        text = f"refused {topic!r}: {why!r}"
        self._last_refusal = text[:500]
        self._counts["logged"] += 1
        if self._counts["logged"] <= _LOGGED_REFUSALS:
            logger.error("%s", self._last_refusal)
            if self._counts["logged"] == _LOGGED_REFUSALS:
                logger.error("further refusals are only counted; /health shows the last one")
