"""Several data sets as one: nobody is taken for somebody else."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import DataError
from tests.support.market_folder import write_market_folder
from tests.train.datasets.conftest import Shrink
from tests.train.datasets.test_msmt17 import COUNTS as MSMT17_COUNTS
from tests.train.datasets.test_msmt17 import write_msmt17
from train.datasets.catalog import open_data
from train.datasets.samples import ReidData, Sample
from train.datasets.union import join_data_sets


def part(name: str, *, identities: tuple[int, ...]) -> ReidData:
    """A data set of one image per identity and split, at cameras 0, 1 and 2."""
    splits = (
        tuple(Sample(Path(name), identity, camera) for identity in identities if identity > 0 or camera)
        for camera in range(3)
    )
    train, query, gallery = splits
    return ReidData(name, f"terms of {name}", train, query, gallery)


def test_identities_and_cameras_are_kept_apart() -> None:
    """Identity 1 of one set is not identity 1 of another, and neither is camera 1."""
    joined = join_data_sets("both", [part("a", identities=(1, 7)), part("b", identities=(1, 2))])
    assert joined.train_identities == (1, 7, 8, 9)
    assert [sample.camera_id for sample in joined.query] == [1, 1, 4, 4]
    assert {str(sample.path) for sample in joined.gallery if sample.identity > 7} == {"b"}


def test_junk_and_distractors_stay_what_they_are() -> None:
    """-1 takes no place in a ranking and 0 is never right, in the union too."""
    joined = join_data_sets("both", [part("a", identities=(-1, 0, 3)), part("b", identities=(-1, 0, 3))])
    assert sorted(sample.identity for sample in joined.gallery) == [-1, -1, 0, 0, 3, 6]


def test_the_terms_of_all_members_hold() -> None:
    """They travel with the weights."""
    joined = join_data_sets("both", [part("a", identities=(1,)), part("b", identities=(1,))])
    assert joined.terms == "terms of a; terms of b"


@pytest.fixture
def mix4(tmp_path: Path, shrink: Shrink) -> Path:
    """Four small data sets in the subfolders of their names."""
    for name in ("market1501", "cuhk03_np_detected", "dukemtmcreid"):
        shrink(name, {"training images": 8})
        write_market_folder(tmp_path / name, train=2, test=2, images=2)
    shrink("msmt17_train", {**MSMT17_COUNTS, "training images": 2})
    write_msmt17(tmp_path / "msmt17", train="train", test="test")
    return tmp_path


def test_mix4_is_four_data_sets_side_by_side(mix4: Path) -> None:
    """Market-1501, CUHK03, DukeMTMC-reID and the training list of MSMT17. Source: OSNet, section 4.1 and table 2."""
    data = open_data("mix4", mix4)
    assert data.name == "mix4"
    assert len(data.train) == 3 * 8 + 2
    assert len(data.train_identities) == 3 * 2 + 2
    assert len({sample.camera_id for sample in data.train}) == 3 * 2 + 2


def test_a_missing_member_is_named(mix4: Path) -> None:
    """With who has it."""
    (mix4 / "cuhk03_np_detected").rename(mix4 / "cuhk03")
    with pytest.raises(DataError, match=r"expected the folder cuhk03_np_detected or cuhk03_detected in .*Li et al\."):
        open_data("mix4", mix4)


def test_an_incomplete_member_is_refused(mix4: Path) -> None:
    """The counts of each member hold."""
    next((mix4 / "dukemtmcreid" / "bounding_box_train").iterdir()).unlink()
    with pytest.raises(DataError, match=r"DukeMTMC-reID: expected 8 training images \(found 7\)"):
        open_data("mix4", mix4)
