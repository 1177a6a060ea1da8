"""What an engine is accepted with, and the options that name it: test images, crops of the site, other engines."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input, read_manifest
from edge_runtime.contract.site_set import is_site_set
from export.acceptance.acceptance_images import AcceptanceImages, Crops, crops_of_folder, images_of_data
from export.acceptance.comparison import Comparison, compare_engines
from export.acceptance.packed_images import read_packed_images
from train.datasets.catalog import open_folder


@dataclass(frozen=True)
class Acceptance:
    """What engines are compared on. Opened before anything is built, so that a wrong path costs no time.

    site: crops of the place where the engine will run. others: more engines, for retrieval across precisions.
    """

    images: AcceptanceImages
    site: Crops | None
    others: tuple[Path, ...]

    def compare(self, parent: Path, child: Path) -> Comparison:
        """Compare an engine with its float32 parent; for errors see `compare_engines`."""
        return compare_engines(parent, child, images=self.images, others=self.others, site=self.site)


def add_acceptance_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what engines are compared on."""
    parser.add_argument(
        "--data",
        type=Path,
        help="data set, folder of people, or site set: the engine is compared on its query and gallery images",
    )
    parser.add_argument(
        "--acceptance",
        metavar="FILE",
        type=Path,
        help="compare on the images in this file of export/acceptance/pack_images.py, instead of those of the data set",
    )
    parser.add_argument(
        "--site",
        metavar="FOLDER",
        type=Path,
        help="crops of people from the place where the engine will run, without labels: their cosine to float32 is "
        "checked too, because far from the training data it is 3 to 4 times worse",
    )
    parser.add_argument(
        "--beside",
        metavar="ENGINE",
        type=Path,
        nargs="+",
        default=[],
        help="more engines of the same network, as other cameras use them: retrieval across all precisions is measured",
    )


def open_acceptance(arguments: argparse.Namespace, input_: Input) -> Acceptance:
    """What the options of `add_acceptance_options` name, for a network with this input.

    Raises:
        ConfigError: neither a data set nor a packed file is given.
        DataError: one of them, or the site's folder, cannot be used.
        ManifestError: an engine of `--beside` has no valid manifest.
    """
    if arguments.acceptance:
        images = read_packed_images(arguments.acceptance, input_)
    elif arguments.data:
        data, is_site = open_folder(arguments.data), is_site_set(arguments.data)
        images = images_of_data(data, input_, is_site=is_site)
    else:
        raise ConfigError(
            "an engine is accepted by comparing it with float32 on images: add --data FOLDER, or --acceptance FILE of "
            "export/acceptance/pack_images.py"
        )
    for engine in arguments.beside:
        read_manifest(engine)
    site = crops_of_folder(arguments.site, input_) if arguments.site else None
    return Acceptance(images, site, tuple(arguments.beside))
