"""Print what camera nodes send: subscribe, check and decode each message, and sum up at the end."""

import argparse
import json
import logging
import re
import secrets
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from edge_runtime.contract.errors import ConfigError, PublishError
from edge_runtime.contract.script import ScriptParser, run_until_stopped
from edge_runtime.link.broker import Connection
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.messages import DescriptorMessage, Message, TrackMessage
from edge_runtime.link.topics import ROOT, check_name
from edge_runtime.receiver.receiver import Accepted, Event, Noted, Receiver, ReceiverSummary, Refused

logger = logging.getLogger(__name__)

_SESSION_S = 24 * 3600
_QUIET_S = 0.5
_RECONNECT_S = 1.0
_EXAMPLES = """\
examples:
  python edge_runtime/listen.py localhost:1883 --until-stopped             one line per message, until the nodes stop
  python edge_runtime/listen.py broker.example:8883 --ca ca.pem --json     every message as JSON, over TLS
  python edge_runtime/listen.py localhost:1883 --session archive           the broker keeps messages while we are away

An installed package has the same command as reid-listen. At the end it prints how many messages arrived, how large
they were, and which numbers are missing and why.

Exit code: 0 all is well, 1 something was refused or is missing or the broker cannot be reached, 2 wrong arguments.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    arguments = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    return run_until_stopped(partial(_listen, arguments))


def command() -> None:
    """The installed command `reid-listen`."""
    sys.exit(main())


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="localhost:1883 --until-stopped",
        next_step="the messages and their fields: edge_runtime/README.md",
        examples=_EXAMPLES,
    )
    parser.add_argument("broker", nargs="?", default="localhost:1883", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--site", default="+", help="only this site's nodes")
    parser.add_argument("--node", default="+", help="only this node")
    parser.add_argument("--space", help="refuse descriptors of any other space (16 hexadecimal digits)")
    parser.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", help="end after this time")
    parser.add_argument("--until-stopped", action="store_true", help="end when all nodes have stopped")
    parser.add_argument("--json", action="store_true", help="print each message as one line of JSON")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the summary at the end as JSON")
    parser.add_argument("--session", metavar="NAME", help="MQTT session: kept by the broker between runs, for a day")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="turns TLS on: certificate of the broker's authority")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="TLS: client certificate")
    parser.add_argument("--key", type=Path, metavar="FILE", help="TLS: private key of the client certificate")
    parser.add_argument("--user-file", type=Path, metavar="FILE", help="file that holds the user name")
    parser.add_argument("--password-file", type=Path, metavar="FILE", help="file that holds the password")
    return parser.parse_args(argv)


def _listen(arguments: argparse.Namespace, stop: threading.Event) -> int:
    settings, topics = _broker_settings(arguments), _topics(arguments)
    if arguments.space and not re.fullmatch("[0-9a-f]{16}", arguments.space):
        raise ConfigError(f"a space has 16 hexadecimal digits, found {arguments.space!r}; the node's birth names it")
    file: Path | None = arguments.summary
    if file and (not file.parent.is_dir() or file.is_dir()):
        raise ConfigError(f"cannot write {file}: expected a file name in a folder that exists; give another --summary")
    receiver = Receiver(arguments.space)
    client_id = arguments.session or f"listen-{secrets.token_hex(4)}"
    session_s = _SESSION_S if arguments.session else 0
    deadline = time.monotonic() + arguments.duration_s if arguments.duration_s is not None else float("inf")
    has_connected = False
    while not stop.is_set() and time.monotonic() < deadline:
        try:
            connection = Connection(settings, client_id=client_id, session_s=session_s)
            try:
                connection.subscribe(topics)
                has_connected = True
                _receive(connection, receiver, arguments=arguments, stop=stop, deadline=deadline)
                break
            finally:
                connection.close()
        except PublishError as error:
            if not has_connected:
                raise
            logger.warning("%s; trying again", error)
            stop.wait(_RECONNECT_S)
    for event in receiver.finish():
        _print(event, is_json=arguments.json)
    return _finish(receiver.summary(), file)


def _receive(
    connection: Connection,
    receiver: Receiver,
    *,
    arguments: argparse.Namespace,
    stop: threading.Event,
    deadline: float,
) -> None:
    """Receive and print messages until the end: a signal, the deadline, or all nodes stopped and nothing more arrives.

    Raises:
        PublishError: the connection is lost.
    """
    quiet_since = time.monotonic()
    while not stop.is_set() and time.monotonic() < deadline:
        _, received = connection.step(min(0.2, max(0.0, deadline - time.monotonic())))
        for payload in received:
            quiet_since = time.monotonic()
            for event in receiver.take(payload):
                _print(event, is_json=arguments.json)
        is_quiet = time.monotonic() - quiet_since > _QUIET_S
        if arguments.until_stopped and is_quiet and receiver.has_ended():
            return


def _print(event: Event, *, is_json: bool) -> None:
    match event:
        case Accepted(topic, message, payload_bytes):
            if is_json:
                print(json.dumps({"topic": asdict(topic), "message": message.model_dump(mode="json")}), flush=True)
            else:
                print(f"{topic.site}/{topic.node}/{topic.camera}  {_describe(message, payload_bytes)}", flush=True)
        case Refused(topic, why):
            logger.error("refused %s: %s", topic, why)
        case Noted(topic, text):
            logger.info("%s: %s", topic, text)


def _describe(message: Message, payload_bytes: int) -> str:
    what: str = message.kind if isinstance(message, DescriptorMessage) else message.event
    if isinstance(message, TrackMessage) and message.continues:
        what = f"{what}, carries on {message.continues},"
    vector = f"{message.descriptor.length} {message.descriptor.codec}" if message.descriptor else "no descriptor"
    age = "historical" if message.historical else f"{(message.publish_ns - message.capture_ns) / 1e6:.0f} ms"
    return f"seq {message.seq}  track {message.track}  {what} of {message.crops}  {vector}  {payload_bytes} B  {age}"


def _finish(summary: ReceiverSummary, file: Path | None) -> int:
    for line in _summary_lines(summary):
        print(line, file=sys.stderr)
    if file:
        try:
            file.write_text(json.dumps(asdict(summary), indent=2) + "\n")
        except OSError as error:
            raise ConfigError(f"cannot write the summary to {file}: {error.strerror}") from error
    return 0 if summary.is_complete and not summary.refused else 1


def _summary_lines(summary: ReceiverSummary) -> list[str]:
    lines = [f"{summary.descriptors} descriptors and {summary.tracks} tracks in {summary.messages} messages"]
    if summary.bytes_per_descriptor is not None:
        lines.append(f"{summary.bytes_per_descriptor:.0f} bytes per descriptor message")
    if summary.latency_p50_ms is not None:
        lines.append(f"capture to publish: p50 {summary.latency_p50_ms:.0f} ms, p95 {summary.latency_p95_ms:.0f} ms")
    lines.append(f"{summary.historical} historical, {summary.duplicates} duplicates dropped, {summary.refused} refused")
    for node in summary.nodes:
        if node.first is None:
            lines.append(f"{node.node}: no messages")
        elif not node.missing:
            lines.append(f"{node.node}: sequence {node.first} to {node.last} complete")
        for hole in node.missing:
            why = f"dropped by the node: {hole.why}" if hole.why else "the node gave no reason"
            lines.append(f"{node.node}: {hole.first} to {hole.last} missing, {why}")
    return lines


def _broker_settings(arguments: argparse.Namespace) -> BrokerSettings:
    host, colon, port = arguments.broker.rpartition(":")
    if not colon or not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ConfigError(f"the broker is given as HOST:PORT, found {arguments.broker!r}; try localhost:1883")
    return BrokerSettings(
        host=host,
        port=int(port),
        ca_file=arguments.ca,
        certificate_file=arguments.certificate,
        key_file=arguments.key,
        user_file=arguments.user_file,
        password_file=arguments.password_file,
    )


def _topics(arguments: argparse.Namespace) -> list[str]:
    names = [("site", arguments.site), ("node", arguments.node)]
    levels = [name if name == "+" else check_name(name, what=what) for what, name in names]
    return ["/".join((*ROOT, *levels, "#"))]


if __name__ == "__main__":
    command()
