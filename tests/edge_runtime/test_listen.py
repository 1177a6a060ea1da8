"""The command `listen.py` as a user types it, beside a real node and broker."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import jsonschema
import pytest

from edge_runtime import listen
from edge_runtime.link import messages
from edge_runtime.link.broker import Connection
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.wire_format import encode_message
from tests.conftest import ROOT
from tests.support.mqtt_broker import Broker, Secrets, free_port
from tests.support.sample_messages import (
    FOREIGN_SPACE,
    MANIFEST,
    SPACE,
    descriptor_message,
    open_spool,
    publish,
    track_message,
    wait_for,
)

Listener = subprocess.Popen[str]
StartListener = Callable[..., Listener]


@pytest.fixture
def start_listener(broker: Broker) -> Iterator[StartListener]:
    """Start `listen.py` on the broker and wait until it listens; it ends with the test."""
    with ExitStack() as stack:

        def start(*options: str) -> Listener:
            command = [sys.executable, str(ROOT / "edge_runtime" / "listen.py"), f"127.0.0.1:{broker.port}", *options]
            before = broker.log.read_text().count("SUBSCRIBE")
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            )
            stack.callback(process.kill)
            wait_for(lambda: broker.log.read_text().count("SUBSCRIBE") > before or process.poll() is not None)
            assert broker.log.read_text().count("SUBSCRIBE") > before, "it ended before it listened"
            return process

        yield start


def run_node(broker: Broker, folder: Path, *, count: int) -> None:
    """A node that publishes some descriptors and a track, and stops."""
    with open_spool(folder) as spool:
        publisher = Publisher(LinkSettings(broker.settings, "lab", "cam"), spool, node_card={}, manifests=[MANIFEST])
        publisher.start()
        wait_for(lambda: publisher.facts().is_connected)
        publish(publisher, count)
        publisher.publish("door", [track_message()])
        assert publisher.stop(5.0) == 0


def test_it_prints_a_line_per_message_and_an_account(
    broker: Broker, start_listener: StartListener, tmp_path: Path
) -> None:
    """Until the node stops: then all is there, and the exit code is 0."""
    listener = start_listener("--until-stopped", "--summary", str(tmp_path / "summary.json"))
    run_node(broker, tmp_path, count=10)
    output, account = listener.communicate(timeout=15)
    assert listener.returncode == 0, account
    lines = output.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("lab/cam/door  seq 0  track ")
    assert "10 descriptors and 11 tracks in 11 messages" in account
    assert "lab/cam: sequence 0 to 10 complete" in account
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["descriptors"], summary["is_complete"], summary["duplicates"]) == (10, True, 0)


def test_json_lines_obey_the_schema(broker: Broker, start_listener: StartListener, tmp_path: Path) -> None:
    """Each line has the topic's parts and the twin that the committed schema describes."""
    listener = start_listener("--until-stopped", "--json")
    run_node(broker, tmp_path, count=3)
    output, _ = listener.communicate(timeout=15)
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["message"]["seq"] for line in lines] == [0, 1, 2, 3]
    assert lines[0]["topic"]["camera"] == "door"
    schema = json.loads(Path(messages.__file__).with_name("messages.schema.json").read_text())
    for line in lines:
        jsonschema.Draft202012Validator(schema).validate(line["message"])


def test_a_foreign_space_is_refused_with_exit_code_1(
    broker: Broker, start_listener: StartListener, tmp_path: Path
) -> None:
    """A stranger's descriptor under the node's name is reported and not printed."""
    listener = start_listener("--until-stopped")
    with open_spool(tmp_path) as spool:
        publisher = Publisher(LinkSettings(broker.settings, "lab", "cam"), spool, node_card={}, manifests=[MANIFEST])
        publisher.start()
        publisher.publish("door", [descriptor_message(), descriptor_message(space=FOREIGN_SPACE)])
        wait_for(lambda: spool.count() == 0)
        assert publisher.stop(5.0) == 0
    output, account = listener.communicate(timeout=15)
    assert listener.returncode == 1
    assert len(output.splitlines()) == 1
    assert f"expected a space of the node's birth ({SPACE}), found {FOREIGN_SPACE}" in account


def test_a_missing_number_is_named_with_exit_code_1(
    broker: Broker, start_listener: StartListener, tmp_path: Path
) -> None:
    """A gap and a double are told, with their numbers."""
    run_node(broker, tmp_path, count=1)
    listener = start_listener("--for", "2.0")
    connection = Connection(broker.settings, client_id="faulty", session_s=0)
    for seq in (0, 1, 1, 5):
        payload = encode_message(descriptor_message(seq=seq))
        connection.publish(f"reid/v1/lab/cam/door/descriptor/{SPACE}", payload, qos=1)
        connection.step(0.2)
    connection.close()
    _, account = listener.communicate(timeout=15)
    assert listener.returncode == 1
    assert "lab/cam: 2 to 4 missing, the node gave no reason" in account
    assert "seq 1 arrived twice" in account


def test_a_session_receives_what_came_while_it_was_away(
    broker: Broker, start_listener: StartListener, tmp_path: Path
) -> None:
    """The broker keeps messages under the session's name, even those that come before the birth is read."""
    start_listener("--session", "archive", "--for", "0.2").communicate(timeout=15)
    run_node(broker, tmp_path, count=5)
    listener = start_listener("--session", "archive", "--until-stopped")
    output, account = listener.communicate(timeout=15)
    assert listener.returncode == 0, account
    assert len(output.splitlines()) == 6


def test_a_signal_ends_it_with_an_account(start_listener: StartListener) -> None:
    """SIGTERM and SIGINT are the usual end of a listener, and no fault."""
    for number in (signal.SIGTERM, signal.SIGINT):
        listener = start_listener()
        time.sleep(0.3)
        listener.send_signal(number)
        _, account = listener.communicate(timeout=10)
        assert listener.returncode == 0
        assert "0 descriptors" in account


def test_a_broker_that_comes_back_is_heard_again(broker: Broker, start_listener: StartListener, tmp_path: Path) -> None:
    """The listener survives a restart of the broker."""
    listener = start_listener("--until-stopped")
    broker.stop()
    broker.start()
    wait_for(lambda: broker.log.read_text().count("SUBSCRIBE") >= 2)
    run_node(broker, tmp_path, count=2)
    output, account = listener.communicate(timeout=15)
    assert listener.returncode == 0, account
    assert len(output.splitlines()) == 3


def test_a_reader_that_goes_away_is_no_traceback(broker: Broker, start_listener: StartListener, tmp_path: Path) -> None:
    """`listen.py | head -1` ends quietly."""
    listener = start_listener("--until-stopped")
    assert listener.stdout is not None
    listener.stdout.close()
    run_node(broker, tmp_path, count=3)
    assert listener.wait(15) == 1
    assert listener.stderr is not None
    assert "Traceback" not in listener.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 2, "HOST:PORT"),
        (["localhost:99999"], 2, "HOST:PORT"),
        (["localhost:\N{SUPERSCRIPT TWO}"], 2, "HOST:PORT"),
        (["localhost:1883", "--space", "market"], 2, "16 hexadecimal digits"),
        (["localhost:1883", "--certificate", "a.pem"], 2, "of no use without ca_file"),
        (["localhost:1883", "--site", "a/b"], 2, "cannot be part of an MQTT topic"),
        (["localhost:1883", "--ca", "/absent"], 2, "/absent"),
        (["localhost:1883", "--summary", "/absent/summary.json"], 2, "give another --summary"),
        ([f"127.0.0.1:{free_port()}"], 1, "cannot be reached"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 for wrong arguments, 1 for a broker that is not there."""
    assert listen.main(arguments) == code
    sentences = capsys.readouterr().err.splitlines()
    assert len(sentences) == 1
    assert said in sentences[0]


def test_a_wrong_password_is_said(
    make_broker: Callable[[list[str]], Broker],
    secrets: Secrets,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is final: trying again cannot help."""
    broker = make_broker(["allow_anonymous false", f"password_file {secrets.password_file}"])
    (tmp_path / "password").write_text("wrong")
    files = ["--user-file", str(secrets.user), "--password-file", str(tmp_path / "password")]
    assert listen.main([f"127.0.0.1:{broker.port}", *files]) == 1
    assert "check user and password" in capsys.readouterr().err


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    """A command to copy, and what the exit codes mean."""
    with pytest.raises(SystemExit) as ended:
        listen.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "python edge_runtime/listen.py localhost:1883 --until-stopped" in text
    assert "Exit code" in text
