"""What cannot be scored, or means nothing, is said before the work."""

import re
from pathlib import Path

import pytest
import torch

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Manifest, TrainedOn, read_manifest
from tests.support.small_checkpoint import write_checkpoint
from tests.support.small_images import write_image
from train.datasets.catalog import open_folder
from train.datasets.samples import ReidData, Sample
from train.machine.processes import Processes
from train.recipes.catalog import find_recipe
from train.scoring.scorable import check_queries, warn_of_other_people, warn_of_shared_people
from train.training.run_folder import RunFolder
from train.training.tasks import Reid


def samples(*pairs: tuple[int, int]) -> tuple[Sample, ...]:
    """Images that need not exist, of (identity, camera)."""
    return tuple(Sample(Path(f"{number}.jpg"), *pair) for number, pair in enumerate(pairs))


Split = tuple[Sample, ...]


def data_set(*, query: Split = (), gallery: Split = (), train: Split = ()) -> ReidData:
    return ReidData("made", "none", train, query, gallery)


@pytest.mark.parametrize(
    ("query", "gallery", "says"),
    [
        (samples((1, 0), (2, 0)), samples((1, 0), (2, 0)), "show each person with one camera only"),
        (samples((1, 0), (2, 0)), samples((3, 1), (0, 1), (-1, 1)), "show different people"),
        ((), samples((3, 1)), "the 0 queries of made, 0 people"),
    ],
)
def test_a_test_in_which_nobody_can_be_found_is_refused(
    query: tuple[Sample, ...], gallery: tuple[Sample, ...], says: str
) -> None:
    """One camera, other people, nobody: each by its reason."""
    with pytest.raises(DataError, match=f"nobody can be found again: .*{re.escape(says)}"):
        check_queries(data_set(query=query, gallery=gallery))


def test_one_query_that_can_be_found_is_enough() -> None:
    """The others are left out of every mean."""
    check_queries(data_set(query=samples((1, 0), (2, 0)), gallery=samples((1, 0), (2, 1))))


def test_people_of_the_test_among_the_trained_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """Numbers that begin again in each split, or the same people in both."""
    warn_of_shared_people(data_set(train=samples((1, 0)), query=samples((2, 0))))
    assert not caplog.text
    warn_of_shared_people(data_set(train=samples((5, 0), (1, 0)), query=samples((5, 1), (2, 0))))
    assert (
        "1 of the 2 people in the queries of made have the number of somebody in its training images, 5 for one"
        in caplog.text
    )


def test_one_person_alone_does_not_train() -> None:
    """Its loss would be zero and its accuracy perfect, for ever."""
    data = data_set(train=samples((1, 0), (1, 1)), query=samples((2, 0)), gallery=samples((2, 1)))
    with pytest.raises(DataError, match="expected 2 or more people to train on, found 1 in made"):
        Reid(data, find_recipe("osnet_cuhk03:scratch_x0_25"), test=data)


def write_people(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        for camera in (1, 2):
            write_image(folder / name / f"c{camera}_1.jpg", (6 * number, 90, 20 * camera))
    return folder


@pytest.fixture
def grown(tmp_path: Path) -> tuple[ReidData, ReidData]:
    """A folder of people before and after two guests came: person37 is in the other half then."""
    before = open_folder(write_people(tmp_path / "people", [f"person{number}" for number in range(1, 41)]))
    return before, open_folder(write_people(tmp_path / "people", ["guest1_0", "guest1_1"]))


def trained_on(data: ReidData, folder: Path) -> Manifest:
    manifest = read_manifest(write_checkpoint(folder, "osnet_x0_25"))
    trained = TrainedOn(data_set=data.name, people_sha256=data.people_sha256)
    return Manifest.model_validate_json(manifest.model_copy(update={"trained_on": trained}).model_dump_json())


def test_people_who_came_after_the_training_are_found_out(
    grown: tuple[ReidData, ReidData], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The half that is tested has moved; another data set is another matter, and so is a network that does not say."""
    before, after = grown
    assert {sample.label for sample in after.query} & {sample.label for sample in before.train} == {"person37"}
    manifest = trained_on(before, tmp_path)
    warn_of_other_people(manifest, before)
    warn_of_other_people(trained_on(data_set(), tmp_path), after)
    warn_of_other_people(manifest.model_copy(update={"trained_on": None}), after)
    assert not caplog.text
    warn_of_other_people(manifest, after)
    assert "was trained on people with another choice of training people" in caplog.text


def test_a_run_is_not_resumed_with_other_people(grown: tuple[ReidData, ReidData], tmp_path: Path) -> None:
    """Its classes would be those of other people."""
    recipe, processes = find_recipe("osnet_cuhk03:demo_small"), Processes(torch.device("cpu"))
    before, after = (Reid(data, recipe, test=data).trained_on for data in grown)
    folder = RunFolder(tmp_path)
    settings = {"processes": processes, "trained_on": before, "precision": torch.float32}
    folder.write_settings(recipe, seed=0, weights=None, **settings)
    folder.check_resumed(recipe, weights=None, processes=processes, trained_on=before)
    with pytest.raises(ConfigError, match="was started with other training people of people than it has now"):
        folder.check_resumed(recipe, weights=None, processes=processes, trained_on=after)
