"""CIFAR as Python batches or class folders, ImageNet as folders."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from tests.support.small_images import write_image
from tests.train.datasets.conftest import Shrink
from train.datasets.catalog import open_classification

COUNTS = {"training images": 10, "test images": 2, "classes": 2}


def row(red: int) -> np.ndarray:
    """An image as CIFAR stores it: 1,024 bytes of red, then of green (200 in the first row), then of blue."""
    planes = np.zeros((3, 32, 32), np.uint8)
    planes[0] = red
    planes[1, 0] = 200
    return planes.ravel()


def write_batch(path: Path, content: dict[bytes, Any]) -> None:
    """Write as Python 2 did: protocol 2, keys of bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))


def write_cifar10(root: Path) -> Path:
    """Five batches of two images and a test batch. Returns `root`."""
    inside = root / "cifar-10-batches-py"
    for number in range(1, 6):
        content = {b"data": np.stack([row(number), row(number + 100)]), b"labels": [0, 1]}
        write_batch(inside / f"data_batch_{number}", content)
    write_batch(inside / "test_batch", {b"data": np.stack([row(7), row(8)]), b"labels": [1, 0]})
    write_batch(inside / "batches.meta", {b"label_names": [b"airplane", b"automobile"]})
    return root


def write_class_folders(root: Path, *, test: str, suffix: str, train: int) -> Path:
    """Two classes; of the test there is one image of each. Returns `root`."""
    for number, name in enumerate(("n01", "n02")):
        for image in range(train):
            write_image(root / "train" / name / f"{image}.{suffix}", (number * 200, 0, 0), size=(32, 32))
        write_image(root / test / name / f"0.{suffix}", (number * 200, 0, 0), size=(32, 32))
    return root


def test_cifars_batches_are_rgb_images(tmp_path: Path, shrink: Shrink) -> None:
    """3,072 bytes are three planes of 32 rows."""
    shrink("cifar10", COUNTS)
    data = open_classification("cifar10", write_cifar10(tmp_path))
    assert data.classes == ("airplane", "automobile")
    assert data.train.labels.tolist() == [0, 1] * 5
    assert data.test.labels.tolist() == [1, 0]
    images = data.train.images.read([2, 1], height_px=32, width_px=32, rule="bilinear-half-pixel")
    assert images[:, 16, 16].tolist() == [[2, 0, 0], [101, 0, 0]]
    assert (images[:, 0, :, 1] == 200).all()
    assert open_classification("cifar10", tmp_path / "cifar-10-batches-py").classes == data.classes


def test_cifar100_is_read_by_its_fine_labels(tmp_path: Path, shrink: Shrink) -> None:
    """A hundred classes, not the twenty groups."""
    shrink("cifar100", {"training images": 2, "test images": 1, "classes": 3})
    inside = tmp_path / "cifar-100-python"
    for file, count in (("train", 2), ("test", 1)):
        content = {b"data": np.stack([row(1)] * count), b"fine_labels": [2, 1][:count], b"coarse_labels": [0] * count}
        write_batch(inside / file, content)
    write_batch(inside / "meta", {b"fine_label_names": [b"apple", b"baby", b"bear"], b"coarse_label_names": [b"x"]})
    data = open_classification("cifar100", tmp_path)
    assert data.classes == ("apple", "baby", "bear")
    assert data.train.labels.tolist() == [2, 1]


def test_class_folders_are_another_layout_of_cifar(tmp_path: Path, shrink: Shrink) -> None:
    """Copies of images are common; the classes are the folders in the order of their names."""
    shrink("cifar10", COUNTS)
    data = open_classification("cifar10", write_class_folders(tmp_path, test="test", suffix="png", train=5))
    assert data.classes == ("n01", "n02")
    images = data.train.images.read([0, 9], height_px=32, width_px=32, rule="bilinear-half-pixel")
    assert images[:, 5, 5].tolist() == [[0, 0, 0], [200, 0, 0]]
    assert data.train.labels[[0, 9]].tolist() == [0, 1]


def test_imagenets_validation_images_are_the_test(tmp_path: Path, shrink: Shrink) -> None:
    """Sorted into folders of their classes, `.JPEG` in capitals, and read as their centre."""
    shrink("imagenet", {"training images": 6, "test images": 2, "classes": 2})
    data = open_classification("imagenet", write_class_folders(tmp_path, test="val", suffix="JPEG", train=3))
    assert len(data.train) == 6
    assert data.test.labels.tolist() == [0, 1]
    assert data.test.images.read([1], height_px=28, width_px=28, rule="bilinear-half-pixel").shape == (1, 28, 28, 3)
    write_image(tmp_path / "val" / "n03" / "0.JPEG")
    with pytest.raises(DataError, match=r"expected the same classes in train and val of .*, found n03"):
        open_classification("imagenet", tmp_path)


def test_unsorted_validation_images_are_refused(tmp_path: Path) -> None:
    """That is how they are published: their classes are in another file."""
    write_class_folders(tmp_path, test="val", suffix="JPEG", train=3)
    for path in sorted((tmp_path / "val").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_image(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG")
    with pytest.raises(DataError, match=r"expected a folder of images for each class in .*val, found none"):
        open_classification("imagenet", tmp_path)


def test_an_incomplete_copy_is_refused(tmp_path: Path) -> None:
    """CIFAR-10 has 50,000 and 10,000 images."""
    with pytest.raises(DataError, match=r"50000 training images \(found 10\), 10000 test images \(found 2\)"):
        open_classification("cifar10", write_cifar10(tmp_path))


class Command:
    """A pickle that would run a program when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/never",)


def test_a_batch_can_run_no_program(tmp_path: Path) -> None:
    """Pickles from elsewhere may hold anything."""
    write_batch(write_cifar10(tmp_path) / "cifar-10-batches-py" / "data_batch_3", {b"data": Command()})
    with pytest.raises(
        DataError, match=r"data_batch_3 cannot be read as a batch of CIFAR: it holds (posix|nt)\.system"
    ):
        open_classification("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({b"labels": [0]}, "holds no data; it is not a batch of CIFAR"),
        ({b"data": np.zeros((1, 5), np.uint8), b"labels": [0]}, r"expected 1 rows of 3072 bytes .*\(1, 5\)"),
        ([1, 2], "holds no data and no labels"),
    ],
)
def test_what_is_no_batch_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    """In one sentence."""
    write_batch(write_cifar10(tmp_path) / "cifar-10-batches-py" / "test_batch", content)
    with pytest.raises(DataError, match=message):
        open_classification("cifar10", tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_batch_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    """An interrupted copy."""
    path = write_cifar10(tmp_path) / "cifar-10-batches-py" / "data_batch_5"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match="data_batch_5 cannot be read as a batch of CIFAR"):
        open_classification("cifar10", tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="data_batch_5, which is missing"):
        open_classification("cifar10", tmp_path)
