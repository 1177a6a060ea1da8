"""Choose the training images an INT8 network is calibrated with, balanced over identities and cameras."""

import argparse
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

from calibration.image_list import SPLIT, ImageList, images_digest, write_image_list
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import read_image
from edge_runtime.contract.script import run

# The layout of Market-1501, as train/data/datasets.py reads it too: identity 2 at camera 1 is 0002_c1s1_000451_03.jpg.
_NAME = re.compile(r"^(?P<identity>\d+)_c(?P<camera>\d+).*\.(jpg|jpeg|png)$", re.IGNORECASE)
_TEST_FOLDERS = ("query", "bounding_box_test", "gallery")

Groups = dict[str, dict[str, list[Path]]]
"""identity -> camera -> its images."""


def main(argv: list[str] | None = None) -> int:
    """Write the list. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    images = select(arguments.data, count=arguments.count, seed=arguments.seed)
    write_image_list(images, arguments.output)
    print(
        f"{arguments.output}: {images.count} images of {len(images.identities)} identities "
        f"and {len(images.cameras)} cameras"
    )
    return 0


def select(data: Path, *, count: int, seed: int) -> ImageList:
    """Choose `count` images of the data set's training split. The same arguments give the same list.

    Raises:
        DataError: no training split, too few images, or a chosen image is damaged.
    """
    groups = _training_images(data)
    if not groups:
        raise DataError(f"expected images such as 0002_c1s1_000451_03.jpg in {data / SPLIT}, found none")
    available = sum(len(images) for cameras in groups.values() for images in cameras.values())
    if not 0 < count <= available:
        raise DataError(f"expected --count from 1 to the {available} training images of {data}, found {count}")
    chosen = sorted(_balanced(groups, count=count, random=Random(seed)))
    broken = [path for path in chosen if read_image(path) is None]
    if broken:
        raise DataError(
            f"{len(broken)} of {count} chosen images cannot be decoded: {', '.join(map(str, broken[:10]))}; "
            "replace them or unpack the data set again"
        )
    names = tuple(path.relative_to(data).as_posix() for path in chosen)
    matches = [match for path in chosen if (match := _NAME.match(path.name))]
    return ImageList(
        seed=seed,
        count=count,
        identities=dict(sorted(Counter(match["identity"] for match in matches).items())),
        cameras=dict(sorted(Counter(match["camera"] for match in matches).items())),
        images_sha256=images_digest(data, names),
        images=names,
    )


def _training_images(data: Path) -> Groups:
    if data.resolve().name in _TEST_FOLDERS:
        raise DataError(
            f"{data} holds test images; an engine calibrated on them would look better than it is: "
            f"give the folder that holds {SPLIT}"
        )
    folder = data / SPLIT
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"expected the training images in {folder}, which is missing; give the folder that holds it"
        ) from error
    groups: Groups = defaultdict(lambda: defaultdict(list))
    for path in paths:
        match = _NAME.match(path.name)
        if match and int(match["identity"]) > 0:
            groups[match["identity"]][match["camera"]].append(path)
    return groups


def _balanced(groups: Groups, *, count: int, random: Random) -> list[Path]:
    """Go round the identities, one image each, from the camera that was used least so far."""
    for cameras in groups.values():
        for images in cameras.values():
            random.shuffle(images)
    chosen: list[Path] = []
    used: Counter[str] = Counter()
    while len(chosen) < count:
        for identity in random.sample(sorted(groups), len(groups)):
            left = [camera for camera, images in groups[identity].items() if images]
            if left and len(chosen) < count:
                camera = min(left, key=lambda name: used[name])
                used[camera] += 1
                chosen.append(groups[identity][camera].pop())
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python calibration/select_images.py data/market1501 --output calibration.json",
    )
    parser.add_argument("data", type=Path, help=f"data set in Market-1501's layout: the folder that holds {SPLIT}")
    parser.add_argument("--output", type=Path, required=True, help="the list to write (JSON)")
    parser.add_argument("--count", type=int, default=512, help="how many images (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed chooses other images (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
