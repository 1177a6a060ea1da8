"""CIFAR-10, CIFAR-100 and ImageNet: images of one class each."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from train.datasets.data_set import Copy, find_inner_folder
from train.datasets.images import ImageArray, ImageFiles, list_folder, list_images
from train.datasets.samples import ClassificationData, LabelledImages

_SIZE_PX = 32


@dataclass(frozen=True)
class CifarFiles:
    """Files of CIFAR-10 or CIFAR-100. labels: key of the labels. names: file of the class names, and their key."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: bytes
    names: tuple[str, bytes]


CIFAR10 = CifarFiles(
    folder="cifar-10-batches-py",
    train=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    labels=b"labels",
    names=("batches.meta", b"label_names"),
)
CIFAR100 = CifarFiles(
    folder="cifar-100-python",
    train=("train",),
    test=("test",),
    labels=b"fine_labels",
    names=("meta", b"fine_label_names"),
)


def read_cifar(copy: Copy, *, files: CifarFiles) -> ClassificationData:
    """Read CIFAR as published (Python batches), or as class folders of images in `train` and `test`.

    Raises:
        DataError: neither layout is there, or a batch is damaged.
    """
    folder, row, (meta, names_key) = copy.folder, copy.data_set, files.names
    root = find_inner_folder(folder, files.folder)
    if not (root / meta).is_file():
        if not (folder / "train").is_dir():
            raise DataError(f"expected {files.folder}/{meta}, or train and test with a folder per class, in {folder}")
        return _read_class_folders(copy, test="test", centred_test=False)
    classes = tuple(text.decode() for text in _unpickle(root / meta, names_key)[names_key])
    train, test = (_read_batches([root / file for file in part], files.labels) for part in (files.train, files.test))
    return ClassificationData(row.name, row.terms, classes, train, test)


def read_imagenet(copy: Copy) -> ClassificationData:
    """Read ImageNet (ILSVRC 2012) as `train/<wnid>/*.JPEG` and `val/<wnid>/*.JPEG`; the validation images are the test.

    Test images are read as their centre, training images whole.

    Raises:
        DataError: a folder is missing or empty, or the validation images are not sorted into folders of their classes.
    """
    return _read_class_folders(copy, test="val", centred_test=True)


def _read_class_folders(copy: Copy, *, test: str, centred_test: bool) -> ClassificationData:
    folder = copy.folder
    classes, train_paths, train_labels = _list_classes(folder / "train")
    test_classes, test_paths, test_labels = _list_classes(folder / test)
    if classes != test_classes:
        odd = sorted(set(classes) ^ set(test_classes))[0]
        raise DataError(f"expected the same classes in train and {test} of {folder}, found {odd} in one of them only")
    return ClassificationData(
        copy.data_set.name,
        copy.data_set.terms,
        classes,
        LabelledImages(ImageFiles(train_paths), train_labels),
        LabelledImages(ImageFiles(test_paths, centred=centred_test), test_labels),
    )


def _list_classes(folder: Path) -> tuple[tuple[str, ...], tuple[Path, ...], NDArray[np.int64]]:
    """Class names, image files and their class numbers."""
    classes = [path for path in list_folder(folder) if path.is_dir()]
    if not classes:
        raise DataError(f"expected a folder of images for each class in {folder}, found none")
    images = [list_images(path) for path in classes]
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in images])
    return tuple(path.name for path in classes), tuple(path for paths in images for path in paths), labels


def _read_batches(paths: list[Path], key: bytes) -> LabelledImages:
    pixels, labels = [], []
    for path in paths:
        batch = _unpickle(path, b"data", key)
        rows = np.asarray(batch[b"data"])
        if rows.dtype != np.uint8 or rows.shape != (len(batch[key]), 3 * _SIZE_PX**2):
            raise DataError(
                f"expected {len(batch[key])} rows of {3 * _SIZE_PX**2} bytes in {path}, found {rows.dtype} of shape "
                f"{rows.shape}; get it again"
            )
        pixels.append(rows.reshape(-1, 3, _SIZE_PX, _SIZE_PX).transpose(0, 2, 3, 1))  # (N, H, W, 3)
        labels.append(np.asarray(batch[key], np.int64))
    return LabelledImages(ImageArray(np.ascontiguousarray(np.concatenate(pixels))), np.concatenate(labels))


def _unpickle(path: Path, *keys: bytes) -> dict[bytes, Any]:
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="bytes").load()
    except FileNotFoundError as error:
        raise DataError(f"expected the file {path}, which is missing") from error
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path} cannot be read as a batch of CIFAR: {error}; get it again") from error
    missing = [key.decode() for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise DataError(f"{path} holds no {' and no '.join(missing)}; it is not a batch of CIFAR")
    return dict(content)


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays, lists and strings only: a foreign pickle could run any program."""

    def find_class(self, module: str, name: str) -> Any:
        """Allow only what NumPy needs to rebuild an array, under its old and new module names."""
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return np.empty(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it holds {module}.{name}, which no batch of images needs")
