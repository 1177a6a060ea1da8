"""Choose the training images that an INT8 network is calibrated with, balanced over identities and cameras."""

import argparse
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random

from calibration.image_list import MARKET_SPLIT, ImageList, TrainingSplit, digest_images, write_image_list
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import read_image
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.contract.site_set import is_site_set
from train.datasets.images import list_images
from train.datasets.people_folder import split_people
from train.datasets.site_folder import read_site_set

USUAL_COUNT = 512
# Market-1501's file names: identity 2 at camera 1 is 0002_c1s1_000451_03.jpg.
_NAME = re.compile(r"^(?P<identity>-1|\d+)_c(?P<camera>\d+)")
_JUNK = "-1"
_TEST_FOLDERS = ("query", "bounding_box_test", "gallery")


@dataclass(frozen=True)
class _Image:
    """A training image. camera: None if it is not known."""

    path: Path
    identity: str
    camera: str | None


_EXAMPLES = """\
examples:
  python calibration/select_images.py /data/market1501 --output calibration.json
  python calibration/select_images.py /data/my_people --output calibration.json --count 1000
"""


def command() -> int:
    """The installed command `reid-calibrate`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Write the list. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    images = select_images(arguments.data, count=arguments.count, seed=arguments.seed)
    write_image_list(images, arguments.output)
    print(
        f"{arguments.output}: {images.count} images of {len(images.identities)} identities "
        f"and {len(images.cameras) or 'unknown'} cameras, taken from: {images.split}"
    )
    return 0


def select_images(data: Path, *, count: int | None = None, seed: int) -> ImageList:
    """Choose `count` images of the data set's training split. The same arguments give the same list.

    count: None for `USUAL_COUNT`, or for all images if there are fewer.

    Raises:
        DataError: no training split, too few images, or a chosen image is damaged.
    """
    split, images = _training_images(data)
    count = min(USUAL_COUNT, len(images)) if count is None else count
    if not 0 < count <= len(images):
        raise DataError(
            f"expected --count from 1 to the {len(images)} training images of {data}, found {count}; leave --count out"
        )
    chosen = sorted(_balanced(images, count=count, random=Random(seed)), key=lambda image: image.path)
    broken = [image.path for image in chosen if read_image(image.path) is None]
    if broken:
        raise DataError(
            f"{len(broken)} of {count} chosen images cannot be decoded: {', '.join(map(str, broken[:10]))}; "
            "replace them or unpack the data set again"
        )
    names = tuple(image.path.relative_to(data).as_posix() for image in chosen)
    return ImageList(
        split=split,
        seed=seed,
        count=count,
        identities=dict(sorted(Counter(image.identity for image in chosen).items())),
        cameras=dict(sorted(Counter(image.camera for image in chosen if image.camera is not None).items())),
        images_sha256=digest_images(data, names),
        images=names,
    )


def _training_images(data: Path) -> tuple[TrainingSplit, list[_Image]]:
    if data.resolve().name in _TEST_FOLDERS or (data.resolve().name == "test" and (data / "../train").is_dir()):
        raise DataError(
            f"{data} holds test images; an engine calibrated on them would look better than it is: "
            "give the folder that holds the training images too"
        )
    if any((data / folder).is_dir() for folder in (MARKET_SPLIT, *_TEST_FOLDERS)):
        return MARKET_SPLIT, _market_images(data)
    if is_site_set(data):
        samples = read_site_set(data, name="site").train
        return "site set", [_Image(one.path, str(one.identity), str(one.camera_id // 2)) for one in samples]
    people, _ = split_people(data)
    images = [
        _Image(picture.path, person, picture.camera) for person, pictures in people.items() for picture in pictures
    ]
    return ("train" if (data / "train").is_dir() else "training half"), images


def _market_images(data: Path) -> list[_Image]:
    folder = data / MARKET_SPLIT
    images = []
    for path in list_images(folder):
        match = _NAME.match(path.name)
        if not match:
            raise DataError(f"expected a name such as 0002_c1s1_000451_03.jpg, found {path}; is it another data set?")
        if match["identity"] != _JUNK:
            images.append(_Image(path, match["identity"], match["camera"]))
    return images


def _balanced(images: list[_Image], *, count: int, random: Random) -> list[_Image]:
    """Take one image of each identity in turn, from the camera with the fewest chosen images so far."""
    groups: dict[str, dict[str | None, list[_Image]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        groups[image.identity][image.camera].append(image)
    for cameras in groups.values():
        for shots in cameras.values():
            random.shuffle(shots)
    chosen: list[_Image] = []
    used: Counter[str | None] = Counter()
    while len(chosen) < count:
        for identity in random.sample(sorted(groups), len(groups)):
            left = [camera for camera, shots in groups[identity].items() if shots]
            if left and len(chosen) < count:
                camera = min(left, key=lambda name: used[name])
                used[camera] += 1
                chosen.append(groups[identity][camera].pop())
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="DATA --output calibration.json",
        next_step="python export/build_engine.py MODEL --int8 --calibration calibration.json --data DATA",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "data",
        type=Path,
        help=f"the folder that holds {MARKET_SPLIT}, any folder of people: <person>/*.jpg, or a site set",
    )
    parser.add_argument("--output", type=Path, required=True, help="the list to write (JSON)")
    parser.add_argument(
        "--count", type=int, help=f"how many images (default: {USUAL_COUNT}, or all if there are fewer)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="another number chooses other images (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(command())
