"""Time the whole chain, from boxes on a frame to L2-normalised descriptors, our engines beside peers; write a record.

Each way runs in a process of its own. The ways take turns, for several rounds. The record holds the median of the
rounds' medians, and the median of the rounds' ratios to each peer.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.peers.plain_export import PeerSource
from benchmarks.peers.pytorch import export_plain
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.contract.provenance import read_cpu_name
from edge_runtime.contract.script import ScriptParser, run

ROOT = Path(__file__).resolve().parent.parent
_PEERS = ("torch_crops", "numpy_crops", "numpy_crops_openvino", "eager")


@dataclass(frozen=True)
class Way:
    """One way from boxes to descriptors. worker: its name in peers/chain_workers.py. model: the file it runs."""

    name: str
    worker: str
    model: str
    precision: str


@dataclass(frozen=True)
class ChainTiming:
    """Milliseconds per person, the median of the rounds; faster_than: the median of the rounds' ratios to a peer."""

    way: str
    batch: int
    median_ms: float
    rounds_ms: tuple[float, ...]
    faster_than: dict[str, float]


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    manifests = [read_manifest(path) for path in arguments.engines]
    networks = {(m.architecture, m.input.height_px, m.input.width_px) for m in manifests}
    if len(networks) != 1:
        raise ConfigError(f"expected engines of one architecture and input size, found {sorted(networks)}")
    if min(arguments.rounds, *arguments.batches) < 1:
        raise ConfigError("expected --rounds and --batches of at least 1")
    [(architecture, *size)] = networks
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / f"{architecture}.onnx"
        export_plain(PeerSource(architecture, manifests[0].input, None, plain))
        ways = [
            Way(f"{m.build.backend} {m.build.precision}", "engine", str(path), m.build.precision)
            for path, m in zip(arguments.engines, manifests, strict=True)
        ]
        if len({way.name for way in ways}) < len(ways):
            raise ConfigError(f"expected engines that differ in backend or precision, found {[w.name for w in ways]}")
        ways += [Way(peer, peer, str(plain), "fp32") for peer in _PEERS]
        settings = ["--size", *map(str, size), "--seconds", str(arguments.seconds), "--threads", str(arguments.threads)]
        timings = [
            timing
            for batch in arguments.batches
            for timing in time_ways(ways, batch=batch, rounds=arguments.rounds, settings=settings)
        ]
    output = arguments.output or record_folder() / f"chain_{architecture}.json"
    write_record(output, _record(manifests[0], ways, timings=timings, arguments=arguments))
    print(_table(timings))
    print(f"{read_cpu_name()}, {arguments.threads} threads; record: {output}")
    return 0


def time_ways(ways: list[Way], *, batch: int, rounds: int, settings: list[str]) -> list[ChainTiming]:
    """Time all ways at one batch size, in turns. settings: further arguments of the workers."""
    found: dict[str, list[float]] = {way.name: [] for way in ways}
    turns = [way for _ in range(rounds) for way in ways]
    for way in tqdm(turns, desc=f"batch {batch}", unit="run", leave=False, disable=None):
        found[way.name].append(_median_ms(way, ["--batch", str(batch), *settings]))
    return [
        ChainTiming(
            way.name,
            batch,
            round(float(np.median(found[way.name])), 3),
            tuple(round(value, 3) for value in found[way.name]),
            {peer: _ratio(found[peer], found[way.name]) for peer in _PEERS},
        )
        for way in ways
    ]


def _ratio(peer: list[float], own: list[float]) -> float:
    return round(float(np.median(np.array(peer) / np.array(own))), 2)


def _median_ms(way: Way, settings: list[str]) -> float:
    """Run one way in a process of its own."""
    worker = ROOT / "benchmarks/peers/chain_workers.py"
    command = [sys.executable, str(worker), way.worker, way.model, *settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{way.name} failed: {(done.stderr.strip() or 'it gives no reason').splitlines()[-1]}")
    return float(np.median(np.array(done.stdout.split(), np.float64)))


def _record(
    manifest: Manifest, ways: list[Way], *, timings: list[ChainTiming], arguments: argparse.Namespace
) -> dict[str, object]:
    return {
        **record_head("chain"),
        "architecture": manifest.architecture,
        "input": [manifest.input.height_px, manifest.input.width_px],
        "job": "boxes on a 1080p RGB frame to L2-normalised descriptors, ms per person",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "method": "one process per way, in turns; medians of the rounds' medians, ratios per round",
        "ways": [asdict(way) | {"model": Path(way.model).name} for way in ways],
        "timings": [asdict(timing) for timing in timings],
    }


def _table(timings: list[ChainTiming]) -> str:
    rows = [f"{'way':28}{'batch':>6}{'ms/person':>11}" + "".join(f"{'x ' + peer:>23}" for peer in _PEERS)]
    for timing in timings:
        ratios = "".join(f"{timing.faster_than[peer]:>23.2f}" for peer in _PEERS)
        rows.append(f"{timing.way:28}{timing.batch:>6}{timing.median_ms:>11.3f}{ratios}")
    return "\n".join(rows)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="edge_runtime/models/osnet_x0_25.onnx",
        next_step="benchmarks/README.md shows the records as tables",
        examples="example: python benchmarks/chain.py osnet.onnx osnet_int8.onnx --batches 1 8 32",
    )
    parser.add_argument("engines", type=Path, nargs="+", help="our engines of one network, each beside its manifest")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="people per frame (default: 1 8 32)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="length of a turn (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="threads of our engines (default: all cores)"
    )
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/chain_ARCHITECTURE.json")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
