"""Let simulated nodes send through TLS into one mosquitto and one receiver, more and more, until something breaks."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from benchmarks.measuring.certificates import make_secrets
from benchmarks.measuring.fleet_plan import MessageCost, plan_fleet
from benchmarks.measuring.fleet_process import FleetProcess
from benchmarks.measuring.fleet_receiver import PATIENCE_S, QUIET_S, ReceivedFigures, receive_fleet
from benchmarks.measuring.fleet_sender import NODES_PER_PROCESS, Load, SentFigures, send_fleet
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.mosquitto import Mosquitto
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run

_LOADS = (0.05, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0)
_PLANNED = (500, 10_000)
_CONNECT_S = 300.0
_WORK_S = 60.0
_WARM_UP_S = 1.0
_LATE_MS = 1000.0
_BUSY = 0.85  # of a core; what is as busy as that has no time left


@dataclass(frozen=True)
class LoadResult:
    """What became of one load. lost: acknowledged by the broker, and never received. unsent: still at their nodes.

    cores: CPU seconds per second of each part. why: what shows that the load is not carried; empty if it is.
    breaks_first: the part that had no time left.
    """

    load: float
    wanted_per_s: float
    got_per_s: float
    due: int
    unsent: int
    unacknowledged: int
    lost: int
    duplicates: int
    refused: int
    closed: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    bytes_per_message: float
    cores: dict[str, float]
    cpu_us_per_message: dict[str, float]
    broker_mib: float
    why: tuple[str, ...]
    breaks_first: str | None


@dataclass(frozen=True)
class _Fleet:
    broker: Mosquitto
    senders: Sequence[FleetProcess]
    receiver: FleetProcess
    nodes: int

    def carry(self, load: float, *, rate: float, seconds: float) -> LoadResult:
        """Send one load and count. rate: messages per second of each node at a load of 1."""
        broker_s, begun_s = self.broker.cpu_s(), time.monotonic()
        for sender in self.senders:
            sender.tell(Load(time.time(), seconds, load * rate))
        sent: list[SentFigures] = [sender.answer(seconds + _WORK_S) for sender in self.senders]
        self.receiver.tell(sum(one.sent for one in sent))
        got: ReceivedFigures = self.receiver.answer(PATIENCE_S + _WORK_S)
        cpu_s = {
            "broker": self.broker.cpu_s() - broker_s,
            "receiver": got.cpu_s,
            **{f"sender {number}": one.cpu_s for number, one in enumerate(sent, start=1)},
        }
        took_s = max(seconds, time.monotonic() - begun_s - got.quiet_s)
        wanted_per_s = load * rate * self.nodes
        return _settle(_Counted(wanted_per_s, sent, got, cpu_s, took_s, self.broker.memory_mib()), load=load)


@dataclass(frozen=True)
class _Counted:
    wanted_per_s: float
    sent: Sequence[SentFigures]
    got: ReceivedFigures
    cpu_s: dict[str, float]
    took_s: float
    broker_mib: float


def _settle(counted: _Counted, *, load: float) -> LoadResult:
    """Set what was sent against what was received."""
    sent, got = counted.sent, counted.got
    due, total, closed = (sum(getattr(one, key) for one in sent) for key in ("due", "sent", "closed"))
    unacknowledged = total - sum(one.acknowledged for one in sent)
    is_over = got.quiet_s > QUIET_S  # else what has not arrived yet is on its way
    lost = max(0, total - unacknowledged - got.messages) if is_over else 0
    cores = {part: used_s / counted.took_s for part, used_s in counted.cpu_s.items()}
    parts_s = {part: counted.cpu_s[part] for part in ("broker", "receiver")}
    parts_s["senders"] = sum(one.cpu_s for one in sent)
    why = _faults(due=due, lost=lost, closed=closed, got=got)
    return LoadResult(
        load=load,
        wanted_per_s=counted.wanted_per_s,
        got_per_s=round(got.messages / counted.took_s, 1),
        due=due,
        unsent=due - total,
        unacknowledged=unacknowledged,
        lost=lost,
        duplicates=got.duplicates,
        refused=got.refused,
        closed=closed,
        latency_p50_ms=got.latency_p50_ms,
        latency_p95_ms=got.latency_p95_ms,
        bytes_per_message=round(got.bytes / max(1, got.messages), 1),
        cores={part: round(one, 3) for part, one in cores.items()},
        cpu_us_per_message={part: round(1e6 * one / max(1, got.messages), 1) for part, one in parts_s.items()},
        broker_mib=round(counted.broker_mib, 1),
        why=why,
        breaks_first=busiest_part(cores, machine=os.cpu_count() or 1) if why else None,
    )


def _faults(*, due: int, lost: int, closed: int, got: ReceivedFigures) -> tuple[str, ...]:
    found = {
        f"{closed} connections lost": closed > 0,
        f"{lost} acknowledged messages lost": lost > 0,
        f"{got.refused} refused": got.refused > 0,
        f"{due - got.messages} of {due} messages not received in time": got.messages < due,
        f"p95 above {_LATE_MS:g} ms": got.latency_p95_ms is None or got.latency_p95_ms > _LATE_MS,
    }
    return tuple(sentence for sentence, is_so in found.items() if is_so)


def busiest_part(cores: dict[str, float], *, machine: int) -> str:
    """Which part had no time left. cores: of each part, none of which can use more than one. machine: its cores."""
    part = max(cores, key=lambda one: cores[one])
    if cores[part] >= _BUSY:
        return part
    if sum(cores.values()) >= _BUSY * machine:
        return f"the machine: {machine} cores for broker, receiver and senders together"
    return "none of its parts: other programs used the processor"


def main(argv: list[str] | None = None) -> int:
    """Print a line per load and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    _check(arguments)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        begun_s = time.monotonic()
        fleet = _start(Path(name), arguments.nodes, stack=stack)
        connect_s, connect_cpu_s = time.monotonic() - begun_s, fleet.broker.cpu_s()
        fleet.carry(min(arguments.loads), rate=arguments.rate, seconds=_WARM_UP_S)
        idle_mib, steps = fleet.broker.memory_mib(), list[LoadResult]()
        for load in tqdm(arguments.loads, desc="loads", unit="load", disable=None):
            steps.append(fleet.carry(load, rate=arguments.rate, seconds=arguments.seconds))
            _print(steps[-1])
            if steps[-1].why:
                break
    record = record_head("fleet", libraries=("paho-mqtt", "cbor2", "pydantic")) | {
        "nodes": arguments.nodes,
        "rate": arguments.rate,
        "seconds": arguments.seconds,
        "connect_s": round(connect_s, 2),
        "connect_broker_cpu_s": round(connect_cpu_s, 2),
        "broker_mib_idle": round(idle_mib, 1),
        "steps": [asdict(step) for step in steps],
        "plans": _plans(steps, rate=arguments.rate),
    }
    output = arguments.output or record_folder() / "fleet.json"
    write_record(output, record)
    print(f"{record['device']}, load {record['load_average']}; record: {output}")
    return int(any(step.lost for step in steps))


def _start(folder: Path, nodes: int, *, stack: ExitStack) -> _Fleet:
    secrets = make_secrets(folder)
    broker = Mosquitto(folder, lines=secrets.broker_lines(), is_verbose=False)
    stack.callback(broker.stop)
    broker.start()
    settings = secrets.reach(broker.settings)
    receiver = FleetProcess(receive_fleet, settings=settings)
    stack.callback(receiver.stop)
    receiver.answer(_CONNECT_S)
    senders = []
    names = [f"node-{number:05}" for number in range(nodes)]
    for first in range(0, nodes, NODES_PER_PROCESS):
        senders.append(FleetProcess(send_fleet, settings=settings, names=names[first : first + NODES_PER_PROCESS]))
        stack.callback(senders[-1].stop)
    for sender in senders:
        sender.answer(_CONNECT_S)
    return _Fleet(broker, senders, receiver, nodes)


def _plans(steps: Sequence[LoadResult], *, rate: float) -> list[dict[str, object]]:
    """From the largest load that was carried; none where none was."""
    carried = [step for step in steps if not step.why]
    if not carried:
        return []
    cost = MessageCost(
        broker_us=carried[-1].cpu_us_per_message["broker"],
        receiver_us=carried[-1].cpu_us_per_message["receiver"],
        bytes=carried[-1].bytes_per_message,
    )
    return [asdict(plan_fleet(nodes, cost, rate=rate)) for nodes in _PLANNED]


def _print(step: LoadResult) -> None:
    p95 = "-" if step.latency_p95_ms is None else f"{step.latency_p95_ms:.0f} ms"
    cpu = ", ".join(f"{part} {one:.2f}" for part, one in step.cores.items())
    print(
        f"{step.wanted_per_s:8.0f}/s wanted {step.got_per_s:8.0f}/s got  p95 {p95:>8}  lost {step.lost}  cores: {cpu}"
    )
    if step.why:
        print(f"  not carried: {'; '.join(step.why)}. Busiest: {step.breaks_first}")


def _check(arguments: argparse.Namespace) -> None:
    limits = {"nodes": (1, 2000), "rate": (0.1, 1000), "seconds": (1, 600)}
    for name, (least, most) in limits.items():
        if not least <= getattr(arguments, name) <= most:
            raise ConfigError(f"--{name}: expected {least} to {most}, found {getattr(arguments, name)}")
    if any(not 0 < load <= 100 for load in arguments.loads):
        raise ConfigError(f"--loads: expected shares above 0, up to 100, found {arguments.loads}")


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--nodes 20 --seconds 5 --output fleet.json",
        next_step="read benchmarks/README.md",
        examples="example: OMP_NUM_THREADS=1 python benchmarks/fleet.py --nodes 500 --rate 20",
    )
    parser.add_argument("--nodes", type=int, default=500, help="simulated nodes (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=20.0, help="messages per second of a node (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each load (default: %(default)s)")
    parser.add_argument(
        "--loads", type=float, nargs="+", default=list(_LOADS), help="shares of that rate (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
