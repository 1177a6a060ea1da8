"""Stores messages in the spool and sends them to the broker; connects again after every loss of the connection.

A message leaves the spool only when the broker has acknowledged it. Messages that were spooled before the current
connection was established are the backlog: they are sent at a limited rate and marked `historical`.

Threads: the `publish...` methods only store what is to be sent; one thread, named `publisher`, does everything that
touches the network (`Connection`, `Delivery`).
"""

import json
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, JsonValue

from edge_runtime.contract.errors import ReidError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.link import topics
from edge_runtime.link.broker import ClosedError, Connection, CredentialsError, Will, check_files
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.clock import UNKNOWN_NS, SystemClock
from edge_runtime.link.counters import Counts, LinkCounters
from edge_runtime.link.delivery import Delivery, DeliveryRates
from edge_runtime.link.entries import Entry, Priority
from edge_runtime.link.messages import Birth, CameraStatus, DescriptorMessage, Message, ModelCard, NodeStatus
from edge_runtime.link.retained import RetainedMessages
from edge_runtime.link.spool import Spool
from edge_runtime.link.takeover import TakeoverWatch
from edge_runtime.link.wire_format import encode_message

logger = logging.getLogger(__name__)

_SESSION_S = 24 * 3600
_LAST_STATUS_S = 1.0


@dataclass(frozen=True)
class DeliverySettings:
    """What happens after an outage.

    reconnect_max_s: upper bound of the random pause before the next attempt to connect; it starts at 1 s and doubles.
    backlog_per_s: how many older messages are sent per second, beside the live ones.
    """

    reconnect_max_s: Annotated[float, Field(gt=0)] = 5.0
    backlog_per_s: Annotated[float, Field(gt=0)] = 500.0


@dataclass(frozen=True)
class LinkSettings:
    """The names of this node, its broker, and how it sends.

    site, node: names in topics; the node's name is also the MQTT client id.
    will_delay_s: will delay interval: how long after a lost connection the broker publishes `offline`.
    backlog_per_s, reconnect_max_s: see `DeliverySettings`.
    refused_retry_s: pause after the broker refused our credentials, or a message on some topic.
    """

    broker: BrokerSettings
    site: str
    node: str
    will_delay_s: int = 5
    backlog_per_s: float = DeliverySettings.backlog_per_s
    reconnect_max_s: float = DeliverySettings.reconnect_max_s
    refused_retry_s: float = 60.0


@dataclass(frozen=True)
class LinkFacts:
    """State of the link.

    fault: why there is no connection. is_taken_over: another machine uses our name. spool_fault: why the disk cannot
    be written. waiting: messages to be delivered.
    spooled: messages that were written to the disk. dropped: messages given up, by reason. damages: how often the
    spool's file was found damaged. spool_hours: how long the spool lasts without a broker at the present rate.
    """

    is_connected: bool
    is_taken_over: bool
    spool_fault: str | None
    fault: str | None
    counts: Counts
    waiting: int
    spooled: int
    spool_bytes: int
    spool_hours: float | None
    is_clock_synchronised: bool | None
    dropped: Mapping[str, int]
    damages: int


class Publisher:
    """Publishes a node's messages: `start`, `publish` as often as needed, `stop`. It does not close the spool.

    node_card, manifests: content of the retained birth: what this node is, and the models whose descriptors it sends.
    Thread-safe: any thread may call the public methods. `_run` and what it calls run in the publisher's own thread.

    Raises:
        ConfigError: a name cannot be part of a topic, or a certificate or credentials file cannot be used.
    """

    def __init__(
        self,
        settings: LinkSettings,
        spool: Spool,
        *,
        node_card: Mapping[str, JsonValue],
        manifests: Sequence[Manifest],
    ) -> None:
        check_files(settings.broker)
        self.settings, self.spool = settings, spool
        self._retained, self._counters = RetainedMessages(), LinkCounters()
        self._watch = TakeoverWatch()
        self._clock, self._large_topics = SystemClock(), set[str]()
        self._stopping = threading.Event()
        self._deadline = 0.0
        self._delivery: Delivery | None = None
        self._fault: str | None = "not connected yet"
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._models = tuple(ModelCard.of(manifest) for manifest in manifests)
        self.publish_birth(node_card)

    def start(self) -> None:
        """Start the thread that connects and sends. A broker that cannot be reached is no error."""
        self._thread.start()

    def publish(self, camera: str, batch: Sequence[Message]) -> range:
        """Hand messages of one camera to the spool, and return their sequence numbers. It does not wait for the disk.

        They are sent as soon as the broker accepts them.

        Raises:
            ConfigError: `camera` cannot be part of a topic.
        """
        numbers = self.spool.append([self._make_entry(camera, message) for message in batch])
        self._counters.add_accepted(len(numbers))
        self._wake_connection()
        return numbers

    def publish_birth(self, node_card: Mapping[str, JsonValue]) -> None:
        """Publish what this node is, retained, with its models. The latest is sent again after each reconnection."""
        birth = Birth(boot=self.spool.boot, node_card=dict(node_card), models=self._models)
        self._retained.put_retained(self._topic("birth"), birth.model_dump_json().encode())
        self._wake_connection()

    def publish_camera_status(self, camera: str, status: CameraStatus) -> None:
        """Publish the state of a camera, retained. The latest is sent again after each reconnection."""
        topic = topics.camera_topic(self.settings.site, self.settings.node, camera=camera, leaf="status")
        self._retained.put_retained(topic, status.model_dump_json().encode())
        self._wake_connection()

    def publish_metrics(self, metrics: Mapping[str, JsonValue]) -> None:
        """Publish figures once, with QoS 0. They are dropped if there is no connection."""
        self._retained.put_once(self._topic("metrics"), json.dumps(metrics).encode())
        self._wake_connection()

    def facts(self) -> LinkFacts:
        """State of the link, for metrics, health and the summary at the end."""
        return LinkFacts(
            is_connected=self._delivery is not None,
            is_taken_over=self._watch.is_taken_over,
            spool_fault=self.spool.fault,
            fault=self._fault,
            counts=self._counters.counts(),
            waiting=self.spool.count(),
            spooled=self.spool.spooled,
            spool_bytes=self.spool.used_bytes(),
            spool_hours=self.spool.hours(),
            is_clock_synchronised=self._clock.is_synchronised(),
            dropped={str(why): count for why, count in self.spool.dropped.items()},
            damages=self.spool.damages,
        )

    def stop(self, timeout_s: float) -> int:
        """Send what is in the spool for up to `timeout_s`, then publish `stopped` (up to 1 s more) and disconnect.

        Returns how many messages stay in the spool for the next run.
        """
        self._deadline = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake_connection()
        if self._thread.is_alive():
            self._thread.join(timeout_s + _LAST_STATUS_S)
        return self.spool.count()

    def _topic(self, leaf: str) -> str:
        return topics.node_topic(self.settings.site, self.settings.node, leaf=leaf)

    def _make_entry(self, camera: str, message: Message) -> Entry:
        site, node = self.settings.site, self.settings.node
        message = self._judge_time(message)
        if isinstance(message, DescriptorMessage):
            topic = topics.descriptor_topic(site, node, camera=camera, space=message.space)
            priority = Priority.CROP if message.kind == "crop" else Priority.TRACK
        else:
            topic = topics.camera_topic(site, node, camera=camera, leaf="track")
            priority = Priority.TRACK_END if message.event == "end" else Priority.TRACK
        return Entry(topic, encode_message(message), priority)

    def _judge_time(self, message: Message) -> Message:
        """Write into a message how accurate the clock is that its times come from."""
        known: dict[str, object] = {"is_clock_synchronised": self._clock.is_synchronised()}
        if known["is_clock_synchronised"] is False and message.time_source != "file":
            known["uncertainty_ns"] = UNKNOWN_NS
        return message.model_copy(update=known)

    def _wake_connection(self) -> None:
        if delivery := self._delivery:
            delivery.connection.wake()

    def _run(self) -> None:
        """The publisher's thread: connect and send until `stop`, with full-jitter exponential backoff in between."""
        attempts = 0
        while True:
            began = time.monotonic()
            bound_s = min(2.0**attempts, self.settings.reconnect_max_s)
            attempts += 1
            pause_s = random.uniform(0, bound_s)
            try:
                self._deliver()
            except CredentialsError as error:
                pause_s = random.uniform(0.5, 1.0) * self.settings.refused_retry_s
                self._report(f"{error}. Messages stay in the spool meanwhile")
            except ClosedError as error:
                if self._handle_closed(error):
                    # Whoever connects again at once takes the session back, and both go on for ever.
                    pause_s = random.uniform(0.5, 1.0) * self.settings.refused_retry_s
            except ReidError as error:
                self._watch.note_unreachable()
                self._report(f"{error}. Messages stay in the spool, trying again")
            except Exception as error:
                # Nobody would see a bug that ends this thread: log it, and connect again.
                logger.exception("the publisher failed and starts again")
                self._fault = str(error)
            if time.monotonic() - began > bound_s + self.settings.broker.connect_timeout_s:
                attempts = 0
            if self._stopping.wait(pause_s):
                return

    def _deliver(self) -> None:
        """Connect and publish until the connection is lost, or until everything is sent after `stop`."""
        settings = self.settings
        will = Will(self._topic("status"), self._status("offline"), settings.will_delay_s)
        connection = Connection(settings.broker, client_id=settings.node, session_s=_SESSION_S, will=will)
        try:
            delivery = self._start_delivery(connection)
            while not self._stopping.is_set():
                delivery.run_once(0.5)
                self._watch.note_calm()
            while not delivery.is_finished() and time.monotonic() < self._deadline:
                delivery.run_once(0.05)
            delivery.publish_last(self._topic("status"), self._status("stopped"), timeout_s=_LAST_STATUS_S)
            connection.close()
        finally:
            self._delivery, self.spool.is_online = None, False
            connection.drop()

    def _start_delivery(self, connection: Connection) -> Delivery:
        logger.info("connected to the broker %s", self.settings.broker)
        self._counters.add_connection()
        self._watch.note_connected()
        self._fault, self.spool.is_online = None, True
        self._retained.put_retained(self._topic("status"), self._status("online"))
        self._retained.reset()
        self._delivery = Delivery(
            connection,
            self.spool,
            retained=self._retained,
            counters=self._counters,
            gap_topic=self._topic("gap"),
            rates=DeliveryRates(self.settings.backlog_per_s, self.settings.refused_retry_s),
            large_topics=self._large_topics,
        )
        return self._delivery

    def _status(self, state: str) -> bytes:
        is_known = state != "offline"
        fields = {
            "state": state,
            "boot": self.spool.boot,
            "oldest_seq": self.spool.oldest() if is_known else None,
            "next_seq": self.spool.next_seq if is_known else None,
        }
        status = NodeStatus.model_validate(fields)
        return status.model_dump_json().encode()

    def _handle_closed(self, error: ClosedError) -> bool:
        """Report the end of a connection. Returns whether another client has taken it over."""
        was_taken_over = self._watch.is_taken_over
        self._watch.note_closed(is_told=error.is_taken_over)
        if not self._watch.is_taken_over:
            self._report(f"{error}. Messages stay in the spool, trying again")
            return False
        self._fault = (
            f"another client takes over our connection to the broker {self.settings.broker}: a second machine has the "
            f"name {self.settings.node!r}, perhaps from a copied disk image; give each node its own"
        )
        if not was_taken_over:
            logger.error("%s. Messages stay in the spool meanwhile", self._fault)
        return True

    def _report(self, fault: str) -> None:
        """Log a fault once, until another fault or a connection follows."""
        if fault != self._fault:
            logger.warning("%s", fault)
        self._fault = fault
