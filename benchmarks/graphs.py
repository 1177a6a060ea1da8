"""Compare the graphs that a network can be deployed as: nodes, kernels, error against float64, time; write a record."""

import argparse
import copy
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Descriptor, Input, Part
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.contract.script import ScriptParser, run
from export.building.timing import Call, interleave
from export.graph.cost import count_graph_cost
from export.graph.deploy import GRAPHS, deploy
from export.graph.onnx_file import write_onnx
from train.models.catalog import build

_BATCHES = (1, 8)
_IMAGES = 4


@dataclass(frozen=True)
class GraphTiming:
    """One graph. error: largest difference from float64, relative to the largest number. p10_ms: per image, by batch.

    times_plain: the plain graph's p10 over this one's, by batch; larger is faster.
    """

    graph: str
    nodes: int
    kernels: int
    error: float
    p10_ms: dict[int, float]
    times_plain: dict[int, float]


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.rounds < 1:
        raise ConfigError(f"expected at least 1 round, found --rounds {arguments.rounds}")
    torch.set_num_threads(1)
    input_ = Input(height_px=arguments.height, width_px=arguments.width)
    network = _random_network(arguments.architecture, input_)
    with tempfile.TemporaryDirectory() as folder:
        paths = {graph: Path(folder) / f"{graph}.onnx" for graph in GRAPHS}
        for graph, path in paths.items():
            descriptor = _descriptor(network)
            write_onnx(deploy(network, input_, graph=graph), path, input_=input_, descriptor=descriptor)
        rows = _compare(network, input_, paths=paths, rounds=arguments.rounds)
    output = arguments.output or record_folder() / f"graphs_{arguments.architecture}.json"
    write_record(output, _record(arguments, rows))
    print(_table(rows))
    print(f"ONNX Runtime {onnxruntime.__version__} on {read_cpu_name()}, one thread; record: {output}")
    return 0


def _random_network(architecture: str, input_: Input) -> nn.Module:
    """A network with random weights and batch norms fitted to noise: time and counts do not depend on weights."""
    torch.manual_seed(0)
    network = build(architecture, classes=2)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(_IMAGES, 3, input_.height_px, input_.width_px))
    return network.eval()


def _descriptor(network: nn.Module) -> Descriptor:
    parts: Any = network.descriptor_parts
    return Descriptor(length=sum(n for _, n in parts), parts=tuple(Part(name=name, length=n) for name, n in parts))


def _compare(network: nn.Module, input_: Input, *, paths: dict[Any, Path], rounds: int) -> list[GraphTiming]:
    random = np.random.default_rng(0)
    crops = random.integers(0, 256, (max(_BATCHES), input_.height_px, input_.width_px, 3), dtype=np.uint8)
    truth = _truth(network, crops[:_IMAGES], input_=input_)
    sessions = {graph: _session(path) for graph, path in paths.items()}
    calls: dict[tuple[str, int], Call] = {
        (graph, batch): partial(session.run, None, {"pixels": crops[:batch]})
        for graph, session in sessions.items()
        for batch in _BATCHES
    }
    samples = interleave(calls, rounds=rounds)
    p10 = {key: float(np.percentile(values, 10)) / key[1] for key, values in samples.items()}
    rows = []
    for graph, path in paths.items():
        cost = count_graph_cost(onnx.load(path))
        found = sessions[graph].run(None, {"pixels": crops[:_IMAGES]})[0]
        rows.append(
            GraphTiming(
                graph=graph,
                nodes=cost.nodes,
                kernels=cost.kernels,
                error=float(np.abs(found - truth).max() / np.abs(truth).max()),
                p10_ms={batch: round(p10[graph, batch], 4) for batch in _BATCHES},
                times_plain={batch: round(p10["plain", batch] / p10[graph, batch], 3) for batch in _BATCHES},
            )
        )
    return rows


def _truth(network: nn.Module, crops: NDArray[np.uint8], *, input_: Input) -> NDArray[np.float64]:
    mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (input_.mean, input_.std))
    images = torch.from_numpy(crops).permute(0, 3, 1, 2).double() / 255
    with torch.inference_mode():
        truth: NDArray[np.float64] = copy.deepcopy(network).double()((images - mean) / std).numpy()
    return truth


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _record(arguments: argparse.Namespace, rows: list[GraphTiming]) -> dict[str, Any]:
    return {
        "what": "graphs of one network with random weights; one thread, interleaved, 10th percentile per image",
        "architecture": arguments.architecture,
        "height_px": arguments.height,
        "width_px": arguments.width,
        "device": read_cpu_name(),
        "versions": {"onnxruntime": onnxruntime.__version__, "torch": str(torch.__version__)},
        "commit": read_commit(),
        "created": read_utc(),
        "rounds": arguments.rounds,
        "graphs": [asdict(row) for row in rows],
    }


def _table(rows: list[GraphTiming]) -> str:
    timed = " | ".join(f"ms at batch {batch} (times plain)" for batch in _BATCHES)
    lines = [f"| graph | ONNX nodes | GPU kernels | error | {timed} |", "|---|---|---|---|" + "---|" * len(_BATCHES)]
    for row in rows:
        times = " | ".join(f"{row.p10_ms[batch]:.3f} ({row.times_plain[batch]:.2f})" for batch in _BATCHES)
        lines.append(f"| {row.graph} | {row.nodes} | {row.kernels} | {row.error:.1e} | {times} |")
    return "\n".join(lines)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="osnet_x0_25",
        next_step="export/graph/variants.py holds the graph that each backend gets",
        examples="example: python benchmarks/graphs.py osnet_x0_25 --rounds 100",
    )
    parser.add_argument("architecture", help="name of a network, such as osnet_x0_25")
    parser.add_argument("--height", type=int, default=256, help="pixels (default: %(default)s)")
    parser.add_argument("--width", type=int, default=128, help="pixels (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=100, help="samples per graph and batch (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/graphs_ARCHITECTURE.json")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
