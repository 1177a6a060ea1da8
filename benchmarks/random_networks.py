"""Write ONNX files with random weights, which TensorRT engines are built from to be timed; needs torch, but no GPU.

Each network gets a folder, NAME_HEIGHTxWIDTH, with its checkpoint model.pth and GRAPH_PRECISION.onnx. Files that are
there already are left as they are.

example: python benchmarks/random_networks.py osnet_x1_0 --graphs plain end_dense --output /tmp/networks
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from benchmarks.measuring.cases import PRECISIONS, Case, size
from benchmarks.measuring.engines import write_networks
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import run
from export.graph.variants import Graph


def main(argv: list[str] | None = None) -> int:
    """Write the files. Returns 0 if all could be written; the sentences of the others stand on stderr."""
    arguments = _parser().parse_args(argv)
    cases = [Case(name, *found) for name in arguments.architectures for found in arguments.sizes]
    faults = []
    for case in tqdm(cases, desc="networks", unit="network", disable=None):
        folder = arguments.output / str(case).replace(" ", "_")
        made = write_networks(case, folder, graphs=arguments.graphs, precisions=arguments.precisions)
        faults += [f"{case}, {one.name}: {one.error}" for one in made if one.error]
    if faults:
        raise ConfigError("; ".join(faults))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="+", help="such as osnet_x1_0")
    parser.add_argument("--sizes", type=size, nargs="+", default=[(256, 128)], help="HEIGHTxWIDTH (default: 256x128)")
    parser.add_argument("--graphs", nargs="+", choices=get_args(Graph), default=["plain"], help="(default: plain)")
    precisions = PRECISIONS["tensorrt"]
    parser.add_argument("--precisions", nargs="+", choices=precisions, default=precisions, help="(default: all)")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
