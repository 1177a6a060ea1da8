"""Compare a model with its float32 parent: descriptors and retrieval. Exit code 1 if it loses too much."""

import argparse
import sys
from pathlib import Path

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from export.acceptance.acceptance_options import add_acceptance_options, open_acceptance
from export.acceptance.comparison import format_comparison
from export.acceptance.tolerance import add_tolerance_options, tolerance_of

_EXAMPLES = """\
examples:
  python export/compare.py models/model.onnx models/model_int8_onnxruntime.onnx --data /data/market1501
  on a device, with the file of export/acceptance/pack_images.py, and with the engine of other cameras:
  python export/compare.py model.onnx model_int8_tensorrt.engine --acceptance acceptance.npz --beside other.engine
"""


def command() -> int:
    """The installed command `reid-compare`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Print both models' scores. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    precision = read_manifest(arguments.model).build.precision
    acceptance = open_acceptance(arguments, read_manifest(arguments.parent).input)
    tolerance = tolerance_of(arguments, precision, queries=len(acceptance.images.query))
    comparison = acceptance.compare(arguments.parent, arguments.model)
    print(format_comparison(comparison))
    excess = comparison.excess(tolerance)
    if excess:
        raise ExportError(f"{arguments.model} is not good enough: {excess}")
    rank1, mean_ap = round(tolerance.rank1, 2), round(tolerance.mean_ap, 2)
    print(f"accepted: up to {rank1:g} points of rank-1 and {mean_ap:g} of mAP may be lost")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest=f"{shipped_model()} {shipped_model(precision='int8')} --data DATA",
        next_step="if INT8 loses too much, export/building/sensitivity.py measures what to leave in float",
        examples=_EXAMPLES,
    )
    parser.add_argument("parent", type=Path, help="the float32 ONNX file, its manifest beside it")
    parser.add_argument("model", type=Path, help="the ONNX file or engine made from it, its manifest beside it")
    add_acceptance_options(parser)
    add_tolerance_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(command())
