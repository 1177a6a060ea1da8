"""Any folder of people trains and is scored, with or without cameras."""

import logging
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from edge_runtime.contract.errors import DataError
from tests.support.small_images import write_image
from train.datasets.catalog import open_data
from train.datasets.samples import ReidData, Sample


def write_people(root: Path, people: str, *, pattern: str = "{person}/{number}.jpg", images: int = 3) -> Path:
    """Write images of people who are called by one letter. Returns `root`."""
    for person in people:
        for number in range(images):
            write_image(root / pattern.format(person=person, number=number))
    return root


def names(samples: tuple[Sample, ...]) -> set[str]:
    """Who is in a split, by folder."""
    return {sample.path.parent.name for sample in samples}


def check_protocol(data: ReidData) -> None:
    """Nobody is in both halves, no image in two splits, and every query has a right image at another camera."""
    assert not names(data.train) & names(data.gallery)
    paths = [sample.path for sample in (*data.train, *data.query, *data.gallery)]
    assert len(paths) == len(set(paths))
    for query in data.query:
        assert any(s.identity == query.identity and s.camera_id != query.camera_id for s in data.gallery)
    numbers = {sample.path.parent.name: sample.identity for sample in (*data.train, *data.query, *data.gallery)}
    assert len(set(numbers.values())) == len(numbers)
    assert min(numbers.values()) == 1


def test_half_of_the_people_train(tmp_path: Path) -> None:
    """The other half is looked for; all images are used."""
    data = open_data("folder", write_people(tmp_path / "shop", "abcdefgh"))
    check_protocol(data)
    assert data.name == "shop"
    assert len(data.train_identities) == 4
    assert len(data.train) + len(data.query) + len(data.gallery) == 8 * 3


def test_pictures_call_people_by_their_folders(tmp_path: Path) -> None:
    """Nobody knows their own people by number."""
    data = open_data("folder", write_people(tmp_path, "abcdefgh"))
    assert {sample.label for sample in data.gallery} == names(data.gallery)


def test_the_halves_depend_on_the_names_alone(tmp_path: Path) -> None:
    """A second look, another folder or more images give the same halves: scores stay comparable."""
    one = open_data("folder", write_people(tmp_path / "one", "abcdefgh"))
    other = open_data("folder", write_people(tmp_path / "other", "hgfedcba", images=5))
    assert names(one.train) == names(other.train) == {"b", "c", "e", "h"}


def test_without_cameras_every_image_counts_as_its_own_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise all right images would be left out of the ranking as the query's neighbours."""
    with caplog.at_level(logging.WARNING):
        data = open_data("folder", write_people(tmp_path, "abcd"))
    assert "names no cameras, so every image counts as taken by a camera of its own" in caplog.text
    everything = (*data.train, *data.query, *data.gallery)
    assert len({sample.camera_id for sample in everything}) == len(everything)
    assert not data.has_cameras


@pytest.mark.parametrize(
    "pattern",
    [
        "{person}/{number}_c{number}.jpg",
        "{person}/c{number}_1.jpg",
        "{person}/0001_c{number}s1_000151_01.jpg",
        "camera {number}/{person}/1.jpg",
    ],
)
def test_cameras_come_from_names_or_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture, pattern: str) -> None:
    """As in Market-1501's names, or as a level of folders above the people."""
    data = open_data("folder", write_people(tmp_path, "abcdef", pattern=pattern))
    check_protocol(data)
    assert Counter(sample.camera_id for sample in (*data.train, *data.query, *data.gallery)) == {0: 6, 1: 6, 2: 6}
    assert not caplog.records


def test_the_user_may_split(tmp_path: Path) -> None:
    """`train` and `test` hold people, as the folder itself would; cameras mean the same in both."""
    write_people(tmp_path / "train", "abc", pattern="{person}/x_c{number}.jpg")
    write_people(tmp_path / "test", "de", pattern="{person}/x_c{number}.jpg")
    data = open_data("folder", tmp_path)
    check_protocol(data)
    assert names(data.train) == {"a", "b", "c"}
    assert {sample.camera_id for sample in data.train} == {sample.camera_id for sample in data.gallery + data.query}


def test_each_camera_with_images_to_spare_gives_a_query(tmp_path: Path) -> None:
    """And the rest are the gallery, so that every query can find somebody."""
    write_people(tmp_path / "train", "ab", pattern="{person}/x_c{number}.jpg")
    for name in ("1_c1", "2_c1", "3_c2", "4_c2", "5_c3"):
        write_image(tmp_path / "test" / "d" / f"{name}.jpg")
    data = open_data("folder", tmp_path)
    assert [sample.path.stem for sample in data.query] == ["1_c1", "3_c2"]
    assert [sample.path.stem for sample in data.gallery] == ["2_c1", "4_c2", "5_c3"]


def test_people_seen_by_one_camera_train_or_distract(tmp_path: Path) -> None:
    """They cannot be found, so they are no queries; in the user's own test they stay in the gallery."""
    write_people(tmp_path / "own", "ab", pattern="{person}/x_c{number}.jpg")
    write_people(tmp_path / "own", "cd", pattern="{person}/{number}_c1.jpg")
    assert {"c", "d"} <= names(open_data("folder", write_people(tmp_path / "own", "")).train)
    write_people(tmp_path / "split" / "train", "ab", pattern="{person}/x_c{number}.jpg")
    write_people(tmp_path / "split" / "test", "c", pattern="{person}/x_c{number}.jpg")
    write_people(tmp_path / "split" / "test", "d", pattern="{person}/{number}_c1.jpg")
    data = open_data("folder", tmp_path / "split")
    assert names(data.query) == {"c"}
    assert names(data.gallery) == {"c", "d"}


@pytest.mark.parametrize("seed", range(12))
def test_no_image_is_lost_and_every_query_can_find_somebody(tmp_path: Path, seed: int) -> None:
    """Whatever number of images people have, from whichever cameras."""
    random = Random(seed)
    pattern = "p{person}/{number}_c{camera}.jpg" if seed % 2 else "p{person}/{number}.jpg"
    written = 0
    for person in range(random.randint(6, 9)):
        for number in range(random.randint(2 if person < 4 else 1, 6)):
            camera = 1 + (number if person < 4 else random.randint(0, 2))
            write_image(tmp_path / pattern.format(person=person, number=number, camera=camera))
            written += 1
    data = open_data("folder", tmp_path)
    check_protocol(data)
    assert len(data.train) + len(data.query) + len(data.gallery) == written


def test_the_layout_of_market1501_is_one_of_them(tmp_path: Path) -> None:
    """Whoever has laid their own images out like that keeps their own split."""
    for folder in ("bounding_box_train", "query", "bounding_box_test"):
        write_image(tmp_path / "own" / folder / "0001_c1s1_000001_00.jpg")
    assert len(open_data("folder", tmp_path / "own").query) == 1


def test_layouts_that_are_none_are_refused(tmp_path: Path) -> None:
    """Each in one sentence that says what was expected."""
    with pytest.raises(DataError, match="which is missing"):
        open_data("folder", tmp_path / "nowhere")
    write_image(tmp_path / "flat" / "1.jpg")
    with pytest.raises(DataError, match=r"expected people in .*flat, as <person>/\*\.jpg"):
        open_data("folder", tmp_path / "flat")
    write_people(tmp_path / "half" / "train", "ab")
    with pytest.raises(DataError, match="holds train but not the other of train and test"):
        open_data("folder", tmp_path / "half")
    write_people(tmp_path / "empty", "abc")
    (tmp_path / "empty" / "d").mkdir()
    with pytest.raises(DataError, match=r"expected images in every folder of .*, found none in .*d"):
        open_data("folder", tmp_path / "empty")
    write_image(write_people(tmp_path / "loose", "abc") / "d.jpg")
    with pytest.raises(DataError, match=r"expected only folders in .*loose, .*found 1 images, .*for example .*d\.jpg"):
        open_data("folder", tmp_path / "loose")
    write_people(tmp_path / "few", "ab")
    with pytest.raises(DataError, match=r"two or more people to train on and one to test on, .*found 1 and 1"):
        open_data("folder", tmp_path / "few")


def test_cameras_in_some_names_only_are_refused(tmp_path: Path) -> None:
    """Guessing the others would change the scores."""
    write_people(tmp_path, "abcd", pattern="{person}/x_c{number}.jpg")
    write_image(tmp_path / "a" / "holiday.jpg")
    with pytest.raises(DataError, match=r"1 of the 13 images .*for example .*holiday\.jpg, but others do"):
        open_data("folder", tmp_path)


def test_a_person_in_train_and_test_is_refused(tmp_path: Path) -> None:
    """Scores on people who trained are worth nothing."""
    write_people(tmp_path / "train", "abc")
    write_people(tmp_path / "test", "cd")
    with pytest.raises(DataError, match="c is in both train and test"):
        open_data("folder", tmp_path)
