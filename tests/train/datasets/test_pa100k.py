"""PA-100K: images with 26 attributes."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from edge_runtime.contract.errors import DataError
from tests.support.small_images import write_image
from tests.train.datasets.conftest import Shrink
from train.datasets.catalog import open_attributes

COUNTS = {"training images": 3, "validation images": 1, "test images": 2, "attributes": 2}


def cells(texts: list[str]) -> np.ndarray:
    """Texts as MATLAB keeps them: a column of cells."""
    column = np.empty((len(texts), 1), object)
    column[:, 0] = texts
    return column


def write_pa100k(root: Path, *, images: str) -> Path:
    """Write the annotation, and the images into a subfolder. Returns `root`."""
    lists = {"attributes": cells(["Female", "Hat"])}
    number = 0
    for split, labels in (("train", [[0, 1], [1, 0], [1, 1]]), ("val", [[0, 0]]), ("test", [[1, 0], [0, 1]])):
        names = [f"{number + position + 1:06d}.jpg" for position in range(len(labels))]
        number += len(labels)
        lists[f"{split}_images_name"] = cells(names)
        lists[f"{split}_label"] = np.array(labels, np.uint8)
        for name in names:
            write_image(root / images / name)
    savemat(root / "annotation.mat", lists)
    return root


@pytest.mark.parametrize("images", ["data", "release_data/release_data", "release_data", "data/release_data"])
def test_labels_and_images_belong_together(tmp_path: Path, shrink: Shrink, images: str) -> None:
    """Where the archives unpack to differs from copy to copy."""
    shrink("pa100k", COUNTS)
    data = open_attributes("pa100k", write_pa100k(tmp_path, images=images))
    assert data.attributes == ("Female", "Hat")
    assert data.train.labels.tolist() == [[0, 1], [1, 0], [1, 1]]
    assert data.validation.labels.tolist() == [[0, 0]]
    assert data.test.labels.tolist() == [[1, 0], [0, 1]]
    assert data.test.images.read([0, 1], height_px=8, width_px=4, rule="bilinear-half-pixel").shape == (2, 8, 4, 3)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """An image, and what complete copies hold."""
    write_pa100k(tmp_path, images="data")
    with pytest.raises(DataError, match=r"80000 training images \(found 3\).*26 attributes \(found 2\)"):
        open_attributes("pa100k", tmp_path)
    (tmp_path / "data" / "000004.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 1 val images are missing, .*000004\.jpg for one"):
        open_attributes("pa100k", tmp_path)


def test_another_annotation_is_refused(tmp_path: Path) -> None:
    """A list without labels, and labels that are no yes or no."""
    write_pa100k(tmp_path, images="data")
    savemat(tmp_path / "annotation.mat", {"attributes": cells(["Female"])})
    with pytest.raises(DataError, match="it is not the annotation of PA-100K"):
        open_attributes("pa100k", tmp_path)
    savemat(
        tmp_path / "annotation.mat",
        {"attributes": cells(["a"]), "train_images_name": cells(["000001.jpg"]), "train_label": [[3]]},
    )
    with pytest.raises(DataError, match="expected train labels of 0 and 1 for 1 images and 1 attributes"):
        open_attributes("pa100k", tmp_path)
