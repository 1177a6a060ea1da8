"""Average the weights of two checkpoints: often better than both on cameras that neither has seen."""

import logging
import sys
from pathlib import Path

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run
from train.datasets.crops import read_crops

_EXAMPLES = """\
examples:
  python train/average.py before.pth runs/distil_osnet-labels_x0_25-seed0/model.pth --data CROPS --output mean.pth
  python train/average.py before.pth after.pth --share 0.3 --data /data/cuhk03_np_detected CROPS --output mean.pth

The second network is trained from the weights of the first: the average of two that were trained apart finds nobody.
Compare several shares on people that no network trained on: python train/evaluate.py mean.pth --data DIR
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parser().parse_args(argv)
    # Imported here, because reading on in --help neither needs PyTorch nor should wait for it.
    from train.models.averaging import average_checkpoints

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not 0 <= arguments.share <= 1:
        raise ConfigError(f"--share is between 0 (the first network) and 1 (the second), found {arguments.share}")
    if not arguments.output.resolve().parent.is_dir():
        raise ConfigError(f"expected the folder {arguments.output.parent} for --output, found none; make it")
    crops = read_crops(arguments.data).paths
    average_checkpoints(
        arguments.first,
        arguments.second,
        share=arguments.share,
        crops=crops,
        images=arguments.images,
        path=arguments.output,
    )
    print(f"{arguments.output}: {arguments.share:.0%} of {arguments.second}, statistics of {len(crops)} crops")
    return 0


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
