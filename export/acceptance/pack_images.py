"""Pack some test people into one file, so that an engine can be accepted on a device that has no data set."""

import argparse
import sys
from pathlib import Path

from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from export.acceptance.packed_images import USUAL_PEOPLE, choose_images, write_packed_images
from train.datasets.catalog import open_folder
from train.scoring.scorable import warn_of_other_people

_EXAMPLES = """\
example:
  python export/acceptance/pack_images.py /data/market1501 --model models/model.onnx --output acceptance.npz
"""


def main(argv: list[str] | None = None) -> int:
    """Write the file. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    manifest = read_manifest(arguments.model)
    input_, data = manifest.input, open_folder(arguments.data)
    warn_of_other_people(manifest, data)
    chosen = choose_images(data, identities=arguments.identities, seed=arguments.seed)
    people = len({sample.identity for sample in chosen.query})
    digest = write_packed_images(chosen, arguments.output, data=data, input_=input_)
    print(
        f"{arguments.output}: {people} people of {data.name}, {len(chosen.query)} query and "
        f"{len(chosen.gallery)} gallery images at {input_.height_px} x {input_.width_px}, "
        f"{arguments.output.stat().st_size / 1e6:.1f} MB, digest {digest[:16]}, {data.terms}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest=f"DATA --model {shipped_model()} --output acceptance.npz",
        next_step="copy it to the device, and there: python export/build_engine.py ... --acceptance acceptance.npz",
        examples=_EXAMPLES,
    )
    parser.add_argument("data", type=Path, help="folder of the data set; none of its training people are taken")
    parser.add_argument("--model", type=Path, required=True, help="a model whose manifest says how large crops are")
    parser.add_argument("--output", type=Path, required=True, help="the file to write (.npz)")
    parser.add_argument(
        "--identities", type=int, help=f"how many people (default: {USUAL_PEOPLE}, or all if there are fewer)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another number chooses other people (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
