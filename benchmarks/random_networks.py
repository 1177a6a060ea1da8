"""Write ONNX files with random weights, of which TensorRT engines are built and timed; needs torch, but no GPU.

Each network gets a folder, NAME_HEIGHTxWIDTH, with its checkpoint model.pth and files GRAPH_PRECISION.onnx. Existing
files are not written again.
"""

import sys
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from benchmarks.measuring.random_engines import write_networks
from benchmarks.measuring.sized_network import PRECISIONS, SizedNetwork, parse_size
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run
from export.graph.variants import Graph

_EXAMPLES = "example: python benchmarks/random_networks.py osnet_x1_0 --graphs plain end_dense --output /tmp/networks"


def main(argv: list[str] | None = None) -> int:
    """Write the files. Returns the exit code.

    Raises:
        ConfigError: some could not be written; holds the reason of each.
    """
    arguments = _parser().parse_args(argv)
    cases = [SizedNetwork(name, *found) for name in arguments.architectures for found in arguments.sizes]
    faults = []
    for case in tqdm(cases, desc="networks", unit="network", disable=None):
        folder = arguments.output / str(case).replace(" ", "_")
        made = write_networks(case, folder, graphs=arguments.graphs, precisions=arguments.precisions)
        faults += [f"{case}, {one.name}: {one.error}" for one in made if one.error]
    if faults:
        raise ConfigError("; ".join(faults))
    return 0


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="osnet_x1_0 --output /tmp/networks",
        next_step="python benchmarks/tensorrt_smoke.py builds engines of the files",
        examples=_EXAMPLES,
    )
    parser.add_argument("architectures", nargs="+", help="names of networks, such as osnet_x1_0")
    parser.add_argument(
        "--sizes", type=parse_size, nargs="+", default=[(256, 128)], help="HEIGHTxWIDTH (default: 256x128)"
    )
    parser.add_argument("--graphs", nargs="+", choices=get_args(Graph), default=["plain"], help="(default: plain)")
    precisions = PRECISIONS["tensorrt"]
    parser.add_argument("--precisions", nargs="+", choices=precisions, default=precisions, help="(default: all)")
    parser.add_argument("--output", type=Path, required=True, help="folder for the networks' folders")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
