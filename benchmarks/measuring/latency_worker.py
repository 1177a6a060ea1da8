"""Time one network alone, with one image and with eight at a time; print JSON. benchmarks/latency.py starts this.

example: python benchmarks/measuring/latency_worker.py engine osnet.onnx --seconds 2
"""

import argparse
import json
import sys
import time
from contextlib import ExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.jetson import find_jetson
from benchmarks.measuring.latency_record import IsolatedTiming
from benchmarks.peers.plain_export import Peer, PeerSource, list_plain_peers
from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.script import run
from edge_runtime.engine.catalog import open_engine

_STREAMS = 8
_LEAST_QUERIES = 10
_WARM_UP_S = 0.3


def main(argv: list[str] | None = None) -> int:
    """Print the result. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    with ExitStack() as stack:
        if arguments.network == "engine":
            engine = stack.enter_context(open_engine(arguments.path, threads=1))
            describe: Describe = engine.describe
            spec = engine.manifest.input
        else:
            spec = Input(height_px=arguments.size[0], width_px=arguments.size[1])
            describe = _open_peer(arguments, spec)
        print(json.dumps(asdict(_run(describe, spec, name=arguments.network, seconds=arguments.seconds))))
    return 0


def _open_peer(arguments: argparse.Namespace, spec: Input) -> Describe:
    peers = {peer.name: peer for peer in list_plain_peers()}
    if arguments.network not in peers:
        peers |= _torch_peers()
    if arguments.network not in peers:
        raise ConfigError(f"no peer {arguments.network!r}; known: engine, {', '.join(peers)}")
    source = PeerSource(arguments.architecture, spec, arguments.checkpoint, arguments.path)
    return peers[arguments.network].open(source)


def _torch_peers() -> dict[str, Peer]:
    """PyTorch's peers, which alone need torch."""
    import torch

    from benchmarks.peers.pytorch import list_cpu_peers, list_cuda_peers

    torch.set_num_threads(1)
    peers = list_cuda_peers if torch.cuda.is_available() else list_cpu_peers
    return {peer.name: peer for peer in peers(compiled=True)}


def _run(describe: Describe, spec: Input, *, name: str, seconds: float) -> IsolatedTiming:
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (_STREAMS, spec.height_px, spec.width_px, 3), dtype=np.uint8)
    jetson = find_jetson()
    for batch in (1, _STREAMS):
        _times(describe, crops[:batch], seconds=min(seconds, _WARM_UP_S))
    single = _times(describe, crops[:1], seconds=seconds)
    with jetson.metered() if jetson else nullcontext() as energy:
        multi = _times(describe, crops, seconds=seconds)
    mean_w = energy.mean_w if energy else None
    spent_s = multi.sum() / 1000
    return IsolatedTiming(
        name=name,
        single_stream_p90_ms=round(float(np.percentile(single, 90)), 3),
        single_stream_queries=len(single),
        multi_stream_p99_ms=round(float(np.percentile(multi, 99)), 3),
        multi_stream_queries=len(multi),
        resident_mib=round(_resident_mib(), 1),
        mj_per_descriptor=None if mean_w is None else round(1000 * mean_w * spent_s / (_STREAMS * len(multi)), 3),
        mean_w=None if mean_w is None else round(mean_w, 2),
    )


def _times(describe: Describe, crops: NDArray[np.uint8], *, seconds: float) -> NDArray[np.float64]:
    """Milliseconds of calls one after the other."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end or len(found) < _LEAST_QUERIES:
        describe(crops)
        found.append(1000 * (time.perf_counter() - start))
    return np.array(found)


def _resident_mib() -> float:
    """Resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", help="engine, or the name of a peer")
    parser.add_argument("path", type=Path, help="engine, or for peers the plain ONNX file")
    parser.add_argument("--architecture", help="for peers")
    parser.add_argument("--size", type=int, nargs=2, help="for peers: height and width")
    parser.add_argument("--checkpoint", type=Path, help="for peers: weights (default: random ones)")
    parser.add_argument("--seconds", type=float, default=2, help="of each way of counting (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
