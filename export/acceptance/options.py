"""The options of the gate, shared by the scripts that judge an engine: which images, and which engines beside it."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input, read_manifest
from export.acceptance.acceptance_images import Crops, JudgedImages, crops_of_folder, images_of_data
from export.acceptance.comparison import Comparison, compare
from export.acceptance.packed_images import read_gate_file
from train.datasets.catalog import open_folder


@dataclass(frozen=True)
class Gate:
    """What engines are judged by. Opened before anything is built, so that a wrong path costs no time."""

    images: JudgedImages
    site: Crops | None
    beside: tuple[Path, ...]

    def judge(self, parent: Path, child: Path) -> Comparison:
        """Compare an engine with its float32 parent; for errors see `compare`."""
        return compare(parent, child, self.images, beside=self.beside, site=self.site)


def add_gate_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say by what an engine is judged."""
    parser.add_argument(
        "--data",
        type=Path,
        help="folder of a data set or of people of your own: its query and gallery images judge the engine",
    )
    parser.add_argument(
        "--gate", metavar="FILE", type=Path, help="judge by this file of export/pack_images.py instead of the data set"
    )
    parser.add_argument(
        "--site",
        metavar="FOLDER",
        type=Path,
        help="crops of people from the place where the engine will run, without labels: cosine to float32 is checked "
        "on them too, because far from the training data it is 3 to 4 times worse",
    )
    parser.add_argument(
        "--beside",
        metavar="ENGINE",
        type=Path,
        nargs="+",
        default=[],
        help="more engines of the same network that cameras use: retrieval across all precisions is measured",
    )


def open_gate(arguments: argparse.Namespace, input_: Input) -> Gate:
    """The gate asked for with the options of `add_gate_options`, for a network with this input.

    Raises:
        ConfigError: neither a data set nor a packed file is given.
        DataError: one of them, or the site's folder, cannot be used.
        ManifestError: an engine beside it has no valid manifest.
    """
    if arguments.gate:
        images = read_gate_file(arguments.gate, input_)
    elif arguments.data:
        images = images_of_data(open_folder(arguments.data), input_)
    else:
        raise ConfigError("an engine is judged by images: add --data FOLDER, or --gate FILE of export/pack_images.py")
    for engine in arguments.beside:
        read_manifest(engine)
    site = crops_of_folder(arguments.site, input_) if arguments.site else None
    return Gate(images, site, tuple(arguments.beside))
