"""The list of calibration images: their paths, how they were chosen, and a digest that shows any change."""

import hashlib
from codecs import BOM_UTF8
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.script import replace_file
from train.datasets.people_folder import split_people
from train.datasets.site_folder import read_site_set

TrainingSplit = Literal["bounding_box_train", "train", "training half", "site set"]
MARKET_SPLIT: TrainingSplit = get_args(TrainingSplit)[0]


class ImageList(BaseModel):
    """A JSON file that names training images in the order in which they are read.

    split: where in the data set they lie; `training half` is the half of a folder of people that trains, `site set`
    that of a site set.
    identities, cameras: the number of images of each. images: paths relative to the data set's folder.
    images_sha256: digest of paths and contents of all images, in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    split: TrainingSplit = MARKET_SPLIT
    seed: int
    count: PositiveInt
    identities: dict[str, PositiveInt]
    cameras: dict[str, PositiveInt]
    images_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    images: tuple[str, ...]

    @model_validator(mode="after")
    def _only_training_images(self) -> "ImageList":
        strays = [image for image in self.images if not _may_be_trained_on(Path(image), split=self.split)]
        if strays or not self.images:
            raise ValueError(f"expected images of {self.split} only, found {repr(strays[0]) if strays else 'none'}")
        return self

    @model_validator(mode="after")
    def _counts_agree(self) -> "ImageList":
        counts = {len(self.images), sum(self.identities.values())}
        if self.cameras:
            counts.add(sum(self.cameras.values()))
        if counts != {self.count}:
            raise ValueError(f"the count is {self.count}, but the list holds {len(self.images)} images")
        return self


def _may_be_trained_on(image: Path, *, split: TrainingSplit) -> bool:
    """Whether a path lies in the split. The path of an image of some half does not show it; see `_check_half`."""
    is_inside = not image.is_absolute() and ".." not in image.parts
    return is_inside and (split in ("training half", "site set") or image.parts[:1] == (split,))


def read_image_list(path: Path, data: Path) -> ImageList:
    """Read a list and check that the images in the folder `data` are the ones it was made from.

    Raises:
        DataError: the list or an image is missing, the list is malformed, an image was changed, or is a test image.
    """
    try:
        images = ImageList.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8))
    except OSError as error:
        raise DataError(
            f"cannot read the calibration list {path}: {error.strerror}; make it with calibration/select_images.py"
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "list"
        raise DataError(
            f"{path} is no calibration list of calibration/select_images.py: {where}: {fault['msg']}; make it again"
        ) from error
    if images.split in ("training half", "site set"):
        _check_half(images, path, data=data)
    found = digest_images(data, images.images)
    if found != images.images_sha256:
        raise DataError(
            f"the images in {data} are not those {path} was made from: expected digest {images.images_sha256}, "
            f"found {found}; give the same data set or make the list again"
        )
    return images


def _check_half(images: ImageList, path: Path, *, data: Path) -> None:
    strays = {path.relative_to(data).as_posix() for path in _test_images(images, data)}.intersection(images.images)
    if strays:
        raise DataError(
            f"{path} names {min(strays)}, an image of a test person; were people added to {data} since? make the list "
            "again with calibration/select_images.py"
        )


def _test_images(images: ImageList, data: Path) -> list[Path]:
    if images.split == "site set":
        return [sample.path for sample in read_site_set(data, name="site").gallery]
    _, test = split_people(data)
    return [picture.path for pictures in test.values() for picture in pictures]


def write_image_list(images: ImageList, path: Path) -> None:
    """Write a list, atomically."""
    try:
        replace_file(path, images.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise DataError(f"cannot write the calibration list {path}: {error.strerror}; give another --output") from error


def digest_images(data: Path, images: Iterable[str]) -> str:
    """SHA-256 over the relative path and the contents of each image, in order.

    Raises:
        DataError: an image cannot be read.
    """
    digest = hashlib.sha256()
    for image in images:
        try:
            content = (data / image).read_bytes()
        except OSError as error:
            raise DataError(
                f"cannot read the calibration image {data / image}: {error.strerror}; "
                "give the folder of the data set that the list was made from"
            ) from error
        digest.update(f"{image} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()
