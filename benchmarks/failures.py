"""Send messages while node, broker, disk and clock fail, and account for each: exit code 1 if one is unexplained."""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.measuring.bars import Bar, at_most
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.mosquitto import Mosquitto
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.session_listener import SessionListener
from benchmarks.measuring.site_faults import FAULTS, FaultySite, draw_faults
from benchmarks.measuring.small_disk import mount_small_disk
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.receiver.receiver import ReceiverSummary

_STALL_S = 120.0
_QUIET_S = 5.0
_PROGRESS_S = 0.1


@dataclass(frozen=True)
class Account:
    """What became of each number that the node used.

    given_up: numbers that the node told it would never send, by its reason; a number that was lost with the spool's
    files may have been used or not. unexplained: neither received nor told. waiting: still in the spool.
    duplicates: received again and dropped. reused: used for two messages. altered: received with other content.
    """

    numbers: int
    received: int
    given_up: dict[str, int]
    unexplained: int
    waiting: int
    duplicates: int
    reused: int
    refused: int
    altered: int


def account_for(summary: ReceiverSummary, *, numbers: int, waiting: int, altered: int) -> Account:
    """Settle what the receiver has with what the node says. numbers: the node used 0 to `numbers` - 1."""
    given_up, unexplained = Counter[str](), 0
    for hole in (hole for node in summary.nodes for hole in node.missing):
        count = hole.last - hole.first + 1
        if hole.why is None:
            unexplained += count
        else:
            given_up[hole.why] += count
    # Several accounts: numbers were used twice, each run has its own.
    first = min((node.first for node in summary.nodes if node.first is not None), default=numbers)
    last = max((node.last for node in summary.nodes if node.last is not None), default=numbers - 1)
    unexplained += first + max(0, numbers - 1 - last)
    return Account(
        numbers=numbers,
        received=summary.messages,
        given_up=dict(given_up),
        unexplained=max(0, unexplained - waiting),
        waiting=waiting,
        duplicates=summary.duplicates,
        reused=summary.reused,
        refused=summary.refused,
        altered=altered,
    )


def main(argv: list[str] | None = None) -> int:
    """Print the account and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.messages < 1 or arguments.faults < 1:
        raise ConfigError("expected --messages and --faults of at least 1; give larger numbers")
    draw, begun_s = random.Random(arguments.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        (Path(name) / "broker").mkdir()
        broker = Mosquitto(Path(name) / "broker", lines=["allow_anonymous true"], is_verbose=False)
        stack.callback(broker.stop)
        broker.start()
        is_small_disk = stack.enter_context(mount_small_disk(Path(name) / "node", size="24m"))
        listener = SessionListener(broker.settings)
        stack.callback(listener.close)
        listener.wait_until_it_listens()
        site = FaultySite(broker, Path(name) / "node", draw=draw, is_small_disk=is_small_disk)
        stack.callback(site.close)
        faults = draw_faults(arguments.faults, draw=draw, is_small_disk=is_small_disk)
        _let_fail(site, listener, faults=faults, messages=arguments.messages)
        waiting, numbers = site.end()
        _wait_until_quiet(listener)
        account = account_for(listener.receiver.summary(), numbers=numbers, waiting=waiting, altered=listener.altered)
    bars, counts = _bars(account), {name: faults.count(name) for name in FAULTS}
    record = record_head("failures", libraries=("paho-mqtt", "cbor2", "pydantic")) | {
        "seed": arguments.seed,
        "seconds": round(time.monotonic() - begun_s),
        "faults": counts,
        "kills": site.kills,
        "flipped_bits": site.flips,
        "account": asdict(account),
        "refusals": listener.refusals[:20],
        "bars": bars,
    }
    output = arguments.output or record_folder() / "failures.json"
    write_record(output, record)
    print(", ".join(f"{count} x {name}" for name, count in counts.items()))
    for what, figure in asdict(account).items():
        print(f"{what:12}{figure}")
    print(f"{record['device']}, load {record['load_average']}; record: {output}")
    return 0 if all(bar["is_met"] for bar in bars) else 1


def _let_fail(site: FaultySite, listener: SessionListener, *, faults: list[str], messages: int) -> None:
    """Spread the faults evenly over the messages."""
    with tqdm(total=messages, desc="messages", unit="message", disable=None) as bar:
        for number, name in enumerate(faults, start=1):
            bar.set_postfix_str(name)
            FAULTS[name][0](site)
            _wait_for_messages(listener, messages * number // len(faults), bar=bar)


def _wait_for_messages(listener: SessionListener, count: int, *, bar: "tqdm[None]") -> None:
    """Wait until so many have arrived in all. What never arrives is judged at the end, so this gives up in time."""
    until_s = time.monotonic() + _STALL_S
    while listener.accepted < count and time.monotonic() < max(until_s, listener.heard_s + _STALL_S):
        bar.update(listener.accepted - bar.n)
        time.sleep(_PROGRESS_S)
    bar.update(listener.accepted - bar.n)


def _wait_until_quiet(listener: SessionListener) -> None:
    while time.monotonic() < listener.heard_s + _QUIET_S:
        time.sleep(_PROGRESS_S)


def _bars(account: Account) -> list[Bar]:
    return [
        at_most("messages unexplained", limit=0, measured=account.unexplained),
        at_most("numbers used twice", limit=0, measured=account.reused),
        at_most("messages altered or refused", limit=0, measured=account.altered + account.refused),
        at_most("messages waiting after the end", limit=0, measured=account.waiting),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--messages 2000 --faults 7 --output failures.json",
        next_step="read benchmarks/README.md",
        examples="example: python benchmarks/failures.py --messages 1000000 --faults 1000",
    )
    parser.add_argument("--messages", type=int, default=20_000, help="at least so many (default: %(default)s)")
    parser.add_argument("--faults", type=int, default=40, help="how many, spread evenly (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the faults (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
