"""MSMT17: lists beside a training and a test folder, under the names of both versions."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import DataError
from tests.support.small_images import write_image
from tests.train.datasets.conftest import Shrink
from train.datasets.catalog import open_data

COUNTS = {
    "training images": 3,
    "training identities": 2,
    "query images": 1,
    "query identities": 1,
    "gallery images": 2,
}
LISTS = {
    "list_train.txt": ["0000/0000_000_01_0303morning_0015_0.jpg 0", "0001/0001_000_15_0303noon_0015_0.jpg 1"],
    "list_val.txt": ["0001/0001_001_02_0303noon_0016_0.jpg 1"],
    "list_query.txt": ["0000/0000_000_03_0113noon_0001_0_ex.jpg 0"],
    "list_gallery.txt": ["0000/0000_001_04_0113noon_0001_0.jpg 0", "0001/0001_000_05_0113noon_0001_0.jpg 1"],
}


def write_msmt17(root: Path, *, train: str, test: str) -> Path:
    """Write lists and images. Returns `root`."""
    for name, lines in LISTS.items():
        part = train if name in ("list_train.txt", "list_val.txt") else test
        for line in lines:
            write_image(root / part / line.split()[0])
        (root / name).write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def folder(tmp_path: Path, shrink: Shrink) -> Path:
    """Version 2, in the folder it unpacks to; returns the folder around it."""
    shrink("msmt17", COUNTS)
    shrink("msmt17_train", {**COUNTS, "training images": 2})
    shrink("msmt17_all", {"training images": 6, "training identities": 4})
    write_msmt17(tmp_path / "msmt17" / "MSMT17_V2", train="mask_train_v2", test="mask_test_v2")
    return tmp_path / "msmt17"


def test_training_and_validation_list_train(folder: Path) -> None:
    """The usual training set; the training list alone is another name."""
    assert len(open_data("msmt17", folder).train) == 3
    assert len(open_data("msmt17_train", folder).train) == 2


def test_identities_of_the_test_follow_those_of_the_training(folder: Path) -> None:
    """Both lists count from 0, and 0 would be a distractor here."""
    data = open_data("msmt17", folder)
    assert data.train_identities == (1, 2)
    assert {sample.identity for sample in data.gallery} == {3, 4}
    assert data.query[0].identity == 3


def test_the_third_number_of_a_name_is_the_camera(folder: Path) -> None:
    """Cameras count from 0 in a sample."""
    data = open_data("msmt17", folder)
    assert [sample.camera_id for sample in data.train] == [0, 14, 1]
    assert [sample.camera_id for sample in data.gallery] == [3, 4]


def test_all_images_make_a_source_for_other_domains(folder: Path) -> None:
    """All 126,441 images of 4,101 identities: nothing is left to test on."""
    data = open_data("msmt17_all", folder)
    assert len(data.train) == 6
    assert data.train_identities == (1, 2, 3, 4)
    assert data.query == data.gallery == ()


def test_version_1_is_read_under_its_own_names(tmp_path: Path, shrink: Shrink) -> None:
    """`train` and `test`, in MSMT17_V1 or in the folder itself; the terms say which version it was."""
    shrink("msmt17", COUNTS)
    root = write_msmt17(tmp_path / "MSMT17_V1", train="train", test="test")
    assert open_data("msmt17", root) == open_data("msmt17", tmp_path)
    assert "V1" in open_data("msmt17", root).terms


def test_two_versions_in_one_folder_are_refused(folder: Path) -> None:
    """Faces are masked in one of them: the user has to say which."""
    write_msmt17(folder / "MSMT17_V1", train="train", test="test")
    with pytest.raises(DataError, match="holds both versions of MSMT17; give the folder of one"):
        open_data("msmt17", folder)
    assert "V2" in open_data("msmt17", folder / "MSMT17_V2").terms


def test_what_is_missing_is_named(folder: Path) -> None:
    """An image, a list, a line, a folder."""
    root = folder / "MSMT17_V2"
    (root / "mask_test_v2" / LISTS["list_query.txt"][0].split()[0]).unlink()
    with pytest.raises(DataError, match=r"1 of the 1 images of .*list_query\.txt are missing, .*_ex\.jpg for one"):
        open_data("msmt17", folder)
    (root / "list_val.txt").write_text("0001/0001_001_02_0303noon_0016_0.jpg\n")
    with pytest.raises(DataError, match=r"expected a line such as .*line 1 of .*list_val\.txt"):
        open_data("msmt17", folder)
    (root / "list_val.txt").unlink()
    with pytest.raises(DataError, match=r"cannot read the list .*list_val\.txt: No such file"):
        open_data("msmt17", folder)
    with pytest.raises(DataError, match=r"expected the folders train and test \(V1\) or mask_train_v2"):
        open_data("msmt17", folder / "MSMT17_V2" / "mask_train_v2")


def test_an_empty_training_list_is_refused(folder: Path) -> None:
    """It would otherwise end in a traceback."""
    for name in ("list_train.txt", "list_val.txt"):
        (folder / "MSMT17_V2" / name).write_text("")
    with pytest.raises(DataError, match=r"list_train\.txt is empty"):
        open_data("msmt17", folder)
