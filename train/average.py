"""Average the weights of two checkpoints: often better than both on cameras that neither has seen."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Input, Manifest, Terms, write_manifest
from edge_runtime.contract.script import ScriptParser, run
from train.datasets.crops import read_crops
from train.datasets.images import ImageFiles
from train.models.averaging import average, renew_statistics
from train.models.checkpoint import LoadedNetwork, checkpoint_manifest, load_network, save
from train.models.pixels import normalise_pixels
from train.models.weights import load_all_but_classifiers

_EXAMPLES = """\
examples:
  python train/average.py before.pth runs/distil_osnet-labels_x0_25-seed0/model.pth --data CROPS --output mean.pth
  python train/average.py before.pth after.pth --share 0.3 --data /data/cuhk03_np_detected CROPS --output mean.pth

The second network is trained from the weights of the first: the average of two that were trained apart finds nobody.
Compare several shares on people that no network trained on: python train/evaluate.py mean.pth --data DIR
"""
_BATCH = 64


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not 0 <= arguments.share <= 1:
        raise ConfigError(f"--share is between 0 (the first network) and 1 (the second), found {arguments.share}")
    if not arguments.output.resolve().parent.is_dir():
        raise ConfigError(f"expected the folder {arguments.output.parent} for --output, found none; make it")
    first, second = load_network(arguments.first), load_network(arguments.second)
    _check_alike(first.manifest, second.manifest)
    crops = read_crops(arguments.data)
    network, input_ = first.network, first.manifest.input
    weights = average(network.state_dict(), second.network.state_dict(), share=arguments.share)
    load_all_but_classifiers(network, weights, source=arguments.second)
    renew_statistics(network, _batches(crops.paths, input_, images=arguments.images))
    state = {key: network.state_dict()[key].contiguous() for key in weights}
    save({"state_dict": state}, arguments.output)
    write_manifest(_manifest(arguments.output, first, second=second.manifest, share=arguments.share), arguments.output)
    print(f"{arguments.output}: {arguments.share:.0%} of {arguments.second}, statistics of {len(crops.paths)} crops")
    return 0


def _check_alike(first: Manifest, second: Manifest) -> None:
    """Refuse two networks whose weights do not belong together."""
    for name, one, other in (
        ("architecture", first.architecture, second.architecture),
        ("input", first.input, second.input),
        ("descriptor", first.descriptor, second.descriptor),
    ):
        if one != other:
            raise ConfigError(f"expected two networks of the same {name}, found {one} and {other}")


def _batches(paths: tuple[Path, ...], input_: Input, *, images: int) -> Iterator[Tensor]:
    """Batches of images that are drawn evenly from all, in a fixed random order."""
    if len(paths) < _BATCH:
        raise DataError(f"expected {_BATCH} crops or more in --data, found {len(paths)}; statistics need many")
    chosen = np.unique(np.linspace(0, len(paths) - 1, max(images, _BATCH)).astype(np.int64))
    order = np.random.default_rng(0).permutation(chosen)
    files = ImageFiles(paths)
    for positions in np.array_split(order, len(order) // _BATCH):
        pixels = files.read(positions, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize)
        yield normalise_pixels(torch.from_numpy(pixels).permute(0, 3, 1, 2), input_)


def _manifest(path: Path, first: LoadedNetwork, *, second: Manifest, share: float) -> Manifest:
    one = first.manifest
    return checkpoint_manifest(
        path,
        first.network,
        architecture=one.architecture,
        data_set="average",
        recipe=f"{1 - share:g} of {one.model_id} ({one.recipe}), {share:g} of {second.model_id} ({second.recipe})",
        input_=one.input,
        terms=Terms(
            weights=_both(one.terms.weights, second.terms.weights),
            training_data=_both(one.terms.training_data, second.terms.training_data),
        ),
    )


def _both(one: str, other: str) -> str:
    return one if one == other else f"{one}; {other}"


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="before.pth after.pth --data CROPS --output mean.pth",
        next_step="python train/evaluate.py mean.pth --data DIR; train/README.md, on training without labels",
        examples=_EXAMPLES,
    )
    parser.add_argument("first", type=Path, help="a checkpoint of train/run.py")
    parser.add_argument("second", type=Path, help="a checkpoint that was trained from the first one's weights")
    parser.add_argument("--share", type=float, default=0.5, help="of the second network, 0 to 1 (default: %(default)s)")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        metavar="CROPS",
        help="folders of crops for the statistics of batch norms; of a data set only the training images are taken",
    )
    parser.add_argument(
        "--images", type=int, default=1024, help="crops to take the statistics of, drawn evenly (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the checkpoint to write")
    return parser


def command() -> None:
    """The command `reid-average`: ends the process with the exit code."""
    sys.exit(run(main))


if __name__ == "__main__":
    command()
