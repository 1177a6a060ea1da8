"""Data sets are read in their published layout, and what is wrong with a copy is said in one sentence."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from tests.market_folder import write_market_folder
from train.data.datasets import load_images, open_data, open_folder, read_market_layout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete small data set."""
    return write_market_folder(tmp_path / "data", train=2, test=2, images=2)


def test_names_give_identity_and_camera_and_junk_is_kept_out_of_training(folder: Path) -> None:
    """Cameras count from 0; -1 and 0 never train but stay in the gallery."""
    for split in ("bounding_box_train", "bounding_box_test"):
        source = next((folder / split).glob("*.jpg")).read_bytes()
        (folder / split / "-1_c3s1_000001_00.jpg").write_bytes(source)
        (folder / split / "0000_c3s1_000001_00.jpg").write_bytes(source)
    data = read_market_layout(folder, name="small")
    assert {sample.identity for sample in data.train} == {1, 2}
    assert {sample.identity for sample in data.gallery} == {-1, 0, 3, 4}
    assert {sample.camera_id for sample in data.gallery} == {0, 1, 2}
    assert data.train_identities == (1, 2)


def test_an_incomplete_copy_is_refused_with_the_published_count(folder: Path) -> None:
    """CUHK03 has 7,365 training images."""
    with pytest.raises(DataError, match=r"expected 7365 training images \(found 8\).*incomplete or another version"):
        open_data("cuhk03_np_detected", folder)


def test_a_part_of_a_published_data_set_is_not_scored_under_its_name(folder: Path) -> None:
    """Half a gallery is easier to search; a folder of another name is a data set of its own."""
    assert open_folder(folder).name == "data"
    part = folder.rename(folder.with_name("cuhk03_np_detected"))
    with pytest.raises(DataError, match="incomplete or another version"):
        open_folder(part)


def test_a_missing_split_an_empty_one_and_a_foreign_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    """Each names the folder or file."""
    with pytest.raises(DataError, match=r"expected the folder .*bounding_box_train, which is missing"):
        read_market_layout(tmp_path / "nowhere", name="small")
    (folder / "query" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected a name such as .*holiday\.jpg"):
        read_market_layout(folder, name="small")
    for path in (folder / "query").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"expected images .*query, found none"):
        read_market_layout(folder, name="small")


def test_images_come_resized_as_rgb(folder: Path) -> None:
    """OpenCV reads BGR; the network takes RGB."""
    path = folder / "query" / "0003_c1s1_000000_00.jpg"
    cv2.imwrite(str(path), np.full((16, 8, 3), (0, 0, 250), np.uint8))  # BGR: red
    data = read_market_layout(folder, name="small")
    images = load_images(data.query, height_px=32, width_px=16)
    assert images.shape == (4, 32, 16, 3)
    assert images[0, 16, 8, 0] > 240
    assert images[0, 16, 8, 2] < 10


@pytest.mark.parametrize("damage", ["cut short", "empty", "text"])
def test_corrupt_images_among_good_ones_are_all_named(folder: Path, damage: str) -> None:
    """OpenCV fills a truncated JPEG with grey and says nothing; we must not."""
    data = read_market_layout(folder, name="small")
    for sample in data.train[1:3]:
        whole = sample.path.read_bytes()
        sample.path.write_bytes({"cut short": whole[: len(whole) // 2], "empty": b"", "text": b"not an image"}[damage])
    with pytest.raises(DataError, match="2 of 8 images cannot be decoded") as caught:
        load_images(data.train, height_px=16, width_px=8)
    assert all(sample.path.name in str(caught.value) for sample in data.train[1:3])


@pytest.mark.shared_data
def test_the_real_copy_of_cuhk03_is_complete(cuhk03: Path) -> None:
    """767 training identities, and the published counts of images, from two cameras."""
    data = open_data("cuhk03_np_detected", cuhk03)
    assert len(data.train_identities) == 767
    assert {sample.camera_id for sample in data.gallery} == {0, 1}
