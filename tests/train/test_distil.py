"""Distillation as a researcher types it: teachers and crops in, a student with manifest and scores out."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import read_manifest
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import write_tiny_network
from train import run
from train.models.weight_files import read
from train.training.epoch_recorder import EpochRecorder
from train.training.loop import EpochReport

RECIPE = "distil_osnet:tiny_x0_25"
RUN = "distil_osnet-tiny_x0_25-seed0"


@pytest.fixture
def teachers(tmp_path: Path) -> list[Path]:
    """Two networks with random weights."""
    return [write_tiny_network(tmp_path, seed=seed, name=f"teacher{seed}.onnx") for seed in range(2)]


def arguments_for(folder: Path, teachers: list[Path], *, output: str = "runs") -> list[str]:
    """A short run on the training images of a small data set, scored on its test images."""
    if not (folder / "people").exists():
        write_market_folder(folder / "people", train=4, test=4)
    named = [word for teacher in teachers for word in ("--teacher", str(teacher))]
    data = ["--data", str(folder / "people"), "--test-data", str(folder / "people")]
    return [RECIPE, *named, *data, "--output", str(folder / output), "--epochs", "2", "--batch", "8"]


def test_a_student_learns_from_two_teachers(tmp_path: Path, teachers: list[Path]) -> None:
    """The run folder is that of any run; settings name teachers and crops, the manifest the terms of both."""
    assert run.main(arguments_for(tmp_path, teachers)) == 0
    folder = tmp_path / "runs" / RUN
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [set(row["losses"]) for row in log] == [{"teacher", "similarity"}] * 2
    assert log[1]["losses"]["teacher"] < log[0]["losses"]["teacher"]
    settings = json.loads((folder / "settings.json").read_text())["recipe"]["distillation"]
    assert settings["teachers"] == [read_manifest(teacher).artefact.sha256 for teacher in teachers]
    manifest = read_manifest(folder / "model.pth")
    assert manifest.evidence is not None
    assert manifest.descriptor.length == 512
    taught = "taught by tiny-patterns-aaaaaaaa: Apache-2.0"
    assert manifest.terms.training_data == f"people: terms not stated; {taught}; {taught}"
    assert (folder / "curves.png").exists()
    assert len(list((tmp_path / "runs" / "teachers").glob("*.npy"))) == 2


def test_a_resumed_student_equals_one_that_was_never_stopped(
    tmp_path: Path, teachers: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit on the CPU, with the teachers' descriptors of the first start; other teachers are refused."""
    assert run.main(arguments_for(tmp_path, teachers)) == 0
    stopped = arguments_for(tmp_path, teachers, output="stopped")
    record = EpochRecorder.record

    def record_and_stop(self: EpochRecorder, report: EpochReport) -> None:
        record(self, report)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(EpochRecorder, "record", record_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run.main(stopped)
    with pytest.raises(ConfigError, match=r"was started with recipe\.distillation\.teachers"):
        run.main([*arguments_for(tmp_path, teachers[:1], output="stopped"), "--resume"])
    assert run.main([*stopped, "--resume"]) == 0
    whole, resumed = (read(tmp_path / output / RUN / "model.pth")["state_dict"] for output in ("runs", "stopped"))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_what_cannot_be_distilled_is_said_before_training_starts(tmp_path: Path, teachers: list[Path]) -> None:
    """No teacher, no data set to score on, a teacher for labels, several data sets for labels, a data set's name."""
    whole = arguments_for(tmp_path, teachers)
    position = whole.index("--test-data")
    for arguments, said in (
        (arguments_for(tmp_path, []), "learns from another network; give it with --teacher FILE"),
        ([*whole[:position], *whole[position + 2 :]], "give a data set to score on with --test-data DIR"),
        ([*whole, "--data-set", "folder"], "leave --data-set out"),
        (["osnet_cuhk03:scratch", *whole[1:]], "--teacher is for distillation"),
        (["osnet_cuhk03:scratch", "--data", "one", "two"], "trains on one data set, found 2 folders at --data"),
    ):
        with pytest.raises(ConfigError, match=said):
            run.main(arguments)


def test_test_people_among_the_crops_are_refused(tmp_path: Path, teachers: list[Path]) -> None:
    """The images of the data set that is scored, by the name of their folder or by their bytes."""
    arguments = arguments_for(tmp_path, teachers)
    position = arguments.index("--data") + 1
    arguments[position] = str(tmp_path / "people" / "query")
    with pytest.raises(DataError, match="query is named as the test images of a data set"):
        run.main(arguments)
    (tmp_path / "people" / "query").rename(tmp_path / "site")
    shutil.copytree(tmp_path / "site", tmp_path / "people" / "query")
    arguments[position] = str(tmp_path / "site")
    with pytest.raises(DataError, match=r"8 of 8 crops are test images of people"):
        run.main(arguments)
    assert not (tmp_path / "runs").exists()


def test_labels_join_in_where_people_are_known(tmp_path: Path, teachers: list[Path]) -> None:
    """The cross entropy of the data set's people is a third loss; without any named person the recipe is refused."""
    arguments = ["distil_osnet:labels_tiny_x0_25", *arguments_for(tmp_path, teachers)[1:]]
    assert run.main(arguments) == 0
    folder = tmp_path / "runs" / "distil_osnet-labels_tiny_x0_25-seed0"
    (first, _) = (json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines())
    assert set(first["losses"]) == {"teacher", "similarity", "classifier"}
    shutil.copytree(tmp_path / "people" / "bounding_box_train", tmp_path / "site")
    arguments[arguments.index("--data") + 1] = str(tmp_path / "site")
    with pytest.raises(ConfigError, match=r"no image in .*site has one"):
        run.main([*arguments, "--seed", "1"])
