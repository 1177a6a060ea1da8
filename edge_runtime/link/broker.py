"""One connection to an MQTT 5 broker. The only file that uses the library paho.

paho's own network thread is not used: an exception in a callback ends it, it reconnects without jitter, and it has an
unbounded queue. Here the thread that owns a `Connection` does the network's work inside `step`. A connection is used
until it is lost, then replaced by a new one; what must outlive it is in the spool.
"""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.link.broker_faults import CERTIFICATE_FAULTS, REFUSED_CREDENTIALS, REMEDIES, TAKEN_OVER
from edge_runtime.link.broker_settings import BrokerSettings

_DISCONNECT_S = 1.0
_HEADER_BYTES = 5 + 2 + 2 + 4  # of a PUBLISH: fixed header, length of the topic, packet id, length of properties


@dataclass(frozen=True)
class Will:
    """The last will: the broker publishes it, retained, `delay_s` after it lost the connection to us."""

    topic: str
    payload: bytes
    delay_s: int


@dataclass(frozen=True)
class Received:
    """A message from the broker. is_retained: published before we subscribed. packet_id: 0 if it came with QoS 0."""

    topic: str
    payload: bytes
    is_retained: bool
    packet_id: int = 0


@dataclass(frozen=True)
class Acknowledgement:
    """A PUBACK. packet_id: as `Connection.publish` returned it. refusal: the reason code of a failure, or None."""

    packet_id: int
    refusal: str | None


class ClosedError(PublishError):
    """The connection was lost. is_taken_over: the broker says that another client with our id has connected."""

    def __init__(self, message: str, *, is_taken_over: bool) -> None:
        super().__init__(message)
        self.is_taken_over = is_taken_over


class TooLargeError(PublishError):
    """A message is larger than this broker takes. The connection is not lost by that."""


class CredentialsError(PublishError):
    """The broker refused our credentials; retrying cannot help until somebody changes them."""


def check_files(settings: BrokerSettings) -> None:
    """Check that certificates and credentials can be read, without connecting.

    Raises:
        ConfigError: a file is missing or unusable.
    """
    _make_client(settings, client_id="check")


class Connection:
    """A connection that is established by the constructor and used until a method raises PublishError.

    session_s: session expiry interval: how long the broker keeps our session after the connection ends; 0 starts with
    a clean session and keeps none.
    unacknowledged: None acknowledges each message as it is read. A number: the owner calls `acknowledge` when a message
    is safe, and the broker sends at most so many messages before that.
    Not thread-safe: one thread constructs it and calls all methods; only `wake` may be called by any thread.

    Raises:
        ConfigError: a certificate or credentials file cannot be used.
        CredentialsError: the broker does not accept them.
        PublishError: the broker cannot be reached, or does not answer in time.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        client_id: str,
        session_s: int,
        will: Will | None = None,
        unacknowledged: int | None = None,
    ) -> None:
        self.settings = settings
        self._client = _make_client(settings, client_id=client_id)
        self._client.manual_ack_set(unacknowledged is not None)
        self._most = unacknowledged or 20
        self._acknowledged: list[Acknowledgement] = []
        self._received: list[Received] = []
        self._refusal: Any = None
        self._answer: Any = None
        self._lost: str | None = None
        self._subscribed = False
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._set_callbacks()
        if will:
            properties = _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=will.delay_s)
            self._client.will_set(will.topic, will.payload, qos=1, retain=True, properties=properties)
        try:
            self._connect(session_s)
        except BaseException:
            self.drop()
            raise

    @property
    def receive_maximum(self) -> int:
        """How many publishes may be unacknowledged at once: what the broker allows, at most 20."""
        return min(20, getattr(self._answer, "ReceiveMaximum", 20))

    @property
    def keepalive_s(self) -> int:
        """How often at least something is sent: as the broker asks, else as configured. paho sends the pings."""
        return int(self._client.keepalive)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int,
        is_retained: bool = False,
        content_type: str = "application/json",
        expiry_s: int | None = None,
        user_properties: Mapping[str, str] | None = None,
    ) -> int:
        """Send one message and return its packet id; `step` returns the acknowledgement with the same id.

        expiry_s: message expiry interval.

        Raises:
            TooLargeError: it is larger than the broker takes; nothing was sent.
            PublishError: the connection is lost.
        """
        properties = _properties(PacketTypes.PUBLISH, ContentType=content_type)
        if expiry_s is not None:
            properties.MessageExpiryInterval = expiry_s
        if user_properties:
            properties.UserProperty = list(user_properties.items())
        size = len(payload) + len(topic.encode()) + len(properties.pack()) + _HEADER_BYTES
        if size > (most := getattr(self._answer, "MaximumPacketSize", size)):
            raise TooLargeError(f"a message on {topic} has {size} bytes, the broker {self.settings} takes {most}")
        info = self._client.publish(topic, payload, qos=qos, retain=is_retained, properties=properties)
        self._check(info.rc)
        return int(info.mid)

    def acknowledge(self, received: Received) -> None:
        """Send the PUBACK of a message that this connection received; for connections with `unacknowledged`.

        Raises:
            PublishError: the connection is lost.
        """
        if received.packet_id:
            self._check(self._client.ack(received.packet_id, 1))

    def subscribe(self, topics: list[str], *, qos: int = 1, timeout_s: float = 10.0) -> None:
        """Subscribe and wait for the SUBACK.

        Raises:
            PublishError: the broker refuses the subscription, or does not answer.
        """
        self._subscribed = False
        self._check(self._client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic in topics])[0])
        deadline = time.monotonic() + timeout_s
        while not self._subscribed:
            self._step(deadline - time.monotonic())
            if self._refusal:
                raise PublishError(f"the broker {self.settings} refuses the subscription: {self._refusal}")
            if time.monotonic() > deadline:
                raise PublishError(f"the broker {self.settings} does not answer a subscription")

    def step(self, timeout_s: float) -> tuple[list[Acknowledgement], list[Received]]:
        """Read and write until something arrives, `wake` is called, or `timeout_s` is over.

        Returns the acknowledgements and messages that arrived since the last step.

        Raises:
            PublishError: the connection is lost.
        """
        if not self._acknowledged and not self._received:
            try:
                self._step(timeout_s)
            except PublishError:
                # What arrived before the loss is acknowledged to the broker: it would not come again.
                if not self._acknowledged and not self._received:
                    raise
        acknowledged, self._acknowledged = self._acknowledged, []
        received, self._received = self._received, []
        return acknowledged, received

    def wake(self) -> None:
        """End a `step` that is waiting. Any thread may call it."""
        with contextlib.suppress(OSError):
            self._wake_write.send(b"\0")

    def close(self) -> None:
        """Send DISCONNECT, so that the broker does not publish the last will, and close."""
        self._client.disconnect()
        deadline = time.monotonic() + _DISCONNECT_S
        with contextlib.suppress(PublishError):
            while self._client.want_write() and time.monotonic() < deadline:
                self._step(0.1)
        self.drop()

    def drop(self) -> None:
        """Close without DISCONNECT: the broker will publish the last will."""
        for end in (self._client.socket(), self._wake_read, self._wake_write):
            if end is not None:
                end.close()

    def _set_callbacks(self) -> None:
        # paho calls these inside `step`, in the owner's thread. They only store values, so none raises into paho.
        client = self._client

        def on_connect(_client: object, _data: object, _flags: object, reason: Any, properties: Any) -> None:
            self._answer = properties
            self._refusal = reason if reason.is_failure else None

        def on_disconnect(_client: object, _data: object, _flags: object, reason: Any, _properties: object) -> None:
            # paho calls a socket that was closed without a DISCONNECT an unspecified error.
            said = "the other end closed it" if str(reason) == "Unspecified error" else str(reason)
            self._lost = self._lost or said

        def on_publish(_client: object, _data: object, mid: int, reason: Any, _properties: object) -> None:
            self._acknowledged.append(Acknowledgement(mid, str(reason) if reason.is_failure else None))

        def on_subscribe(_client: object, _data: object, _mid: int, reasons: list[Any], _properties: object) -> None:
            self._subscribed = True
            self._refusal = next((reason for reason in reasons if reason.is_failure), None)

        def on_message(_client: object, _data: object, message: MQTTMessage) -> None:
            self._received.append(Received(message.topic, message.payload, message.retain, message.mid))

        client.on_connect, client.on_disconnect, client.on_publish = on_connect, on_disconnect, on_publish
        client.on_subscribe, client.on_message = on_subscribe, on_message

    def _connect(self, session_s: int) -> None:
        settings = self.settings
        properties = _properties(PacketTypes.CONNECT, SessionExpiryInterval=session_s, ReceiveMaximum=self._most)
        try:
            self._client.connect(
                settings.host, settings.port, settings.keepalive_s, clean_start=session_s == 0, properties=properties
            )
        except ssl.SSLCertVerificationError as error:
            fault = CERTIFICATE_FAULTS.get(error.verify_code, f"{error.verify_message}; check ca_file")
            raise PublishError(f"the certificate of the broker {settings} is not accepted: {fault}") from error
        except (ssl.SSLError, ConnectionResetError) as error:
            if settings.ca_file is None:
                raise PublishError(f"the broker {settings} cannot be reached: {error}") from error
            raise PublishError(
                f"the broker {settings} does not speak TLS as expected ({error}); check its port, or remove ca_file"
            ) from error
        except (OSError, ValueError) as error:
            raise PublishError(f"the broker {settings} cannot be reached: {error}; check host and port") from error
        deadline = time.monotonic() + settings.connect_timeout_s
        try:
            while self._answer is None and self._refusal is None and time.monotonic() < deadline:
                self._step(0.1)
        except PublishError:
            if self._refusal is None:
                raise PublishError(self._describe_silence("closes connections")) from None
        if self._refusal is not None:
            kind = CredentialsError if self._refusal.value in REFUSED_CREDENTIALS else PublishError
            remedy = REMEDIES.get(self._refusal.value, "its log may tell more")
            raise kind(f"the broker {settings} refuses the connection: {self._refusal}; {remedy}")
        if self._answer is None:
            raise PublishError(self._describe_silence("accepts connections"))

    def _describe_silence(self, what: str) -> str:
        tls = "with" if self.settings.ca_file else "without"
        return f"the broker {self.settings} {what} but does not answer as an MQTT 5 broker {tls} TLS; check its port"

    def _step(self, timeout_s: float) -> None:
        sock = self._client.socket()
        if sock is None:
            self._fail()
        has_buffered = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        wanting = [sock] if self._client.want_write() else []
        wait_s = 0.0 if has_buffered else max(timeout_s, 0.0)
        readable, writable, _ = select.select([sock, self._wake_read], wanting, [], wait_s)
        if self._wake_read in readable:
            self._wake_read.recv(4096)
        if has_buffered or sock in readable:
            self._check(self._client.loop_read())
        if writable:
            self._check(self._client.loop_write())
        self._check(self._client.loop_misc())

    def _check(self, code: MQTTErrorCode) -> None:
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS and self._refusal is None:
            self._lost = self._lost or str(code)
            self._fail()

    def _fail(self) -> None:
        raise ClosedError(
            f"the connection to the broker {self.settings} is lost: {self._lost}",
            is_taken_over=self._lost == TAKEN_OVER,
        )


def _make_client(settings: BrokerSettings, *, client_id: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id, protocol=MQTTv5, reconnect_on_failure=False)
    client.connect_timeout = settings.connect_timeout_s
    user, password = _read_secret(settings.user_file), _read_secret(settings.password_file)
    if user is not None:
        client.username_pw_set(user, password)
    if settings.ca_file:
        try:
            client.tls_set_context(_tls_context(settings))
        except OSError as error:
            names = ", ".join(str(p) for p in (settings.ca_file, settings.certificate_file, settings.key_file) if p)
            raise ConfigError(f"TLS to {settings} cannot be set up from {names}: {error}; check these files") from error
    return client


def _tls_context(settings: BrokerSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.certificate_file:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context


def _read_secret(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8-sig").strip()  # editors on Windows begin files with a byte order mark
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}; it holds the broker's user or password") from error


def _properties(packet: int, **values: object) -> Properties:
    properties = Properties(packet)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties
