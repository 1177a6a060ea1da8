"""What complete copies hold, as the papers print it."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import DataError
from train.datasets.catalog import DATA_SETS

# OSNet, table 2; PLR-OSNet, section IV-A, for the labelled CUHK03; MGN, section 4.2, for Market-1501's gallery.
PAPERS = {
    "market1501": (751, 12936, 3368, 19732),
    "cuhk03_detected": (767, 7365, 1400, 5332),
    "cuhk03_np_detected": (767, 7365, 1400, 5332),
    "cuhk03_labelled": (767, 7368, 1400, 5328),
    "cuhk03_np_labelled": (767, 7368, 1400, 5328),
    "dukemtmcreid": (702, 16522, 2228, 17661),
    "msmt17_train": (1041, 30248, 11659, 82161),
    "grid": (125, 250, 125, 900),
}


@pytest.mark.parametrize("name", PAPERS)
def test_counts_are_those_of_the_papers(name: str) -> None:
    """A copy is complete when it holds what the papers trained and tested on."""
    counts = DATA_SETS[name].counts
    keys = ("training identities", "training images", "query images", "gallery images")
    assert tuple(counts[key] for key in keys) == PAPERS[name]


def test_all_of_msmt17_is_the_sum_of_its_lists() -> None:
    """126,441 images: OSNet, supplement A, footnote 7."""
    lists = DATA_SETS["msmt17"].counts
    parts = lists["training images"] + lists["query images"] + lists["gallery images"]
    assert parts == DATA_SETS["msmt17_all"].counts["training images"] == 126441


def test_every_difference_is_named_at_once() -> None:
    """A user who copied two folders badly learns of both."""
    with pytest.raises(DataError, match=r"80000 training images \(found 3\), 26 attributes \(found 25\)"):
        DATA_SETS["pa100k"].check_counts({"training images": 3, "attributes": 25}, where=Path("here"))
