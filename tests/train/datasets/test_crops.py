"""Crops come from folders of any nesting, and never from the test images of a data set."""

import shutil
from pathlib import Path

import pytest

from edge_runtime.contract.errors import DataError
from tests.support.market_folder import write_market_folder
from tests.support.small_images import write_image
from train.datasets.catalog import ReidData, open_folder
from train.datasets.crops import UNKNOWN, read_crops


@pytest.fixture
def test_data(tmp_path: Path) -> ReidData:
    return open_folder(write_market_folder(tmp_path / "tested"))


def test_crops_are_found_in_folders_of_any_depth(tmp_path: Path, test_data: ReidData) -> None:
    """Sorted, without labels, and hidden files are left out."""
    paths = [write_image(tmp_path / "site" / name) for name in ("a.jpg", "b/c.png", "b/d/e.jpeg")]
    write_image(tmp_path / "site" / ".hidden.jpg")
    (tmp_path / "site" / "README.md").write_text("about the crops")
    crops = read_crops([tmp_path / "site"], test=test_data)
    assert crops.paths == tuple(paths)
    assert crops.identities == (UNKNOWN,) * 3
    assert (crops.name, crops.terms) == ("site", "site: terms not stated")


def test_a_data_set_gives_its_training_images_and_their_identities(tmp_path: Path, test_data: ReidData) -> None:
    """Identities of a second data set are other people."""
    folders = [write_market_folder(tmp_path / name, train=3, test=2, images=2) for name in ("first", "second")]
    write_image(tmp_path / "site" / "a.jpg")
    crops = read_crops([folders[0], tmp_path / "site", folders[1]], test=test_data)
    assert {path.parent.name for path in crops.paths} == {"bounding_box_train", "site"}
    assert crops.identities == (*[0] * 4, *[1] * 4, *[2] * 4, UNKNOWN, *[3] * 4, *[4] * 4, *[5] * 4)
    assert crops.name == "first_and_2_more"


def test_folders_of_one_data_set_hold_the_same_people(tmp_path: Path, test_data: ReidData) -> None:
    """Such as its images at two sizes: a person is one class, and not two that are pushed apart."""
    sizes = [write_market_folder(tmp_path / size / "people", train=3, test=2, images=2) for size in ("small", "large")]
    other = write_market_folder(tmp_path / "others", train=1, test=2, images=2)
    crops = read_crops([*sizes, other], test=test_data)
    assert crops.identities == (*([0] * 4 + [1] * 4 + [2] * 4) * 2, *[3] * 4)


def test_the_digest_changes_with_any_image(tmp_path: Path, test_data: ReidData) -> None:
    """It is that of the contents, so the same images in another place have the same."""
    write_image(tmp_path / "site" / "a.jpg")
    write_image(tmp_path / "site" / "b.jpg", (1, 2, 3))
    shutil.copytree(tmp_path / "site", tmp_path / "copy")
    first, copy = (read_crops([tmp_path / name], test=test_data).sha256 for name in ("site", "copy"))
    write_image(tmp_path / "copy" / "b.jpg", (200, 2, 3))
    assert first == copy != read_crops([tmp_path / "copy"], test=test_data).sha256


def test_crops_that_cannot_train_are_refused_in_one_sentence(tmp_path: Path, test_data: ReidData) -> None:
    """A missing folder, an empty one, the test folder of a data set, and a copy of a test image."""
    with pytest.raises(DataError, match=r"expected the folder .*nowhere, which is missing"):
        read_crops([tmp_path / "nowhere"], test=test_data)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected crops of people .* in .*empty, found none"):
        read_crops([tmp_path / "empty"], test=test_data)
    with pytest.raises(DataError, match=r"bounding_box_test is named as the test images of a data set"):
        read_crops([tmp_path], test=test_data)
    write_image(tmp_path / "site" / "a.jpg")
    shutil.copy(test_data.query[0].path, tmp_path / "site" / "b.jpg")
    with pytest.raises(DataError, match=r"1 of 2 crops are test images of tested, .*b\.jpg for one"):
        read_crops([tmp_path / "site"], test=test_data)
