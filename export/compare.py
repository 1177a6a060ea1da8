"""Compare a model with the one it was made from: descriptors and retrieval. Exit code 1 where it loses too much."""

import argparse
import sys
from pathlib import Path

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import run
from export.acceptance.comparison import as_table
from export.acceptance.options import add_gate_options, open_gate
from export.acceptance.tolerance import add_tolerance_options, tolerance_of


def main(argv: list[str] | None = None) -> int:
    """Print both models' scores. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    precision = read_manifest(arguments.model).build.precision
    gate = open_gate(arguments, read_manifest(arguments.parent).input)
    tolerance = tolerance_of(arguments, precision, queries=len(gate.images.query))
    comparison = gate.judge(arguments.parent, arguments.model)
    print(as_table(comparison))
    excess = comparison.excess(tolerance)
    if excess:
        raise ExportError(f"{arguments.model} is not good enough: {excess}")
    rank1, mean_ap = round(tolerance.rank1, 2), round(tolerance.mean_ap, 2)
    print(f"accepted: up to {rank1:g} points of rank-1 and {mean_ap:g} of mAP may be lost")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python export/compare.py osnet.onnx osnet_int8.onnx --data data/market1501",
    )
    parser.add_argument("parent", type=Path, help="the float32 ONNX file, its manifest beside it")
    parser.add_argument("model", type=Path, help="the ONNX file or engine made from it, its manifest beside it")
    add_gate_options(parser)
    add_tolerance_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
