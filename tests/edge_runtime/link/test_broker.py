"""Brokers that do not offer what we need, or that we do not trust: one sentence that says what to do."""

import dataclasses
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from edge_runtime.contract.errors import PublishError
from edge_runtime.link.broker import Connection, CredentialsError, Will
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.messages import Birth, Vector
from edge_runtime.link.spool import Spool
from edge_runtime.link.wire_format import decode_json
from tests.edge_runtime.conftest import MakeBroker
from tests.edge_runtime.link.conftest import MakePublisher, Subscriber
from tests.support.mqtt_broker import PASSWORD, USER, Broker, Secrets, free_port, make_secrets
from tests.support.sample_messages import MANIFEST, SPACE, descriptor_message, wait_for

Subscribe = Callable[..., Subscriber]
# paho leaves the socket of a failed handshake to the garbage collector, which warns.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
OURS = {"client_id": "cam", "session_s": 60}


def connect(settings: BrokerSettings, **options: object) -> None:
    """Connect as a publisher does, and leave."""
    will = Will("reid/v1/lab/cam/status", b"{}", 1)
    Connection(settings, **(OURS | options), will=will).close()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("retain_available false", "must be retained; allow retained messages"),
        ("max_qos 0", "messages need QoS 1; allow it"),
    ],
)
def test_what_a_broker_does_not_offer_is_said(make_broker: MakeBroker, line: str, expected: str) -> None:
    """Such a broker refuses the connection; the user and the password have nothing to do with it."""
    broker = make_broker(["allow_anonymous true", line])
    with pytest.raises(PublishError, match=expected) as caught:
        connect(broker.settings)
    assert not isinstance(caught.value, CredentialsError)
    assert "password" not in str(caught.value)


@pytest.fixture
def answer() -> Iterator[Callable[[bytes], BrokerSettings]]:
    """Serve a fixed answer to whoever connects."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def make(data: bytes) -> BrokerSettings:
            def serve() -> None:
                with suppress(OSError):
                    while True:
                        client, _ = server.accept()
                        with client:
                            client.recv(4096)
                            client.sendall(data)

            threading.Thread(target=serve, daemon=True).start()
            return BrokerSettings("127.0.0.1", server.getsockname()[1])

        yield make
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x20\x02\x00\x01", "does not speak MQTT 5"),
        (b"", "does not answer as an MQTT 5 broker without TLS; check its port"),
    ],
)
def test_a_broker_of_an_older_version_is_named(
    answer: Callable[[bytes], BrokerSettings], data: bytes, expected: str
) -> None:
    """MQTT 3.1.1 answers with code 1, or closes without a word."""
    with pytest.raises(PublishError, match=expected):
        connect(answer(data))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"days": -9}, "it has expired"),
        ({"days": 9}, "it is not valid yet; see whether the clock"),
        ({"address": "127.0.0.9"}, "it names another address"),
    ],
)
def test_the_fault_of_a_certificate_is_named(
    make_broker: MakeBroker, tmp_path: Path, changes: dict[str, int | str], expected: str
) -> None:
    """Each has another remedy: renew the certificate, set the clock, or write the right host."""
    secrets = make_secrets(tmp_path, **changes)  # type: ignore[arg-type]
    broker = make_broker(["allow_anonymous true", f"certfile {secrets.server}", f"keyfile {secrets.server_key}"])
    with pytest.raises(PublishError, match=expected):
        connect(dataclasses.replace(broker.settings, ca_file=secrets.ca))


def test_tls_and_no_tls_do_not_meet(broker: Broker, make_broker: MakeBroker, secrets: Secrets) -> None:
    """Either way the sentence says what is on the other side, not that nobody is there."""
    with pytest.raises(PublishError, match="does not speak TLS as expected"):
        connect(dataclasses.replace(broker.settings, ca_file=secrets.ca))
    other = make_broker(["allow_anonymous true", f"certfile {secrets.server}", f"keyfile {secrets.server_key}"])
    with pytest.raises(PublishError, match="does not answer as an MQTT 5 broker without TLS"):
        connect(other.settings)


def test_what_fits_into_a_small_broker_is_sent(
    make_broker: MakeBroker,
    make_publisher: MakePublisher,
    subscribe: Subscribe,
    spool: Spool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both sizes are said once, on one connection; what is too large stays in the spool, the birth is shortened."""
    broker = make_broker(["allow_anonymous true", "max_packet_size 1000"])
    subscriber = subscribe(broker.settings)
    publisher = make_publisher(broker.settings)
    long = Vector(codec="f32", scale=1.0, length=512, data=bytes(2048))
    for _ in range(5):
        publisher.publish("door", [descriptor_message(), descriptor_message(descriptor=long)])
    wait_for(lambda: spool.count() == 5)
    # What was taken before the connection stood is a backlog, which follows live messages.
    wait_for(lambda: sorted(subscriber.numbers()) == [0, 2, 4, 6, 8])
    said = [record.getMessage() for record in caplog.records if "takes 1000" in record.getMessage()]
    assert [line.split(" has ")[0].split("/")[-1] for line in said] == ["birth", SPACE]
    birth = decode_json(subscriber.payloads("reid/v1/lab/cam/birth")[0], Birth)
    assert birth.spaces() == {MANIFEST.space_id}
    assert publisher.facts().counts.connections == 1


@pytest.mark.machine
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_may_stand_in_brackets(tmp_path: Path, host: str) -> None:
    """As in an address, and it is written with brackets before a port."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("needs IPv6 on loopback")
    broker = Broker(tmp_path, lines=["allow_anonymous true"], host="::1")
    broker.start()
    settings = dataclasses.replace(broker.settings, host=host)
    assert str(settings) == f"[::1]:{broker.port}"
    connect(settings)
    broker.stop()


def test_a_byte_order_mark_is_no_part_of_a_password(make_broker: MakeBroker, secrets: Secrets, tmp_path: Path) -> None:
    """Editors on Windows begin files with one, and end lines with two characters."""
    broker = make_broker(["allow_anonymous false", f"password_file {secrets.password_file}"])
    user, password = tmp_path / "user", tmp_path / "password"
    user.write_bytes(b"\xef\xbb\xbf" + USER.encode() + b"\r\n")
    password.write_bytes(b"\xef\xbb\xbf" + PASSWORD.encode() + b"\r\n")
    connect(dataclasses.replace(broker.settings, user_file=user, password_file=password))


def test_the_keep_alive_of_the_broker_is_kept(make_broker: MakeBroker) -> None:
    """A broker may ask for a shorter one than ours, and closes connections that stay quiet for longer."""
    broker = make_broker(["allow_anonymous true", "max_keepalive 10"])
    connection = Connection(dataclasses.replace(broker.settings, keepalive_s=60), **OURS)  # type: ignore[arg-type]
    assert connection.keepalive_s == 10
    connection.close()


def test_nobody_there_is_said_with_host_and_port() -> None:
    """The remedy is another one than for a broker that refuses."""
    with pytest.raises(PublishError, match=r"cannot be reached: .*; check host and port"):
        connect(BrokerSettings("127.0.0.1", free_port()))
