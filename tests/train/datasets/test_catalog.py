"""One door to all data sets: each by its name, complete, or an error that says what is missing and who has it."""

import re
from pathlib import Path
from typing import get_args

import pytest

from edge_runtime.contract.errors import DataError
from tests.support.market_folder import write_market_folder
from train.datasets.catalog import (
    DATA_SETS,
    known_data_sets,
    open_attributes,
    open_classification,
    open_data,
    open_folder,
)
from train.datasets.data_set import DataSet, Kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete small data set."""
    return write_market_folder(tmp_path / "data", train=2, test=2, images=2)


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


@pytest.mark.parametrize("unpacked", ["Market-1501-v15.09.15", "DukeMTMC-reID"])
def test_a_published_archive_is_known_by_its_folder(folder: Path, unpacked: str) -> None:
    """Its counts are checked there too, though the user has named no data set."""
    with pytest.raises(DataError, match=r"expected .* training images \(found 8\)|without junk \(found 4\)"):
        open_folder(folder.rename(folder.with_name(unpacked)))


def test_a_folder_gives_its_data_set_a_name_that_a_manifest_takes(folder: Path) -> None:
    """Model ids hold small letters, digits and underscores."""
    own = folder.rename(folder.with_name("My People (2)"))
    assert open_folder(own).name == "my_people_2"
    assert open_data("folder", own).name == "my_people_2"


@pytest.mark.parametrize("name", known_data_sets("re-identification"))
def test_a_missing_data_set_says_who_has_it(tmp_path: Path, name: str) -> None:
    """Nothing is downloaded: the error names the publication."""
    with pytest.raises(DataError, match=r"is available from its authors: .*\d{4}") as caught:
        open_data(name, tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize("name", known_data_sets("classification"))
def test_missing_classes_say_who_has_them(tmp_path: Path, name: str) -> None:
    """The same for images of classes."""
    with pytest.raises(DataError, match=r"expected .*train.*is available from its authors"):
        open_classification(name, tmp_path)


def test_missing_attributes_say_who_has_them(tmp_path: Path) -> None:
    """The same for PA-100K."""
    with pytest.raises(DataError, match=r"annotation\.mat, which is missing.*is available from its authors"):
        open_attributes("pa100k", tmp_path)


def test_unknown_names_list_the_known_ones(tmp_path: Path) -> None:
    """A typing error is found at once."""
    with pytest.raises(DataError, match=r"unknown data set 'market'; known: market1501, .*folder"):
        open_data("market", tmp_path)
    with pytest.raises(DataError, match="known: cifar10"):
        open_classification("mnist", tmp_path)
    with pytest.raises(DataError, match="known: pa100k"):
        open_attributes("peta", tmp_path)


@pytest.mark.parametrize(("name", "split"), [("viper", 10), ("grid", -1), ("market1501", 1), ("folder", 1)])
def test_a_split_that_does_not_exist_is_refused(tmp_path: Path, name: str, split: int) -> None:
    """Only VIPeR and GRID have splits, ten each."""
    with pytest.raises(DataError, match=f"expected split 0 to 9 of viper or grid, found {split} of {name}"):
        open_data(name, tmp_path, split=split)


@pytest.mark.parametrize("row", DATA_SETS.values(), ids=lambda row: row.name)
def test_every_row_is_complete(row: DataSet) -> None:
    """Title, paper and year, terms that name the data set, counts and splits; a union has those of its members."""
    assert re.fullmatch(r"[a-z0-9_]+", row.name)  # it becomes a part of model ids
    assert row.kind in get_args(Kind)
    assert row.title
    assert row.terms
    assert row.splits >= 1
    if row.name != "mix4":
        assert re.search(r"\d{4}", row.paper)
        assert row.terms.startswith(row.title.split(" (")[0][:4])
        assert row.counts["training images"] > 0


def test_no_two_data_sets_claim_one_archive() -> None:
    """Else the folder's name would not say which one it is."""
    folders = [folder for row in DATA_SETS.values() for folder in row.archive_folders]
    assert len(folders) == len(set(folders))


@pytest.mark.shared_data
def test_the_real_copy_of_cuhk03_is_complete(cuhk03: Path) -> None:
    """767 training identities, and the published counts of images, from two cameras."""
    data = open_data("cuhk03_np_detected", cuhk03)
    assert len(data.train_identities) == 767
    assert {sample.camera_id for sample in data.gallery} == {0, 1}
