"""The operator's manual says what is true: settings, metrics, topics and access rules are those of the code."""

import dataclasses
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.config import Config, read_config
from edge_runtime.link.broker import Connection
from edge_runtime.link.topics import parse_topic
from tests.conftest import ROOT
from tests.edge_runtime.conftest import MakeBroker
from tests.support.mqtt_broker import USER, Secrets

MANUAL = (ROOT / "edge_runtime" / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", MANUAL, flags=re.DOTALL)
TOPICS = re.findall(r"^\| `(reid/v1/\S+)`", MANUAL, flags=re.MULTILINE)


def block(beginning: str) -> str:
    """The one block of code that begins so."""
    [text] = [text for _, text in BLOCKS if text.startswith(beginning)]
    return str(text)


def settings_of(schema: dict[str, Any]) -> set[str]:
    """The names of all settings in a JSON Schema, at every level."""
    models = [schema, *schema.get("$defs", {}).values()]
    return {name for model in models for name in model.get("properties", {})}


def test_every_setting_is_explained() -> None:
    """And none that does not exist: a setting is a name in the first column of the table, or a key of the example."""
    table = MANUAL.split("| setting |")[1].split("\n\n")[0]
    first_columns = [row.split("|")[1] for row in table.splitlines()[2:]]
    assert set(re.findall(r"`(\w+)`", " ".join(first_columns))) == settings_of(Config.model_json_schema())


def test_the_configuration_shown_is_valid(tmp_path: Path) -> None:
    """It can be copied and started from, once the files it names are there."""
    text = block("site: ")
    (tmp_path / "site.yaml").write_text(text)
    for name in re.findall(r"[\w./-]+\.(?:onnx|pem)|(?<=_file: )\w+", text):
        (tmp_path / name).touch()
    assert [camera.id for camera in read_config(tmp_path / "site.yaml").cameras] == ["entrance", "till"]


def test_every_metric_is_named() -> None:
    """And none that does not exist."""
    sources = [path.read_text() for path in (ROOT / "edge_runtime" / "health").glob("*.py")]
    assert set(re.findall(r"`(reid_\w+)`", MANUAL)) == set(re.findall(r'"(reid_\w+)"', "".join(sources)))


def test_every_topic_shown_is_one_of_ours() -> None:
    """With names in place of the brackets a receiver understands it."""
    assert len(TOPICS) == 7
    for topic in TOPICS:
        assert parse_topic(re.sub(r"[<>]", "", topic)).site == "site"


@pytest.fixture
def guarded(make_broker: MakeBroker, secrets: Secrets, tmp_path: Path) -> Callable[[], Connection]:
    """Connections with a client certificate to a broker that is configured as the manual says."""
    rules = tmp_path / "rules"
    rules.write_text(block("pattern write").replace("user archive", f"user {USER}"))
    lines = block("listener 8883")
    for name, path in (("ca.pem", secrets.ca), ("broker.pem", secrets.server), ("broker.key", secrets.server_key)):
        lines = lines.replace(f"/etc/mosquitto/{name}", str(path))
    lines = lines.replace("/etc/mosquitto/rules", str(rules))
    broker = make_broker([line for line in lines.splitlines() if not re.match("listener|persistence|max_queued", line)])
    settings = dataclasses.replace(
        broker.settings, ca_file=secrets.ca, certificate_file=secrets.client, key_file=secrets.client_key
    )
    return lambda: Connection(settings, client_id=USER, session_s=0)


def test_the_access_rules_let_a_node_write_only_under_its_own_name(guarded: Callable[[], Connection]) -> None:
    """The common name of its certificate is the node's name; a receiver named in the rules reads everything."""
    connection = guarded()
    connection.subscribe(["reid/v1/#"])
    own = connection.publish(f"reid/v1/shop/{USER}/status", b"{}", qos=1)
    foreign = connection.publish("reid/v1/shop/other-node/status", b"{}", qos=1)
    answers, received, deadline = {}, [], time.monotonic() + 10
    while (len(answers) < 2 or not received) and time.monotonic() < deadline:
        acknowledgements, messages = connection.step(0.1)
        answers |= {answer.packet_id: answer.refusal for answer in acknowledgements}
        received += [message.topic for message in messages]
    connection.close()
    assert answers == {own: None, foreign: "Not authorized"}
    assert received == [f"reid/v1/shop/{USER}/status"]
