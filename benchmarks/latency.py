"""Time engines beside the same network in PyTorch eager, one thread, in one interleaved run; write a record."""

import argparse
import json
import os
import platform
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input, Manifest
from edge_runtime.contract.provenance import commit, cpu_name, now
from edge_runtime.contract.script import run
from edge_runtime.engine.engine import Engine, open_engine
from export.timing import Call, interleave
from train.checkpoint import load_network
from train.models.catalog import build
from train.models.pixels import normalise_pixels

ROOT = Path(__file__).resolve().parent.parent
_BATCHES = (1, 8)
_EAGER = "PyTorch eager"


@dataclass(frozen=True)
class Network:
    """One of the networks that were timed. sha256: the engine's digest, None for random weights."""

    name: str
    backend: str
    precision: str
    weights: str
    sha256: str | None
    rank1: float | None
    mean_ap: float | None


@dataclass(frozen=True)
class Timing:
    """Wall time of one call on a batch; `times_eager` is the ratio of medians, larger is faster."""

    name: str
    batch: int
    median_ms: float
    p95_ms: float
    times_eager: float


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    paths = arguments.engines or sorted((ROOT / "edge_runtime" / "models").glob("*.onnx"))
    if not paths:
        raise ConfigError("expected engines in edge_runtime/models, found none; give the paths of ONNX files")
    if arguments.rounds < 1:
        raise ConfigError(f"expected at least 1 round, found --rounds {arguments.rounds}")
    torch.set_num_threads(1)
    with ExitStack() as stack:
        engines = {name: stack.enter_context(open_engine(path, threads=1)) for name, path in _named(paths).items()}
        manifest = _common_manifest(engines)
        output = arguments.output or ROOT / "benchmarks" / "records" / f"latency_{manifest.architecture}.json"
        output.parent.mkdir(parents=True, exist_ok=True)
        eager, network = _open_eager(manifest, arguments.checkpoint)
        networks = [network, *(_describe_engine(name, engine) for name, engine in engines.items())]
        timings = _time(engines, eager, manifest=manifest, rounds=arguments.rounds)
    record = _record(manifest, networks, timings=timings, rounds=arguments.rounds)
    output.write_text(json.dumps(record, indent=2) + "\n")
    print(_table(networks, timings))
    print(f"{record['device']}, one thread; record: {output}")
    return 0


def _named(paths: list[Path]) -> dict[str, Path]:
    """The engines by file name, as table and record call them."""
    named = {path.name: path for path in paths}
    if len(named) < len(paths):
        raise ConfigError(f"expected engines with different file names, found {', '.join(map(str, paths))}")
    return named


def _common_manifest(engines: dict[str, Engine]) -> Manifest:
    manifests = [engine.manifest for engine in engines.values()]
    architectures = {(manifest.architecture, manifest.input) for manifest in manifests}
    if len(architectures) > 1:
        raise ConfigError(f"expected engines of one architecture and input size, found several: {', '.join(engines)}")
    return manifests[0]


def _open_eager(manifest: Manifest, checkpoint: Path | None) -> tuple[nn.Module, Network]:
    """The network as training has it, nothing folded."""
    torch.manual_seed(0)
    if checkpoint is None:
        module = build(manifest.architecture, classes=1).eval()
        weights, digest = "random", None
    else:
        loaded = load_network(checkpoint)
        if loaded.manifest.architecture != manifest.architecture:
            raise ConfigError(
                f"the engines are {manifest.architecture}, but {checkpoint} is {loaded.manifest.architecture}; "
                "give the checkpoint they were exported from"
            )
        module, weights, digest = loaded.network, checkpoint.name, loaded.manifest.artefact.sha256
    return module, Network(_EAGER, f"torch {torch.__version__} CPU", "fp32", weights, digest, None, None)


def _describe_engine(name: str, engine: Engine) -> Network:
    manifest = engine.manifest
    scores = manifest.evidence
    return Network(
        name=name,
        backend=engine.backend,
        precision=manifest.build.precision,
        weights=manifest.model_id,
        sha256=manifest.artefact.sha256,
        rank1=scores.rank1.value if scores else None,
        mean_ap=scores.mean_ap.value if scores else None,
    )


def _time(engines: dict[str, Engine], eager: nn.Module, *, manifest: Manifest, rounds: int) -> list[Timing]:
    """Time the same job for all: uint8 crops in, L2-normalised descriptors out."""
    random = np.random.default_rng(0)
    spec = manifest.input
    calls: dict[tuple[str, int], Call] = {}
    for batch in _BATCHES:
        crops = random.integers(0, 256, (batch, spec.height_px, spec.width_px, 3), dtype=np.uint8)
        calls[_EAGER, batch] = partial(_describe_eagerly, eager, crops, input_=spec)
        for name, engine in engines.items():
            calls[name, batch] = partial(engine.describe, crops)
    samples = interleave(calls, rounds=rounds)
    return [_timing(*key, values=values, eager=samples[_EAGER, key[1]]) for key, values in samples.items()]


def _describe_eagerly(network: nn.Module, crops: NDArray[np.uint8], *, input_: Input) -> torch.Tensor:
    """The usual way in PyTorch: planes first, normalised, network, L2."""
    with torch.inference_mode():
        planes = torch.from_numpy(crops).permute(0, 3, 1, 2).contiguous()
        return nn.functional.normalize(network(normalise_pixels(planes, input_)))


def _timing(name: str, batch: int, *, values: NDArray[np.float64], eager: NDArray[np.float64]) -> Timing:
    median = float(np.median(values))
    return Timing(
        name=name,
        batch=batch,
        median_ms=round(median, 3),
        p95_ms=round(float(np.percentile(values, 95)), 3),
        times_eager=round(float(np.median(eager)) / median, 2),
    )


def _record(manifest: Manifest, networks: list[Network], *, timings: list[Timing], rounds: int) -> dict[str, object]:
    return {
        "benchmark": "latency",
        "created": now(),
        "commit": commit(),
        "device": cpu_name(),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
        },
        "architecture": manifest.architecture,
        "input": [manifest.input.height_px, manifest.input.width_px],
        "job": "uint8 crops to L2-normalised descriptors",
        "threads": 1,
        "rounds": rounds,
        "method": "one process, random order per round, one warm call before each timed one; ratios of medians",
        "networks": [asdict(network) for network in networks],
        "timings": [asdict(timing) for timing in timings],
    }


def _table(networks: list[Network], timings: list[Timing]) -> str:
    rows = [
        f"{'network':44}{'precision':>10}"
        + "".join(f"{f'batch {b}: median':>18}{'p95 ms':>9}{'x eager':>9}" for b in _BATCHES)
    ]
    for network in networks:
        row = f"{network.name:44}{network.precision:>10}"
        for timing in sorted((t for t in timings if t.name == network.name), key=lambda t: t.batch):
            row += f"{timing.median_ms:>18.2f}{timing.p95_ms:>9.2f}{timing.times_eager:>9.2f}"
        rows.append(row)
    return "\n".join(rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python benchmarks/latency.py osnet.onnx osnet_int8.onnx --rounds 200"
    )
    parser.add_argument(
        "engines", type=Path, nargs="*", help="ONNX files of one network (default: all of edge_runtime/models)"
    )
    parser.add_argument("--checkpoint", type=Path, help="weights for PyTorch eager (default: random ones)")
    parser.add_argument("--rounds", type=int, default=100, help="timed calls of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/latency_ARCHITECTURE.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
