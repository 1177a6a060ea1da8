"""VIPeR and GRID: ten splits that never change."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from edge_runtime.contract.errors import DataError
from tests.support.small_images import write_image
from tests.train.datasets.conftest import Shrink
from train.datasets.catalog import open_data


@pytest.fixture
def viper(tmp_path: Path, shrink: Shrink) -> Path:
    """Ten people whose numbers have gaps, as in the real set."""
    shrink("viper", {"training images": 10, "training identities": 5, "query images": 5, "gallery images": 5})
    for number in range(0, 30, 3):
        write_image(tmp_path / "VIPeR" / "cam_a" / f"{number:03d}_45.bmp")
        write_image(tmp_path / "VIPeR" / "cam_b" / f"{number:03d}_90.bmp")
    return tmp_path


@pytest.fixture
def grid(tmp_path: Path, shrink: Shrink) -> Path:
    """Six people seen twice, and three distractors."""
    shrink("grid", {"training images": 6, "training identities": 3, "query images": 3, "gallery images": 6})
    for person in range(1, 7):
        write_image(tmp_path / "underground_reid" / "probe" / f"{person:04d}_1_25004_107_32_106_221.jpeg")
        write_image(tmp_path / "underground_reid" / "gallery" / f"{person:04d}_2_25023_116_134_128_330.jpeg")
    for number in range(3):
        write_image(tmp_path / "underground_reid" / "gallery" / f"0000_6_{number}_116_134_128_330.jpeg")
    return tmp_path


def test_half_of_vipers_people_train_and_the_others_are_looked_for(viper: Path) -> None:
    """Camera a asks, camera b answers; nobody is in both halves."""
    data = open_data("viper", viper)
    tested = {sample.identity for sample in data.query}
    assert tested == {sample.identity for sample in data.gallery}
    assert not tested & set(data.train_identities)
    assert {sample.camera_id for sample in data.query} == {0}
    assert {sample.camera_id for sample in data.gallery} == {1}
    assert all(int(s.path.name[:3]) + 1 == s.identity for s in (*data.train, *data.query, *data.gallery))


def test_vipers_splits_are_the_same_everywhere(viper: Path) -> None:
    """They depend on the numbers of the people and of the split alone; the figures of this test never change."""
    assert [sample.identity for sample in open_data("viper", viper, split=0).query] == [7, 10, 16, 22, 25]
    assert [sample.identity for sample in open_data("viper", viper, split=9).query] == [1, 7, 13, 22, 25]


@pytest.mark.parametrize("name", ["viper", "grid"])
def test_there_are_ten_different_splits(name: str, request: pytest.FixtureRequest) -> None:
    """A mean over ten equal splits would be a mean over one."""
    folder = request.getfixturevalue(name)
    splits = {open_data(name, folder, split=split).train_identities for split in range(10)}
    assert len(splits) > 5  # of 252 or 20 possible halves some may be drawn twice


def test_a_person_seen_by_one_camera_only_is_an_error(viper: Path) -> None:
    """Half a pair cannot be found."""
    (viper / "VIPeR" / "cam_b" / "003_90.bmp").unlink()
    with pytest.raises(DataError, match=r"in both cam_a and cam_b .*found one of 003"):
        open_data("viper", viper)


def test_names_of_other_data_sets_are_refused(viper: Path) -> None:
    """The name is the identity."""
    write_image(viper / "VIPeR" / "cam_a" / "anna.bmp")
    with pytest.raises(DataError, match=r"expected a name such as 000_45\.bmp, found .*anna\.bmp"):
        open_data("viper", viper)


def test_grids_distractors_stay_in_the_gallery(grid: Path) -> None:
    """775 of them in the real set: identity 0, never trained, never right."""
    data = open_data("grid", grid)
    tested = {sample.identity for sample in data.query}
    assert {sample.identity for sample in data.gallery} == tested | {0}
    assert not tested & set(data.train_identities)
    assert 0 not in data.train_identities
    assert {sample.camera_id for sample in data.query} == {0}


def test_grids_published_splits_are_taken_where_they_are(grid: Path) -> None:
    """Ten cells, each a structure whose third field lists the identities that train."""
    cells = np.empty((1, 10), object)
    for split in range(10):
        learned = [split % 4 + 1, split % 4 + 2, split % 4 + 3]
        cells[0, split] = {"seed": 0, "idxAll": np.arange(1, 7), "trainIdx": np.array(learned)}
    savemat(grid / "underground_reid" / "features_and_partitions.mat", {"trainIdxAll": cells})
    assert open_data("grid", grid, split=0).train_identities == (1, 2, 3)
    assert open_data("grid", grid, split=7).train_identities == (4, 5, 6)


def test_a_splits_file_of_another_kind_is_refused(grid: Path) -> None:
    """Our own splits are not taken in silence instead of the published ones."""
    savemat(grid / "underground_reid" / "features_and_partitions.mat", {"something": [1]})
    with pytest.raises(DataError, match="holds no split 0 in trainIdxAll"):
        open_data("grid", grid)
