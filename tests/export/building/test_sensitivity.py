"""Measuring which groups of layers to quantise."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import quantize, select_images
from calibration.image_list import read_image_list
from calibration.precision_plan import GroupCost, PrecisionPlan, default_precision_plan, read_precision_plan
from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import read_manifest
from export.acceptance.held_out import held_out_samples
from export.building.layer_costs_picture import Outcome, draw_layer_costs
from export.building.sensitivity import main
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import write_tiny_network
from train.datasets.catalog import open_folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """16 people to train on, 2 cameras, 4 images each."""
    return write_market_folder(tmp_path / "patterns", train=16, test=2, images=4)


@pytest.fixture
def images(tmp_path: Path, data: Path) -> Path:
    """A list of one image of each of 5 people."""
    path = tmp_path / "list.json"
    assert select_images.main([str(data), "--output", str(path), "--count", "5"]) == 0
    return path


def _arguments(tmp_path: Path, data: Path, images: Path, *more: str) -> list[str]:
    model = write_tiny_network(tmp_path)
    common = ["--calibration", str(images), "--data", str(data), "--backend", "onnxruntime", "--rounds", "2"]
    return [str(model), *common, "--output", str(tmp_path / "plan.json"), *more]


def test_a_precision_plan_is_measured_written_and_taken(
    tmp_path: Path, data: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a network to the INT8 file that keeps in float what the measurement said."""
    arguments = _arguments(tmp_path, data, images, "--batch", "2")
    assert main(arguments) == 0
    plan = read_precision_plan(tmp_path / "plan.json")
    assert {cost.group for cost in plan.measured} == {
        *("stem", "pointwise", "gates", "sums", "residuals", "transitions", "descriptor")
    }
    assert all(cost.loss >= 0 for cost in plan.measured)
    assert all(cost.saved_us > 0 for cost in plan.measured if cost.group not in plan.kept_in_float)
    assert "onnxruntime" in plan.decided_by
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "chosen plan" in printed
    if len(plan.kept_in_float) < len(plan.measured):
        options = ["--calibration", str(images), "--data", str(data), "--precision-plan", str(tmp_path / "plan.json")]
        assert quantize.main([arguments[0], *options, "--output", str(tmp_path / "int8.onnx")]) == 0
        assert read_manifest(tmp_path / "int8.onnx").build.kept_higher == plan.kept_in_float


def test_no_loss_allowed_leaves_everything_in_float(tmp_path: Path, data: Path, images: Path) -> None:
    """The budget holds, and nothing is built that cannot be."""
    assert main(_arguments(tmp_path, data, images, "--largest-loss", "1e-12")) == 0
    plan = read_precision_plan(tmp_path / "plan.json")
    assert {"stem", "pointwise"} <= set(plan.kept_in_float)


def test_held_out_people_are_in_no_list_and_in_no_test(data: Path, images: Path) -> None:
    """A plan measured on images that calibrate or accept the engine would look better than it is."""
    listed = read_image_list(images, data)
    samples = held_out_samples(data, listed, identities=10)
    people = {sample.identity for sample in samples}
    assert len(people) == 10
    assert not people & {int(identity) for identity in listed.identities}
    assert {sample.path for sample in samples} <= {sample.path for sample in open_folder(data).train}
    assert samples == held_out_samples(data, listed, identities=10)
    assert len(samples) == 10 * 2 * 3  # two cameras, three of the four images of each


def test_a_list_that_leaves_nobody_out_is_refused(data: Path, tmp_path: Path) -> None:
    """The sentence says how to get a shorter one."""
    path = tmp_path / "long.json"
    assert select_images.main([str(data), "--output", str(path), "--count", "16"]) == 0
    with pytest.raises(DataError, match=r"at least 10 training people .* found 0 of 16 .*--count"):
        held_out_samples(data, read_image_list(path, data), identities=10)


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--output", "nowhere/plan.json", r"expected --output NAME\.json in a folder that exists"),
        ("--output", "plan.txt", r"expected --output NAME\.json"),
        ("--rounds", "0", "--rounds counts from 1, found 0"),
        ("--batch", "-1", "--batch counts from 1, found -1"),
        ("--largest-loss", "nan", "--largest-loss is a mean of 1 - cosine"),
    ],
)
def test_bad_options_are_refused_before_anything_is_measured(
    tmp_path: Path, data: Path, images: Path, option: str, value: str, sentence: str
) -> None:
    """One sentence each."""
    with pytest.raises(ConfigError, match=sentence):
        main(_arguments(tmp_path, data, images, option, value))


def _picture(path: Path, *, kept: bool) -> NDArray[np.uint8]:
    cost = GroupCost(group="stem", loss=0.001, lost_map=0.1, saved_us=5, low_us=4, high_us=6)
    plan: PrecisionPlan = default_precision_plan("onnxruntime").model_copy(
        update={"kept_in_float": ("stem",) if kept else (), "measured": (cost,)}
    )
    draw_layer_costs(
        plan, [Outcome("float32", 10, 0, 0, 1), Outcome("all INT8", 5, 0.001, 0.1, 0.99)], path=path, title="tiny"
    )
    return np.asarray(cv2.imread(str(path)), np.uint8)


def test_the_picture_shows_what_was_chosen(tmp_path: Path) -> None:
    """Another plan is another colour; the same one is the same file."""
    first, other = _picture(tmp_path / "1.png", kept=True), _picture(tmp_path / "2.png", kept=False)
    assert first.shape == other.shape
    assert (first != other).any()
    _picture(tmp_path / "3.png", kept=True)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "3.png").read_bytes()


def test_a_picture_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The plan was written by then."""
    with pytest.raises(ConfigError, match=r"cannot write the picture .*1\.png"):
        _picture(tmp_path / "nowhere" / "1.png", kept=True)
