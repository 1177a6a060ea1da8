"""From the spool to the broker, and back to it after every loss. A row goes only when the broker has it.

One thread does everything that touches the network. What was spooled before the present connection came up is backlog:
it is sent at a bounded rate and marked `historical`.
"""

import json
import logging
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from edge_runtime.contract.errors import PublishError, ReidError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.link import topics
from edge_runtime.link.broker import BrokerSettings, Connection, CredentialsError, Will, check_files
from edge_runtime.link.counters import Counts, LinkCounters
from edge_runtime.link.delivery import Delivery
from edge_runtime.link.messages import Birth, CameraStatus, DescriptorMessage, Message, NodeStatus, encode_message
from edge_runtime.link.retained import RetainedMessages
from edge_runtime.link.spool import Entry, Spool, Worth

logger = logging.getLogger(__name__)

_SESSION_S = 24 * 3600
_GOODBYE_S = 1.0


@dataclass(frozen=True)
class LinkSettings:
    """Who we are, where the broker is, and how patient we are with it.

    site, node: names in topics; the node's is the MQTT client id too.
    will_delay_s: how long the broker waits before it calls us offline.
    backlog_per_s: how many old messages go out per second beside the live ones.
    reconnect_max_s: the upper bound of the pause before an attempt to connect; it begins at 1 s and doubles.
    refused_retry_s: the pause after the broker refused our credentials, or a message of some topic.
    """

    broker: BrokerSettings
    site: str
    node: str
    will_delay_s: int = 5
    backlog_per_s: float = 50.0
    reconnect_max_s: float = 60.0
    refused_retry_s: float = 60.0


@dataclass(frozen=True)
class LinkFacts:
    """How the link is: `fault` says why it is not connected, `dropped` counts lost messages by reason."""

    is_connected: bool
    is_spooling: bool
    fault: str | None
    counts: Counts
    waiting: int
    spool_bytes: int
    dropped: Mapping[str, int]
    damages: int


class Publisher:
    """Thread-safe. `start` it, hand it messages, `stop` it; the spool stays its owner's, to be closed afterwards.

    node_card and manifests make the retained birth: what this node is, and the models whose descriptors it sends.

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
        self._ending = threading.Event()
        self._deadline = 0.0
        self._delivery: Delivery | None = None
        self._fault: str | None = "not connected yet"
        self._is_spooling = True
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        birth = Birth(boot=spool.boot, node_card=dict(node_card), models=tuple(manifests))
        self._retained.put_retained(self._topic("birth"), birth.model_dump_json().encode())

    def start(self) -> None:
        """Connect in the background; a broker that is not there is no error."""
        self._thread.start()

    def publish(self, camera: str, batch: Sequence[Message]) -> range:
        """Spool messages of one camera, all or none; they go out as soon as the broker takes them.

        Returns their sequence numbers. Everything of one step belongs in one call: it costs one write to the disk.

        Raises:
            PublishError: they could not be spooled; what was spooled before is kept.
            ConfigError: `camera` cannot be part of a topic.
        """
        entries = [self._entry(camera, message) for message in batch]
        try:
            numbers = self.spool.append(entries)
        except PublishError:
            self._is_spooling = False
            raise
        self._is_spooling = True
        self._counters.add_spooled(len(numbers))
        self._nudge()
        return numbers

    def publish_camera_status(self, camera: str, status: CameraStatus) -> None:
        """Tell how a camera is, retained; the broker hears the latest again after each reconnection."""
        topic = topics.camera_topic(self.settings.site, self.settings.node, camera=camera, leaf="status")
        self._retained.put_retained(topic, status.model_dump_json().encode())
        self._nudge()

    def publish_metrics(self, metrics: Mapping[str, JsonValue]) -> None:
        """Send figures once, with QoS 0; they are forgotten if the broker is not there."""
        self._retained.put_once(self._topic("metrics"), json.dumps(metrics).encode())
        self._nudge()

    def facts(self) -> LinkFacts:
        """How the link is, for metrics, health and the summary at the end."""
        return LinkFacts(
            is_connected=self._delivery is not None,
            is_spooling=self._is_spooling,
            fault=self._fault,
            counts=self._counters.counts(),
            waiting=self.spool.count(),
            spool_bytes=self.spool.used_bytes(),
            dropped={str(why): count for why, count in self.spool.dropped.items()},
            damages=self.spool.damages,
        )

    def stop(self, timeout_s: float) -> int:
        """Send what still waits for as long as `timeout_s` allows, then take up to 1 s to say `stopped` and leave.

        Returns how many messages stay in the spool for the next run.
        """
        self._deadline = time.monotonic() + timeout_s
        self._ending.set()
        self._nudge()
        if self._thread.is_alive():
            self._thread.join(timeout_s + _GOODBYE_S)
        return self.spool.count()

    def _topic(self, leaf: str) -> str:
        return topics.node_topic(self.settings.site, self.settings.node, leaf=leaf)

    def _entry(self, camera: str, message: Message) -> Entry:
        site, node = self.settings.site, self.settings.node
        if isinstance(message, DescriptorMessage):
            topic = topics.descriptor_topic(site, node, camera=camera, space=message.space)
            worth = Worth.CROP if message.kind == "crop" else Worth.TRACK
        else:
            topic = topics.camera_topic(site, node, camera=camera, leaf="track")
            worth = Worth.TRACK_END if message.event == "end" else Worth.TRACK
        return Entry(topic, encode_message(message), worth)

    def _nudge(self) -> None:
        if delivery := self._delivery:
            delivery.connection.wake()

    def _run(self) -> None:
        attempts = 0
        while True:
            began = time.monotonic()
            bound_s = min(2.0**attempts, self.settings.reconnect_max_s)
            attempts += 1
            pause_s = random.uniform(0, bound_s)
            try:
                self._serve()
            except CredentialsError as error:
                pause_s = random.uniform(0.5, 1.0) * self.settings.refused_retry_s
                self._report(f"{error}. Messages are kept in the spool meanwhile")
            except ReidError as error:
                self._report(f"{error}. Messages are kept in the spool, trying again")
            except Exception as error:
                # A thread has no caller to see a bug: say it loudly and begin anew rather than end in silence.
                logger.exception("the publisher failed and begins anew")
                self._fault = str(error)
            if time.monotonic() - began > bound_s + self.settings.broker.connect_timeout_s:
                attempts = 0
            if self._ending.wait(pause_s):
                return

    def _serve(self) -> None:
        """Connect and publish until the connection is lost, or until everything is said after `stop`."""
        settings = self.settings
        will = Will(self._topic("status"), self._status("offline"), settings.will_delay_s)
        connection = Connection(settings.broker, client_id=settings.node, session_s=_SESSION_S, will=will)
        try:
            delivery = self._begin(connection)
            while not self._ending.is_set():
                delivery.turn(0.5)
            while not delivery.is_finished() and time.monotonic() < self._deadline:
                delivery.turn(0.05)
            delivery.say_last(self._topic("status"), self._status("stopped"), timeout_s=_GOODBYE_S)
            connection.close()
        finally:
            self._delivery = None
            connection.abandon()

    def _begin(self, connection: Connection) -> Delivery:
        logger.info("connected to the broker %s", self.settings.broker)
        self._counters.add_connection()
        self._fault = None
        self._retained.put_retained(self._topic("status"), self._status("online"))
        self._retained.reset()
        self._delivery = Delivery(
            connection,
            self.spool,
            retained=self._retained,
            counters=self._counters,
            gap_topic=self._topic("gap"),
            backlog_per_s=self.settings.backlog_per_s,
            refused_retry_s=self.settings.refused_retry_s,
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

    def _report(self, fault: str) -> None:
        if fault != self._fault:
            logger.warning("%s", fault)
        self._fault = fault
