"""The publisher against a real broker: what it delivers, what it keeps, and what it says."""

import dataclasses
import logging
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.link import delivery as delivery_module
from edge_runtime.link.broker import Acknowledgement, Connection, Received
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.messages import Birth, CameraStatus, NodeStatus
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.spool import Spool
from edge_runtime.link.wire_format import decode_json
from tests.edge_runtime.conftest import MakeBroker
from tests.edge_runtime.link.conftest import MakePublisher, Subscriber
from tests.support.mqtt_broker import Broker, Secrets, make_secrets
from tests.support.sample_messages import MANIFEST, SPACE, open_spool, publish, track_message, wait_for

Subscribe = Callable[..., Subscriber]
NODE = "reid/v1/lab/cam"


def test_messages_arrive_in_order_and_leave_the_spool(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool
) -> None:
    """Every message arrives once, checked against the birth, and its row goes."""
    subscriber = subscribe(broker.settings)
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    publish(publisher, 50)
    publisher.publish("door", [track_message()])
    wait_for(lambda: len(subscriber.numbers()) == 51)
    assert subscriber.numbers() == list(range(51))
    wait_for(lambda: spool.count() == 0)
    facts = publisher.facts()
    assert (facts.counts.accepted, facts.counts.delivered, facts.counts.delivered_historical) == (51, 51, 0)
    assert facts.counts.latency_p95_ms is not None
    assert subscriber.receiver.summary().is_complete


def test_tls_with_client_certificate_and_password_works(
    make_broker: MakeBroker, secrets: Secrets, make_publisher: MakePublisher, subscribe: Subscribe
) -> None:
    """CA, client certificate, user and password from files are accepted."""
    broker = make_broker([*secrets.broker_lines(), "require_certificate true"])
    settings = dataclasses.replace(
        secrets.reach(broker.settings), certificate_file=secrets.client, key_file=secrets.client_key
    )
    subscriber = subscribe(settings)
    publish(make_publisher(settings), 5)
    wait_for(lambda: len(subscriber.numbers()) == 5)


# paho leaves the socket of a failed handshake to the garbage collector, which warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_broker_with_another_authority_is_not_trusted(
    make_broker: MakeBroker, secrets: Secrets, make_publisher: MakePublisher, tmp_path: Path, spool: Spool
) -> None:
    """A broker whose certificate the CA did not sign gets no message and no password."""
    broker = make_broker(secrets.broker_lines())
    (tmp_path / "other").mkdir()
    stranger = make_secrets(tmp_path / "other")
    publisher = make_publisher(dataclasses.replace(secrets.reach(broker.settings), ca_file=stranger.ca))
    publish(publisher, 3)
    wait_for(lambda: "signed by another authority" in str(publisher.facts().fault))
    assert spool.count() == 3


def test_a_wrong_password_keeps_spooling_and_says_so_once(
    make_broker: MakeBroker,
    secrets: Secrets,
    make_publisher: MakePublisher,
    tmp_path: Path,
    spool: Spool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One clear sentence, no password in it, messages kept; the right password later is taken without a restart."""
    broker = make_broker(secrets.broker_lines())
    password = tmp_path / "password"
    password.write_text("wrong horse")
    settings = dataclasses.replace(secrets.reach(broker.settings), password_file=password)
    with caplog.at_level(logging.INFO):
        publisher = make_publisher(settings, refused_retry_s=0.2)
        wait_for(lambda: broker.log.read_text().count("not authorised") >= 3)
        publish(publisher, 4)
    said = [record.getMessage() for record in caplog.records if "refuses the connection" in record.getMessage()]
    assert len(said) == 1
    assert "check user and password" in said[0]
    assert "wrong horse" not in caplog.text
    assert spool.count() == 4
    password.write_text(secrets.password.read_text())
    wait_for(lambda: spool.count() == 0)


def test_a_refused_publish_keeps_its_row(
    make_broker: MakeBroker,
    make_publisher: MakePublisher,
    tmp_path: Path,
    spool: Spool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`Not authorized` in a PUBACK is reported once per topic, the row stays, and goes when the rule is mended."""
    rules = tmp_path / "acl"
    others = f"topic write {NODE}/status\ntopic write {NODE}/birth\ntopic write {NODE}/+/track\n"
    rules.write_text(others)
    broker = make_broker(["allow_anonymous true", f"acl_file {rules}"])
    publisher = make_publisher(broker.settings, refused_retry_s=0.3)
    publish(publisher, 30)
    publisher.publish("door", [track_message()])
    wait_for(lambda: publisher.facts().counts.refused > 20)
    assert spool.count() == 30, "the track is allowed, the descriptors are not"
    said = [record.getMessage() for record in caplog.records if "refuses messages" in record.getMessage()]
    assert len(said) == 1
    assert f"{NODE}/door/descriptor/{SPACE}: Not authorized" in said[0]
    rules.write_text(f"{others}topic write {NODE}/+/descriptor/+\n")
    broker.reload()
    wait_for(lambda: spool.count() == 0)


def test_a_broker_outage_under_load_loses_nothing(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool
) -> None:
    """What was spooled while the broker was away arrives as backlog, marked historical; new messages are not."""
    first = subscribe(broker.settings, session="keeper")
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    publish(publisher, 20)
    wait_for(lambda: spool.count() == 0)
    first.close()
    broker.stop()
    wait_for(lambda: not publisher.facts().is_connected)
    for _ in range(10):
        publish(publisher, 10)
    assert spool.count() == 100
    broker.start()
    second = subscribe(broker.settings, session="keeper")
    wait_for(lambda: publisher.facts().is_connected)
    live = publish(publisher, 5)
    wait_for(lambda: spool.count() == 0)
    wait_for(lambda: len({*first.numbers(), *second.numbers()}) == 125)
    historical = {event.message.seq for event in second.accepted() if event.message.historical}
    assert historical == set(range(20, 120))
    assert not historical & set(live)
    assert publisher.facts().counts.connections == 2


def test_live_messages_overtake_the_backlog(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool
) -> None:
    """A backlog is sent at a bounded rate, and a new message does not wait behind it."""
    broker.stop()
    publisher = make_publisher(broker.settings, backlog_per_s=20.0)
    publish(publisher, 1000)
    began = time.monotonic()
    broker.start()
    subscriber = subscribe(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    (live,) = publish(publisher, 1)
    wait_for(lambda: live in subscriber.numbers())
    time.sleep(0.5)
    sent = publisher.facts().counts.delivered_historical
    assert sent <= 20.0 * (time.monotonic() - began) + 1
    assert spool.count() > 900


def test_a_row_goes_only_after_the_broker_has_it(
    broker: Broker, make_publisher: MakePublisher, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as no PUBACK is read, every row stays, and no more than the receive maximum is in flight."""
    sent: list[int] = []
    publish_to_broker, step = Connection.publish, Connection.step

    def publish_and_note(self: Connection, topic: str, payload: bytes, **options: Any) -> int:
        sent.extend([1] * ("/descriptor/" in topic))
        return publish_to_broker(self, topic, payload, **options)

    def step_without_answers(self: Connection, timeout_s: float) -> tuple[list[Acknowledgement], list[Received]]:
        step(self, timeout_s)
        return [], []

    monkeypatch.setattr(Connection, "publish", publish_and_note)
    monkeypatch.setattr(Connection, "step", step_without_answers)
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)  # what comes earlier is backlog, which leaves places free
    publish(publisher, 50)
    wait_for(lambda: len(sent) >= 18)
    time.sleep(0.3)
    assert spool.count() == 50
    assert len(sent) <= 20
    assert publisher.facts().counts.delivered == 0


def test_a_broker_that_answers_no_message_is_connected_anew(
    broker: Broker, make_publisher: MakePublisher, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may answer pings meanwhile: the fault is said, and everything is sent again on a new connection."""
    monkeypatch.setattr(delivery_module, "_ANSWER_TIMEOUT_S", 0.5)
    step = Connection.step

    def step_without_answers(self: Connection, timeout_s: float) -> tuple[list[Acknowledgement], list[Received]]:
        step(self, timeout_s)
        return [], []

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "step", step_without_answers)
        publisher = make_publisher(broker.settings)
        publish(publisher, 50)
        wait_for(lambda: "has not acknowledged a message" in str(publisher.facts().fault))
        assert spool.count() == 50
    wait_for(lambda: spool.count() == 0)


def test_a_clean_stop_says_stopped_and_leaves_nothing(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool
) -> None:
    """`stop` sends what waits, then a retained `stopped` with the next number; no last will follows."""
    subscriber = subscribe(broker.settings)
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    publish(publisher, 100)
    assert publisher.stop(5.0) == 0
    wait_for(lambda: subscriber.receiver.has_ended())
    assert len(subscriber.numbers()) == 100
    late = subscribe(broker.settings)
    wait_for(lambda: late.payloads(f"{NODE}/status"))
    status = decode_json(late.payloads(f"{NODE}/status")[0], NodeStatus)
    assert status == NodeStatus(state="stopped", boot=spool.boot, oldest_seq=100, next_seq=100)


def test_stop_keeps_its_time_when_the_broker_is_away(
    broker: Broker, make_publisher: MakePublisher, spool: Spool
) -> None:
    """`stop` returns with the number of messages that stay in the spool."""
    broker.stop()
    publisher = make_publisher(broker.settings)
    publish(publisher, 3)
    wait_for(lambda: "cannot be reached" in str(publisher.facts().fault))
    assert publisher.stop(2.0) == 3


def test_status_and_birth_are_retained_and_said_again_to_an_empty_broker(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool
) -> None:
    """After a reconnection a broker that has forgotten everything learns status, birth and cameras again."""
    publisher = make_publisher(broker.settings)
    publisher.publish_camera_status("door", CameraStatus(state="stalled", why="no frame for 5 s"))
    publisher.publish_camera_status("door", CameraStatus(state="live", why=""))
    wait_for(lambda: publisher.facts().is_connected)
    broker.stop()
    (broker.folder / "mosquitto.db").unlink(missing_ok=True)
    broker.start()
    wait_for(lambda: publisher.facts().counts.connections == 2)
    wait_for(lambda: b'"live"' in b"".join(read_retained(subscribe(broker.settings), f"{NODE}/door/status")))
    subscriber = subscribe(broker.settings)
    wait_for(lambda: subscriber.payloads(f"{NODE}/birth") and subscriber.payloads(f"{NODE}/status"))
    assert decode_json(subscriber.payloads(f"{NODE}/birth")[0], Birth).spaces() == {SPACE}
    assert decode_json(subscriber.payloads(f"{NODE}/status")[0], NodeStatus).state == "online"


def read_retained(subscriber: Subscriber, topic: str) -> list[bytes]:
    """What a fresh subscriber finds under a topic, after a moment."""
    time.sleep(0.1)
    return subscriber.payloads(topic)


def test_metrics_go_out_once_and_are_not_retained(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe
) -> None:
    """Figures reach those who listen now, and nobody later."""
    subscriber = subscribe(broker.settings)
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    publisher.publish_metrics({"frames": 12})
    wait_for(lambda: subscriber.payloads(f"{NODE}/metrics") == [b'{"frames": 12}'])
    assert read_retained(subscribe(broker.settings), f"{NODE}/metrics") == []


def test_a_gap_is_reported_and_then_forgotten(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, tmp_path: Path
) -> None:
    """What the spool had to drop is told to the other end, which can then say what is missing and why."""
    subscribe(broker.settings, session="keeper").close()
    with open_spool(tmp_path / "small", max_bytes=80 << 10) as small:
        broker.stop()
        settings = LinkSettings(broker.settings, "lab", "cam", reconnect_max_s=0.5, backlog_per_s=500.0)
        publisher = Publisher(settings, small, node_card={}, manifests=[MANIFEST])
        publisher.start()
        publish(publisher, 300)
        small.flush()
        dropped = small.dropped["overflow"]
        assert dropped > 0
        broker.start()
        subscriber = subscribe(broker.settings, session="keeper")
        wait_for(lambda: small.count() == 0 and not small.gaps())
        wait_for(lambda: len(subscriber.numbers()) == 300 - dropped)
        publisher.stop(1.0)
    (node,) = subscriber.receiver.summary().nodes
    assert [(hole.last - hole.first + 1, hole.why) for hole in node.missing] == [(dropped, "overflow")]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE message SET payload = CAST(x'FF' || substr(payload, 2) AS BLOB)",
        "UPDATE message SET payload = x'A0'",
        "UPDATE message SET topic = 'reid/v1/lab/cam/#/track'",
    ],
)
def test_a_damaged_message_holds_nothing_up(
    broker: Broker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool, damage: str
) -> None:
    """What cannot be read is dropped and told as lost; everything else arrives once, on one connection."""
    subscribe(broker.settings, session="keeper").close()
    broker.stop()
    publisher = make_publisher(broker.settings)
    publish(publisher, 30)
    spool.flush()
    spool.store._db.execute(f"{damage} WHERE seq = 12")
    broker.start()
    subscriber = subscribe(broker.settings, session="keeper")
    wait_for(lambda: not spool.count() and not spool.gaps())
    wait_for(lambda: sorted(subscriber.numbers()) == [*range(12), *range(13, 30)])
    (node,) = subscriber.receiver.summary().nodes
    assert [(hole.first, hole.last, hole.why) for hole in node.missing] == [(12, 12, "lost")]
    assert spool.dropped["lost"] == 1
    assert publisher.facts().counts.connections == 1


def test_properties_travel_with_a_message(broker: Broker, make_publisher: MakePublisher, spool: Spool) -> None:
    """Content type, message expiry and user properties can be read without decoding the payload."""
    command = ["mosquitto_sub", "-p", str(broker.port), "-V", "5", "-C", "1", "-F", "%C|%E|%P"]
    command += ["-t", f"{NODE}/+/descriptor/#"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: "SUBSCRIBE" in broker.log.read_text())
        publish(make_publisher(broker.settings), 1)
        output, _ = process.communicate(timeout=10)
    content_type, expiry_s, user = output.strip().split("|")
    assert content_type == "application/vnd.reid.descriptor+cbor;v=1"
    assert 3500 < int(expiry_s) <= 3600
    assert all(text in user for text in (f"space:{SPACE}", "codec:f16", f"boot:{spool.boot}", "seq:0"))


@pytest.mark.parametrize("missing", ["ca_file", "user_file"])
def test_a_missing_file_is_said_before_anything_starts(spool: Spool, tmp_path: Path, missing: str) -> None:
    """A CA or user file that is not there is a mistake in the settings."""
    settings = BrokerSettings("localhost", 1883, **{missing: tmp_path / "absent"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="absent"):
        Publisher(LinkSettings(settings, "lab", "cam"), spool, node_card={}, manifests=[])


def test_names_that_cannot_be_in_a_topic_are_refused(spool: Spool) -> None:
    """A node called `a/b` would speak as another one."""
    settings = LinkSettings(BrokerSettings("localhost", 1883), "lab", "a/b")
    with pytest.raises(ConfigError, match="this node cannot be part of an MQTT topic: it contains '/'"):
        Publisher(settings, spool, node_card={}, manifests=[])


def test_a_slow_backlog_still_moves(broker: Broker, make_publisher: MakePublisher, spool: Spool) -> None:
    """Less than one old message per second is slow, not never."""
    broker.stop()
    publisher = make_publisher(broker.settings, backlog_per_s=0.9)
    publish(publisher, 2)
    broker.start()
    wait_for(lambda: spool.count() == 0)


def test_a_broker_that_takes_one_message_at_a_time_gets_one_at_a_time(
    make_broker: MakeBroker, make_publisher: MakePublisher, subscribe: Subscribe, spool: Spool
) -> None:
    """The broker's receive maximum is kept, statuses and last word included; else it would disconnect us."""
    broker = make_broker(["allow_anonymous true", "max_inflight_messages 1"])
    subscriber = subscribe(broker.settings)
    publisher = make_publisher(broker.settings)
    publisher.publish_camera_status("door", CameraStatus(state="live", why=""))
    publish(publisher, 30)
    assert publisher.stop(10.0) == 0
    wait_for(lambda: subscriber.receiver.has_ended())
    assert sorted(subscriber.numbers()) == list(range(30))
    assert publisher.facts().counts.connections == 1


def test_a_broker_that_hangs_does_not_hold_up_the_end(
    broker: Broker, make_publisher: MakePublisher, spool: Spool
) -> None:
    """`stop` keeps its time beside a broker that takes the connection and then says nothing."""
    publisher = make_publisher(broker.settings)
    wait_for(lambda: publisher.facts().is_connected)
    broker.pause()
    publish(publisher, 50)
    began = time.monotonic()
    assert publisher.stop(0.5) == 50
    assert time.monotonic() - began < 5.0
    broker.resume()
