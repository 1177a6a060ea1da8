"""Market-1501 and what is laid out like it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from tests.support.market_folder import write_market_folder
from tests.support.small_images import write_image
from tests.train.datasets.conftest import Shrink
from train.datasets.catalog import open_data
from train.datasets.market1501 import read_market_layout

COUNTS = {
    "training images": 8,
    "training identities": 2,
    "query images": 4,
    "query identities": 2,
    "gallery images": 6,
    "gallery images without junk": 5,
    "images in gt_bbox": 4,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete small data set: 2 people to train on, 2 to test on, 2 cameras."""
    return write_market_folder(tmp_path / "data", train=2, test=2, images=2)


@pytest.fixture
def market(folder: Path) -> Path:
    """The same with one junk image, one distractor, and hand-drawn boxes."""
    write_image(folder / "bounding_box_test" / "-1_c3s1_000001_00.jpg")
    write_image(folder / "bounding_box_test" / "0000_c3s1_000001_00.jpg")
    for name in ("0003_c1s1_000007_00.jpg", "0003_c3s1_000007_00.jpg", "0001_c1s1_000007_00.jpg", "0004_c2s2_9_00.jpg"):
        write_image(folder / "gt_bbox" / name)
    return folder


def test_names_give_identity_and_camera_and_junk_is_kept_out_of_training(folder: Path) -> None:
    """Cameras count from 0; -1 never trains but stays in the gallery, as does a distractor, 0."""
    for split in ("bounding_box_train", "bounding_box_test"):
        write_image(folder / split / "-1_c3s1_000001_00.jpg")
    write_image(folder / "bounding_box_test" / "0000_c3s1_000001_00.jpg")
    data = read_market_layout(folder, name="small")
    assert {sample.identity for sample in data.train} == {1, 2}
    assert {sample.identity for sample in data.gallery} == {-1, 0, 3, 4}
    assert {sample.camera_id for sample in data.gallery} == {0, 1, 2}
    assert data.train_identities == (1, 2)


def rename(folder: Path, change: Callable[[int, int], tuple[int, int]]) -> None:
    """Give all images of a small data set other numbers: (identity, camera) to the same."""
    for path in sorted(folder.rglob("*.jpg")):
        identity, camera = change(int(path.name[:4]), int(path.name[6]))
        path.rename(path.with_name(f"{identity}_c{camera}{path.name[7:]}"))


@pytest.mark.parametrize(
    "change",
    [
        lambda identity, camera: (identity - 1, camera - 1),
        lambda identity, camera: (identity * 100, camera * 11),
        lambda identity, camera: (10**30 + identity, 10**25 * camera),
    ],
    ids=["from zero", "gaps and many cameras", "very long"],
)
def test_people_and_cameras_are_numbered_as_they_come(
    folder: Path, change: Callable[[int, int], tuple[int, int]]
) -> None:
    """Nobody is left out or taken for a distractor, no camera for another, and arrays can hold the numbers."""
    before = read_market_layout(folder, name="small")
    rename(folder, change)
    after = read_market_layout(folder, name="small")
    for split in ("train", "query", "gallery"):
        one, other = getattr(before, split), getattr(after, split)
        assert len(one) == len(other)
        for read in (lambda sample: sample.identity, lambda sample: sample.camera_id):
            pairs = {(read(a), read(b)) for a, b in zip(one, other, strict=True)}
            assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
        numbers = np.array([(sample.identity, sample.camera_id) for sample in other])
        assert numbers.dtype == np.int64
        assert (numbers >= (1, 0)).all()
    assert {sample.camera for sample in after.query} == {str(change(1, camera)[1]) for camera in (1, 2)}


def test_junk_that_does_not_train_is_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is left out in silence; Windows' own files are no loss."""
    write_image(folder / "bounding_box_train" / "-1_c3s1_000001_00.jpg")
    for name in ("Thumbs.db", "0001_c1s1_000001_00.heic", "notes.txt"):
        (folder / "query" / name).write_bytes(b"x")
    read_market_layout(folder, name="small")
    assert "1 images of identity -1, junk, do not train" in caplog.text
    assert "2 of them, such as 0001_c1s1_000001_00.heic" in caplog.text


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


def test_the_gallery_has_two_counts_and_the_ranked_one_has_no_junk(market: Path, shrink: Shrink) -> None:
    """19,732 files of which 15,913 are not junk; distractors (0) are ranked, junk (-1) is not."""
    shrink("market1501", {**COUNTS, "gallery images": 6})
    data = open_data("market1501", market)
    assert len(data.gallery) == 6
    assert len(data.ranked_gallery) == 5
    assert {sample.identity for sample in data.ranked_gallery} == {0, 3, 4}


def test_multiple_queries_are_of_a_querys_identity_and_camera(market: Path, shrink: Shrink) -> None:
    """Identity 3 was no query at camera 3, and identity 1 trains."""
    shrink("market1501", COUNTS)
    data = open_data("market1501", market)
    assert {(sample.identity, sample.camera_id) for sample in data.multi_query} == {(3, 0), (4, 1)}


def test_a_copy_without_hand_drawn_boxes_is_complete(market: Path, shrink: Shrink) -> None:
    """They are for multiple queries only."""
    shrink("market1501", COUNTS)
    for path in (market / "gt_bbox").iterdir():
        path.unlink()
    (market / "gt_bbox").rmdir()
    assert open_data("market1501", market).multi_query == ()


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("bounding_box_test/-1_c3s1_000001_00.jpg", r"6 gallery images \(found 5\)"),
        ("bounding_box_test/0000_c3s1_000001_00.jpg", r"5 gallery images without junk \(found 4\)"),
        ("gt_bbox/0004_c2s2_9_00.jpg", r"4 images in gt_bbox \(found 3\)"),
        ("query/0003_c1s1_000000_00.jpg", r"4 query images \(found 3\)"),
    ],
)
def test_a_lost_image_is_noticed(market: Path, shrink: Shrink, lost: str, message: str) -> None:
    """Every published count is enforced."""
    shrink("market1501", COUNTS)
    (market / lost).unlink()
    with pytest.raises(DataError, match=message):
        open_data("market1501", market)


@pytest.mark.parametrize(
    ("name", "inside"),
    [
        ("market1501", "Market-1501-v15.09.15"),
        ("dukemtmcreid", "DukeMTMC-reID"),
        ("cuhk03_np_detected", "detected"),
        ("cuhk03_np_labelled", "labeled"),
    ],
)
def test_the_folder_around_the_published_one_will_do(tmp_path: Path, shrink: Shrink, name: str, inside: str) -> None:
    """Archives unpack to a folder of their own."""
    write_market_folder(tmp_path / inside, train=2, test=2, images=2)
    shrink(name, {"training images": 8, "query images": 4, "gallery images": 4})
    data = open_data(name, tmp_path)
    assert data.name == name
    assert len(data.gallery) == 4


def test_the_withdrawal_of_dukemtmc_is_said(tmp_path: Path) -> None:
    """Nobody is sent to look for it."""
    with pytest.raises(DataError, match="withdrew it in 2019"):
        open_data("dukemtmcreid", tmp_path)
