"""Pack a few test people into one file, so that an engine can be judged on a device that has no data set."""

import argparse
import sys
from pathlib import Path

from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import run
from export.acceptance.packed_images import USUAL_PEOPLE, choose, write_gate_file
from train.datasets.catalog import open_folder


def main(argv: list[str] | None = None) -> int:
    """Write the file. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    input_ = read_manifest(arguments.model).input
    data = open_folder(arguments.data)
    chosen = choose(data, identities=arguments.identities, seed=arguments.seed)
    people = len({sample.identity for sample in chosen.query})
    digest = write_gate_file(chosen, arguments.output, data=data, input_=input_)
    print(
        f"{arguments.output}: {people} people of {data.name}, {len(chosen.query)} query and "
        f"{len(chosen.gallery)} gallery images at {input_.height_px} x {input_.width_px}, "
        f"{arguments.output.stat().st_size / 1e6:.1f} MB, digest {digest[:16]}, {data.terms}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python export/pack_images.py data/market1501 --model models/model.onnx --output gate.npz",
    )
    parser.add_argument("data", type=Path, help="folder of the data set; none of its training people is taken")
    parser.add_argument("--model", type=Path, required=True, help="a model whose manifest says how large crops are")
    parser.add_argument("--output", type=Path, required=True, help="the file to write (.npz)")
    parser.add_argument("--identities", type=int, help=f"how many people (default: {USUAL_PEOPLE}, or all of fewer)")
    parser.add_argument("--seed", type=int, default=0, help="another seed chooses other people (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
