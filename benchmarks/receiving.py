"""Send the receiver messages that break the contract in every way, then good ones, and write a record."""

import argparse
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cbor2

from benchmarks.measuring.bars import at_least, at_most
from benchmarks.measuring.hostile_messages import birth, good_messages, hostile_messages
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.link.broker import Received
from edge_runtime.receiver.receiver import Accepted, Receiver, Refused

_HANG_S = 1.0
_CHUNK = 2_000  # messages that are made at a time, so that making them is not taken for the receiver's memory
_TURN = 200


@dataclass
class _Outcome:
    refused: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    raised: list[str] = field(default_factory=list)
    longest_s: float = 0.0
    cpu_s: float = 0.0


def send_hostile(receiver: Receiver, count: int, *, seed: int) -> _Outcome:
    """Give the receiver one message after another."""
    outcome = _Outcome()
    for start in range(0, count, _CHUNK):
        for kind, received in hostile_messages(min(_CHUNK, count - start), seed=seed + start):
            begun_s = time.process_time()
            try:
                events = list(receiver.take(received))
            except Exception as error:  # whatever it raises is what is looked for
                outcome.raised.append(f"{kind}: {error!r}"[:200])
                events = []
            took_s = time.process_time() - begun_s
            outcome.longest_s = max(outcome.longest_s, took_s)
            outcome.cpu_s += took_s
            outcome.sent[kind] += 1
            outcome.refused[kind] += any(isinstance(one, Refused) for one in events)
    return outcome


def count_accepted(receiver: Receiver, messages: Iterable[Received]) -> int:
    """How many of them are accepted."""
    return sum(isinstance(one, Accepted) for received in messages for one in receiver.take(received))


def time_good(receiver: Receiver, messages: list[Received]) -> tuple[int, float, float]:
    """How many are accepted; CPU microseconds of a message, and of decoding its CBOR alone.

    Both are medians over short turns in the same run, so that their ratio says little of the machine.
    """
    accepted, turns = 0, []
    for start in range(0, len(messages), _TURN):
        turn = messages[start : start + _TURN]
        begun_s = time.process_time()
        accepted += count_accepted(receiver, turn)
        received_s = time.process_time()
        for one in turn:
            cbor2.loads(one.payload)
        turns.append(((received_s - begun_s) / len(turn), (time.process_time() - received_s) / len(turn)))
    message_us, decoder_us = (statistics.median(column) * 1e6 for column in zip(*turns, strict=True))
    return accepted, message_us, decoder_us


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(argv: list[str] | None = None) -> int:
    """Print the bars and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.hostile < 1 or arguments.good < 1:
        raise ConfigError("expected --hostile and --good of at least 1; give larger numbers")
    receiver = Receiver()
    list(receiver.take(birth()))
    send_hostile(Receiver(), min(_CHUNK, arguments.hostile), seed=arguments.seed + 1)  # what every run loads and makes
    before_mib = _peak_mib()
    outcome = send_hostile(receiver, arguments.hostile, seed=arguments.seed)
    grown_mib = _peak_mib() - before_mib
    good = good_messages(arguments.good, seed=arguments.seed, first=10**6)
    accepted, message_us, decoder_us = time_good(receiver, good)
    bars = [
        at_most("messages that raise", limit=0, measured=len(outcome.raised)),
        at_most("longest message, CPU seconds", limit=_HANG_S, measured=round(outcome.longest_s, 4)),
        at_most("memory grown, MiB", limit=64, measured=round(grown_mib, 1)),
        at_least("good messages accepted afterwards", limit=len(good), measured=accepted),
        at_least("good messages per CPU second", limit=20_000, measured=round(1e6 / message_us)),
    ]
    record = record_head("receiver", libraries=("numpy", "cbor2", "pydantic")) | {
        "seed": arguments.seed,
        "hostile": arguments.hostile,
        "hostile_per_cpu_s": round(arguments.hostile / max(outcome.cpu_s, 1e-9)),
        "kinds": {
            kind: {"sent": sent, "refused": outcome.refused[kind]} for kind, sent in sorted(outcome.sent.items())
        },
        "raised": outcome.raised[:20],
        "good": len(good),
        "message_us": round(message_us, 1),
        "decoder_us": round(decoder_us, 1),
        "bars": bars,
    }
    output = arguments.output or record_folder() / "receiver.json"
    write_record(output, record)
    for bar in bars:
        print(f"{bar['bar']:36}{bar['measured']:>10} of {bar['limit']:<8}{'met' if bar['is_met'] else 'NOT met'}")
    print(f"{message_us:.1f} us for a good message, {decoder_us:.1f} us for decoding its CBOR alone")
    print(f"{record['device']}, load {record['load_average']}; record: {output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--hostile 1000 --good 1000 --output receiver.json",
        next_step="read benchmarks/README.md",
        examples="example: OMP_NUM_THREADS=1 python benchmarks/receiving.py --seed 1",
    )
    parser.add_argument("--hostile", type=int, default=100_000, help="bad messages (default: %(default)s)")
    parser.add_argument("--good", type=int, default=20_000, help="good ones afterwards (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the faults (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
