"""Choosing calibration images."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from calibration.image_list import digest_images, read_image_list, write_image_list
from calibration.select_images import main, select_images
from edge_runtime.contract.errors import DataError
from tests.support.market_folder import pattern, write_market_folder
from train.datasets.catalog import open_folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """24 training images: 4 identities, 2 cameras, 3 images each."""
    return write_market_folder(tmp_path / "patterns")


def test_identities_and_cameras_are_balanced(data: Path) -> None:
    """No identity and no camera has more than one image more than another."""
    images = select_images(data, count=10, seed=0)
    assert images.count == len(set(images.images)) == 10
    assert sorted(images.identities.values()) == [2, 2, 3, 3]
    assert images.cameras == {"1": 5, "2": 5}


def test_a_camera_with_more_images_does_not_win(data: Path) -> None:
    """Balance holds where the folder is not balanced itself."""
    for path in (data / "bounding_box_train").glob("*_c2*_000002_*"):
        path.unlink()
    assert select_images(data, count=8, seed=0).cameras == {"1": 4, "2": 4}


def test_a_seed_fixes_the_list(data: Path, tmp_path: Path) -> None:
    """The same seed writes the same bytes; another seed chooses others."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    for path in (first, second):
        assert main([str(data), "--output", str(path), "--count", "10", "--seed", "3"]) == 0
    assert first.read_bytes() == second.read_bytes()
    assert select_images(data, seed=4).count == 24  # fewer than usual: all
    assert select_images(data, count=10, seed=4).images != select_images(data, count=10, seed=3).images


def test_the_digest_covers_paths_and_contents(data: Path) -> None:
    """Anyone can check the digest with a SHA-256 tool: one line per image."""
    images = select_images(data, count=5, seed=0)
    lines = [f"{name} {hashlib.sha256((data / name).read_bytes()).hexdigest()}\n" for name in images.images]
    assert images.images_sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_junk_is_left_out_and_people_may_be_numbered_from_zero(data: Path) -> None:
    """Everybody in the folder of training images trains, as in training itself."""
    folder = data / "bounding_box_train"
    some = next(folder.iterdir()).read_bytes()
    for name in ("-1_c1s1_000000_00.jpg", "0000_c1s1_000000_00.jpg"):
        (folder / name).write_bytes(some)
    assert set(select_images(data, count=24, seed=0).identities) == {"0000", "0001", "0002", "0003", "0004"}


@pytest.mark.parametrize("folder", ["query", "bounding_box_test"])
def test_test_images_are_refused(data: Path, folder: str) -> None:
    """An engine calibrated on the images it is judged with looks better than it is."""
    with pytest.raises(DataError, match=r"holds test images.*give the folder that holds the training images too"):
        select_images(data / folder, count=5, seed=0)


def test_a_folder_without_training_images_is_refused(data: Path) -> None:
    """A sentence says what was expected."""
    shutil.rmtree(data / "bounding_box_train")
    with pytest.raises(DataError, match=r"expected the folder .*bounding_box_train, which is missing"):
        select_images(data, count=5, seed=0)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """Neither of the two layouts is there."""
    with pytest.raises(DataError, match=r"expected people in .*, as <person>/\*\.jpg"):
        select_images(tmp_path, count=5, seed=0)


def test_the_folder_above_a_data_set_is_refused(data: Path) -> None:
    """Its queries would be taken for people who train."""
    with pytest.raises(DataError, match=r"patterns holds bounding_box_test, a split .*; give .*patterns itself"):
        select_images(data.parent, count=5, seed=0)


def test_an_empty_training_folder_is_refused(tmp_path: Path) -> None:
    """Names of another layout are refused, not guessed."""
    (tmp_path / "bounding_box_train").mkdir()
    (tmp_path / "bounding_box_train" / "portrait.jpg").touch()
    with pytest.raises(DataError, match=r"expected a name such as 0002_c1s1_000451_03\.jpg, found .*portrait\.jpg"):
        select_images(tmp_path, count=5, seed=0)


@pytest.mark.parametrize("count", [0, -1, 25])
def test_more_images_than_there_are_are_refused(data: Path, count: int) -> None:
    """A shorter list than asked for would be a silent repair."""
    with pytest.raises(DataError, match="from 1 to the 24 training images"):
        select_images(data, count=count, seed=0)


def test_a_damaged_image_is_named(data: Path) -> None:
    """A JPEG that was cut short would decode to grey."""
    path = data / "bounding_box_train" / "0002_c1s1_000001_00.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"cannot be decoded: .*0002_c1s1_000001_00\.jpg"):
        select_images(data, count=24, seed=0)


def _list(data: Path, folder: Path) -> Path:
    path = folder / "list.json"
    assert main([str(data), "--output", str(path), "--count", "5"]) == 0
    return path


def test_a_list_comes_back_as_it_was_written(data: Path, tmp_path: Path) -> None:
    """Save and load are inverse."""
    assert read_image_list(_list(data, tmp_path), data) == select_images(data, count=5, seed=0)


def test_a_changed_image_is_found(data: Path, tmp_path: Path) -> None:
    """The ranges would belong to other images than the list says."""
    path = _list(data, tmp_path)
    image = data / json.loads(path.read_text())["images"][0]
    image.write_bytes(image.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"are not those .*list\.json was made from"):
        read_image_list(path, data)


def test_a_list_with_a_test_image_is_refused(data: Path, tmp_path: Path) -> None:
    """Not even by editing the list can query images be used."""
    path = _list(data, tmp_path)
    path.write_text(path.read_text().replace("bounding_box_train/", "query/", 1))
    with pytest.raises(DataError, match="expected images of bounding_box_train only"):
        read_image_list(path, data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": [""]}, "expected images of bounding_box_train only, found ''"),
        ({"images": []}, "expected images of bounding_box_train only, found none"),
        ({"count": 512}, "the count is 512, but the list holds 5 images"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    """The manifest repeats its count, so it must be true."""
    path = _list(data, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DataError, match=message):
        read_image_list(path, data)


def test_a_list_that_cannot_be_written_leaves_nothing(data: Path, tmp_path: Path) -> None:
    """A folder in the place of the file."""
    (tmp_path / "list.json").mkdir()
    with pytest.raises(DataError, match=r"cannot write the calibration list .*list\.json"):
        _list(data, tmp_path)
    assert not (tmp_path / "list.json.partial").exists()


def test_a_missing_or_foreign_list_is_refused(data: Path, tmp_path: Path) -> None:
    """One sentence each."""
    with pytest.raises(DataError, match="cannot read the calibration list"):
        read_image_list(tmp_path / "none.json", data)
    (tmp_path / "foreign.json").write_text("[]")
    with pytest.raises(DataError, match="is no calibration list of"):
        read_image_list(tmp_path / "foreign.json", data)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """12 people, a folder each, 4 images of each; two cameras in the file names."""
    for person in range(12):
        for copy in range(4):
            path = tmp_path / "people" / f"person {person}" / f"{copy}_c{copy % 2}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pattern(person, camera=copy % 2, copy=copy))
    return tmp_path / "people"


def test_people_of_an_own_folder_are_those_that_train(people: Path) -> None:
    """Calibration sees the half that training sees, and nobody who is looked for."""
    images = select_images(people, count=24, seed=0)
    data = open_folder(people)
    assert {people / image for image in images.images} == {sample.path for sample in data.train}
    assert images.split == "training half"
    assert images.cameras == {"0": 12, "1": 12}
    assert set(images.identities.values()) == {4}


def test_people_of_an_own_split_are_its_training_part(people: Path) -> None:
    """Who put people into train and test decided already."""
    for part, numbers in (("train", range(4)), ("test", range(4, 12))):
        for number in numbers:
            (people / part).mkdir(exist_ok=True)
            (people / f"person {number}").rename(people / part / f"person {number}")
    images = select_images(people, count=16, seed=0)
    assert images.split == "train"
    assert set(images.identities) == {f"person {number}" for number in range(4)}
    with pytest.raises(DataError, match="holds test images"):
        select_images(people / "test", count=4, seed=0)


def test_cameras_that_nobody_knows_are_left_open(people: Path) -> None:
    """Identities are balanced all the same."""
    for path in sorted(people.glob("*/*.png")):
        path.rename(path.with_name(path.name.replace("_c", "_x")))
    images = select_images(people, count=12, seed=0)
    assert images.cameras == {}
    assert set(images.identities.values()) == {2}


def test_a_list_that_names_people_to_test_with_is_refused(people: Path, tmp_path: Path) -> None:
    """Written by hand, or people were added since and the halves are others now."""
    tested = open_folder(people).query[0].path.relative_to(people).as_posix()
    images = select_images(people, count=5, seed=0)
    names = (*images.images[1:], tested)
    changed = images.model_copy(update={"images": names, "images_sha256": digest_images(people, names)})
    path = tmp_path / "list.json"
    write_image_list(changed, path)
    with pytest.raises(DataError, match=rf"names {tested}, an image of a test person"):
        read_image_list(path, people)
