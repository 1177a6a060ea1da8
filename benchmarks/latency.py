"""Time engines beside the usual ways to run the same network, on one thread, in one interleaved run; write a record.

A TensorRT engine is timed twice, with its work recorded as a CUDA graph and without. Where this Python has no torch,
engines are timed without peers, and the record says so.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.measuring.jetson import find_jetson, interleave_steadily
from benchmarks.measuring.latency_record import (
    IsolatedTiming,
    LatencyResult,
    TimedNetwork,
    find_changes,
    parse_results,
    summarise_samples,
)
from benchmarks.measuring.machine import gpu_name, record_head
from benchmarks.measuring.records import read_record, record_folder, write_record
from benchmarks.measuring.sized_network import SizedNetwork, is_random, parse_size
from benchmarks.peers.plain_export import Peer, PeerSource
from benchmarks.reporting.latency_text import format_changes, format_result
from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.contract.manifest import Input, read_manifest
from edge_runtime.contract.provenance import read_cpu_name
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.tensorrt.library import load_tensorrt, shares_profiles
from edge_runtime.engine.tensorrt.tensorrt_engine import TensorRTEngine

if TYPE_CHECKING:
    from benchmarks.measuring.baselines import Baselines

ROOT = Path(__file__).resolve().parent.parent
_WORKER = ROOT / "benchmarks/measuring/latency_worker.py"
_WIDTHS = ("osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25")
_SIZES = ((256, 128), (192, 96), (128, 64), (64, 32))  # the paper's resolutions 1, 0.75, 0.5 and 0.25
_BACKENDS = ("onnxruntime", "openvino")
_EXAMPLES = """\
examples:
  python benchmarks/latency.py osnet.onnx osnet_int8.onnx --checkpoint model.pth --rounds 200
  python benchmarks/latency.py --compare OLD_RECORD.json        the engines of edge_runtime/models, and what changed
  python benchmarks/latency.py --grid                           every width and resolution, random weights
"""


@dataclass(frozen=True)
class LatencyPlan:
    """How a case is measured.

    baselines: None where there is no torch. alone_s: seconds of each engine alone per way of counting, 0 leaves it out;
    are_peers_alone: of each peer too.
    """

    baselines: "Baselines | None"
    batches: tuple[int, ...]
    rounds: int
    alone_s: float
    are_peers_alone: bool

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The peers to time; none where there is no torch."""
        return self.baselines.peers if self.baselines else ()

    @property
    def device(self) -> str:
        """What everything runs on; without torch the GPU if there is one, because then engines are TensorRT's."""
        return self.baselines.device if self.baselines else gpu_name() or read_cpu_name()


def main(argv: list[str] | None = None) -> int:
    """Print tables and write the record. Returns 0 if everything could be timed."""
    arguments = _parser().parse_args(argv)
    _check(arguments)
    given = {} if arguments.grid else _given_engines(arguments)
    old = parse_results(read_record(arguments.compare), source=arguments.compare) if arguments.compare else ()
    plan = LatencyPlan(
        baselines=_baselines(compiled=arguments.compile),
        batches=tuple(arguments.batches),
        rounds=arguments.rounds,
        alone_s=arguments.alone_s,
        are_peers_alone=not arguments.grid,  # sixteen times the same would take minutes
    )
    results: list[LatencyResult] = []
    faults: dict[str, str] = {}
    measured = _measure_grid(arguments, plan) if arguments.grid else _measure_given(given, arguments, plan=plan)
    for result, more in measured:
        results.append(result)
        faults |= more
        name = "grid" if arguments.grid else result.architecture
        output = arguments.output or record_folder() / f"latency_{name}.json"
        # After each network, so that a run that is stopped leaves what it found.
        write_record(output, _record(results, plan, faults=faults))
    print("\n\n".join(format_result(result) for result in results))
    if old:
        print("\n" + format_changes(find_changes(old, results)))
    print(f"{plan.device}, one thread; record: {output}")
    for name, fault in faults.items():
        print(f"{name} was not timed: {fault}", file=sys.stderr)
    return int(bool(faults))


def _baselines(*, compiled: bool) -> "Baselines | None":
    try:
        from benchmarks.measuring.baselines import open_baselines
    except ImportError as error:
        if error.name != "torch":
            raise
        return None
    return open_baselines(compiled=compiled)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.rounds < 1:
        raise ConfigError(f"expected at least 1 round, found --rounds {arguments.rounds}")
    if min(arguments.batches) < 1:
        raise ConfigError(f"expected batches of at least 1, found --batches {' '.join(map(str, arguments.batches))}")
    if arguments.grid and (arguments.engines or arguments.checkpoint):
        raise ConfigError("--grid makes its own engines with random weights; leave out engines and --checkpoint")


def _given_engines(arguments: argparse.Namespace) -> dict[SizedNetwork, dict[str, Path]]:
    """The engines of the command line, or the committed ones, by network and file name."""
    paths = arguments.engines or sorted((ROOT / "edge_runtime" / "models").glob("*.onnx"))
    if not paths:
        raise ConfigError("expected engines in edge_runtime/models, found none; give the paths of ONNX files")
    return _by_case(paths)


def _measure_given(
    given: dict[SizedNetwork, dict[str, Path]], arguments: argparse.Namespace, *, plan: LatencyPlan
) -> Iterator[tuple[LatencyResult, dict[str, str]]]:
    """The engines, network by network."""
    for case, named in given.items():
        with tempfile.TemporaryDirectory() as folder:
            input_ = Input(height_px=case.height_px, width_px=case.width_px)
            source = PeerSource(case.architecture, input_, arguments.checkpoint, Path(folder) / "plain.onnx")
            result, faults = _measure_case(source, named, plan=plan)
            yield result, {f"{case}, {name}": fault for name, fault in faults.items()}


def _by_case(paths: Sequence[Path]) -> dict[SizedNetwork, dict[str, Path]]:
    """Engines by file name, for each network and size of its own: a ratio to another network would mean nothing."""
    found: dict[SizedNetwork, dict[str, Path]] = {}
    for path in paths:
        manifest = read_manifest(path)
        named = found.setdefault(
            SizedNetwork(manifest.architecture, manifest.input.height_px, manifest.input.width_px), {}
        )
        if path.name in named:
            raise ConfigError(f"expected engines with different file names, found {named[path.name]} and {path}")
        named[path.name] = path
    return found


def _measure_grid(arguments: argparse.Namespace, plan: LatencyPlan) -> Iterator[tuple[LatencyResult, dict[str, str]]]:
    """Every architecture at every size, each with the reasons why engines could not be made."""
    from benchmarks.measuring.random_engines import make_engines  # takes torch

    cases = [SizedNetwork(name, *size) for size in arguments.sizes for name in arguments.architectures]
    choice = {"backends": arguments.backends, "batch_max": max(plan.batches)}
    for case in tqdm(cases, desc="networks", unit="network", disable=None):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            made = list(make_engines(case, folder, **choice))
            input_ = Input(height_px=case.height_px, width_px=case.width_px)
            source = PeerSource(case.architecture, input_, folder / "model.pth", folder / "plain.onnx")
            paths = {one.name: one.path for one in made if not one.error}
            result, faults = _measure_case(source, paths, plan=plan)
            faults |= {one.name: one.error for one in made if one.error}
            yield result, {f"{case}, {name}": fault for name, fault in faults.items()}


def _measure_case(
    source: PeerSource, paths: dict[str, Path], *, plan: LatencyPlan
) -> tuple[LatencyResult, dict[str, str]]:
    """All engines and peers of one network: interleaved, then each alone. Those that do not run leave their reasons."""
    cost = plan.baselines.prepare(source) if plan.baselines else None
    peaks = plan.baselines.peaks if plan.baselines else None
    crops = _crops(source.input_, plan.batches)
    with ExitStack() as stack:
        engines, faults = _open_engines(paths, stack)
        peers, more = _open_peers(source, plan, crops=crops)
        calls = {
            (name, batch): partial(describe, crops[batch])
            for batch in plan.batches
            for name, describe in (peers | {name: engine.describe for name, engine in engines.items()}).items()
        }
        networks = [_describe_peer(peer, source) for peer in plan.peers if peer.name in peers]
        networks += [_describe_engine(name, engine) for name, engine in engines.items()]
        jetson = find_jetson()
        steady = interleave_steadily(calls, rounds=plan.rounds, clock_hz=jetson.gpu_hz if jetson else None)
    running = {name: path for name, path in paths.items() if name not in faults}
    result = LatencyResult(
        architecture=source.architecture,
        input=(source.input_.height_px, source.input_.width_px),
        networks=tuple(networks),
        timings=summarise_samples(steady.samples, networks, cost=cost, peaks=peaks),
        alone=tuple(_alone(source, running, plan=plan)) if plan.alone_s else (),
        mult_adds=cost.mult_adds if cost else None,
        weights=cost.weights if cost else None,
        values=cost.values if cost else None,
        runs_dropped=steady.dropped,
    )
    return result, faults | more


def _crops(input_: Input, batches: Sequence[int]) -> dict[int, NDArray[np.uint8]]:
    """Random crops by batch size, the same for all: (N, H, W, 3) uint8."""
    random = np.random.default_rng(0)
    size_px = (input_.height_px, input_.width_px, 3)
    return {batch: random.integers(0, 256, (batch, *size_px), dtype=np.uint8) for batch in batches}


def _open_engines(paths: dict[str, Path], stack: ExitStack) -> tuple[dict[str, Engine], dict[str, str]]:
    """Open every engine, by name; TensorRT's also without CUDA graphs, or only so where it cannot record them."""
    engines, faults = {}, {}
    for name, path in paths.items():
        try:
            manifest = read_manifest(path)
            is_tensorrt = manifest.build.backend == "tensorrt"
            if not is_tensorrt or shares_profiles(load_tensorrt()):
                engines[name] = stack.enter_context(open_engine(path, threads=1))
            if is_tensorrt:
                bare = TensorRTEngine(path, manifest, records_runs=False)
                engines[f"{name}, no CUDA graph"] = stack.enter_context(bare)
        except EngineError as error:
            faults[name] = str(error)
    return engines, faults


def _open_peers(
    source: PeerSource, plan: LatencyPlan, *, crops: dict[int, NDArray[np.uint8]]
) -> tuple[dict[str, Describe], dict[str, str]]:
    """Open every peer and try all batches; one that fails, for example for lack of memory, leaves its reason."""
    peers, faults = {}, {}
    for peer in plan.peers:
        try:
            describe = peer.open(source)
            for some in crops.values():
                describe(some)
        except RuntimeError as error:
            faults[peer.name] = (str(error).strip() or type(error).__name__).splitlines()[0]
        else:
            peers[peer.name] = describe
    return peers, faults


def _describe_peer(peer: Peer, source: PeerSource) -> TimedNetwork:
    if source.checkpoint is None:
        return TimedNetwork(peer.name, peer.backend, peer.precision, "random", None, None, None, is_peer=True)
    manifest = read_manifest(source.checkpoint)
    weights, digest = ("random", None) if is_random(manifest) else (source.checkpoint.name, manifest.artefact.sha256)
    return TimedNetwork(peer.name, peer.backend, peer.precision, weights, digest, None, None, is_peer=True)


def _describe_engine(name: str, engine: Engine) -> TimedNetwork:
    manifest = engine.manifest
    is_trained = not is_random(manifest)
    scores = manifest.evidence
    return TimedNetwork(
        name=name,
        backend=engine.backend,
        precision=manifest.build.precision,
        weights=manifest.model_id if is_trained else "random",
        sha256=manifest.artefact.sha256 if is_trained else None,
        rank1=scores.rank1.value if scores else None,
        mean_ap=scores.mean_ap.value if scores else None,
    )


def _alone(source: PeerSource, paths: dict[str, Path], *, plan: LatencyPlan) -> list[IsolatedTiming]:
    """Time each network in a process of its own, so that memory and threads are its own."""
    size = (str(source.input_.height_px), str(source.input_.width_px))
    of_peer = ["--architecture", source.architecture, "--size", *size]
    if source.checkpoint:
        of_peer += ["--checkpoint", str(source.checkpoint)]
    jobs = {name: ["engine", str(path)] for name, path in paths.items()}
    if plan.are_peers_alone:
        jobs |= {peer.name: [peer.name, str(source.plain), *of_peer] for peer in plan.peers}
    return [
        _run_alone(name, [*job, "--seconds", str(plan.alone_s)])
        for name, job in tqdm(jobs.items(), desc="alone", unit="network", leave=False, disable=None)
    ]


def _run_alone(name: str, options: Sequence[str]) -> IsolatedTiming:
    done = subprocess.run([sys.executable, str(_WORKER), *options], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
        raise ConfigError(f"{name} failed in its own process: {last}; try it with: {_WORKER.name} {' '.join(options)}")
    return IsolatedTiming(**(json.loads(done.stdout) | {"name": name}))


def _record(results: Sequence[LatencyResult], plan: LatencyPlan, *, faults: dict[str, str]) -> dict[str, Any]:
    jetson = find_jetson()
    cases = [result.as_json() for result in results]
    return {
        **record_head("latency"),
        "device": plan.device,
        "board": jetson.facts() if jetson else None,
        "job": "uint8 crops to L2-normalised descriptors",
        "threads": 1,
        "rounds": plan.rounds,
        "method": "one process, random order per round, one warm call before each timed one; ratios of medians",
        "alone_s": plan.alone_s,
        "peers": "in the same run" if plan.baselines else "none: this Python has no torch",
        "peaks": asdict(plan.baselines.peaks) if plan.baselines else None,
        "faults": faults,
        **(cases[0] if len(cases) == 1 else {"cases": cases}),
    }


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="edge_runtime/models/osnet_x0_25.onnx",
        next_step="python benchmarks/pareto.py puts accuracy beside latency",
        examples=_EXAMPLES,
    )
    parser.add_argument("engines", type=Path, nargs="*", help="engines or ONNX files (default: edge_runtime/models)")
    parser.add_argument("--checkpoint", type=Path, help="weights for the peers (default: random ones)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8], help="crops per call (default: 1 8)")
    parser.add_argument("--rounds", type=int, default=100, help="timed calls of each (default: %(default)s)")
    parser.add_argument(
        "--alone-s",
        type=float,
        default=2,
        metavar="S",
        help="seconds that each network (of a grid: each engine) also runs in a process of its own, one image and then "
        "eight at a time, for MLPerf's ways of counting and for memory; 0 leaves it out (default: %(default)s)",
    )
    parser.add_argument("--compile", action="store_true", help="time torch.compile too; it takes a minute to start")
    parser.add_argument("--compare", type=Path, metavar="OLD", help="an earlier record: also show what changed")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/latency_NAME.json)")
    grid = parser.add_argument_group("all widths and resolutions")
    grid.add_argument("--grid", action="store_true", help="make engines with random weights and time them")
    grid.add_argument("--architectures", nargs="+", default=_WIDTHS, help="(default: OSNet's four widths)")
    grid.add_argument(
        "--sizes", type=parse_size, nargs="+", default=_SIZES, help="HEIGHTxWIDTH (default: the paper's four)"
    )
    grid.add_argument("--backends", nargs="*", choices=_BACKENDS, default=_BACKENDS, help="(default: both)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
