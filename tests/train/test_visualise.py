"""The command `train/visualise.py` as a researcher types it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import ConfigError, DataError, ManifestError
from tests.conftest import ROOT
from tests.support.market_folder import write_market_folder
from tests.support.small_checkpoint import write_checkpoint
from tests.support.tiny_network import write_tiny_network
from train.visualise import main

GREEN, RED = (44, 160, 44), (214, 39, 40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Colour patterns in Market-1501's layout: 12 queries, 24 gallery images of 6 identities."""
    return str(write_market_folder(tmp_path_factory.mktemp("data") / "patterns"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OSNet x0.25 with random weights."""
    return write_checkpoint(tmp_path_factory.mktemp("run"), "osnet_x0_25")


def has_colour(picture: Path, colour: tuple[int, int, int]) -> bool:
    """Whether a picture has an area of this colour, more than a few pixels."""
    image = cv2.imread(str(picture))
    assert image is not None
    return int((image[:, :, ::-1] == colour).all(axis=2).sum()) > 1000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("activations", ("--images", "3")),
        ("gates", ("--clusters", "3")),
        ("ranking", ("--queries", "2")),
        ("embedding", ("--identities", "4")),
    ],
)
def test_each_kind_of_picture_goes_beside_the_model(
    kind: str, options: tuple[str, ...], checkpoint: Path, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its path is the answer; it is no empty sheet."""
    assert main([kind, str(checkpoint), "--data", data, *options]) == 0
    picture = checkpoint.with_name(f"model_{kind}.png")
    assert capsys.readouterr().out == f"{picture}\n"
    image = cv2.imread(str(picture))
    assert image is not None
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100


def test_right_images_are_green_and_wrong_ones_red(data: str, tmp_path: Path) -> None:
    """Also of an ONNX file; two of 24 images are right for a query, so both colours are there."""
    output = tmp_path / "worst.png"
    model = write_tiny_network(tmp_path)
    assert main(["ranking", str(model), "--data", data, "--worst", "--queries", "12", "--output", str(output)]) == 0
    assert has_colour(output, GREEN)
    assert has_colour(output, RED)


def test_curves_of_runs_go_into_the_first_run(tmp_path: Path) -> None:
    """One picture for all."""
    runs = [tmp_path / "first", tmp_path / "second"]
    for run in runs:
        run.mkdir()
        (run / "log.jsonl").write_text('{"epoch": 1, "loss": 2.0, "accuracy": 0.1, "learning_rate": 0.1}\n')
    assert main(["curves", *map(str, runs)]) == 0
    assert [path.name for path in tmp_path.glob("*/*.png")] == ["comparison.png"]
    assert (runs[0] / "comparison.png").stat().st_size > 1000


def test_people_stay_out_of_the_repository(checkpoint: Path, data: str) -> None:
    """Neither by --output nor beside a committed model; before anything is described."""
    with pytest.raises(ConfigError, match="is part of the repository; give --output elsewhere"):
        main(["ranking", str(checkpoint), "--data", data, "--output", str(ROOT / "people.png")])
    with pytest.raises(ConfigError, match="is part of the repository"):
        main(["ranking", str(ROOT / "edge_runtime" / "models" / "osnet_x0_25.onnx"), "--data", data])


def test_help_says_that_pictures_of_people_are_personal_data(capsys: pytest.CaptureFixture[str]) -> None:
    """In the command's help and in that of each kind that shows people."""
    for arguments in ([], ["ranking"], ["activations"], ["gates"], ["embedding"]):
        with pytest.raises(SystemExit):
            main([*arguments, "--help"])
        assert "Pictures of people are personal data" in " ".join(capsys.readouterr().out.split())


def test_a_place_that_cannot_be_written_is_refused_first(checkpoint: Path, data: str, tmp_path: Path) -> None:
    """No folder, a folder in the place of a file, a format that nobody draws."""
    common = ["ranking", str(checkpoint), "--data", data, "--output"]
    for output, fault in (
        (tmp_path / "nowhere" / "a.png", "expected the folder .*nowhere for --output, found none; make it"),
        (tmp_path, "expected a file for --output, found the folder"),
        (tmp_path / "a.txt", r"expected --output to end in \.png, \.pdf, \.svg, found"),
    ):
        with pytest.raises(ConfigError, match=fault):
            main([*common, str(output)])


def test_what_cannot_be_drawn_ends_in_one_sentence(checkpoint: Path, data: str, tmp_path: Path) -> None:
    """No manifest, no checkpoint, no gates, too few images, a number that is none."""
    onnx = str(write_tiny_network(tmp_path))
    model = str(checkpoint)
    lonely = tmp_path / "lonely.pth"
    lonely.write_bytes(checkpoint.read_bytes())
    gateless = str(write_checkpoint(tmp_path, "osnet_x0_25_t1"))
    for arguments, kind, fault in (
        (["gates", str(lonely)], ManifestError, "lonely.pth has no manifest"),
        (["activations", onnx], ConfigError, r"expected a checkpoint \(\.pth\), found .* of the kind onnx"),
        (["gates", gateless], ConfigError, "has no gate with a value for each image and channel"),
        (["gates", model, "--clusters", "37"], DataError, "36 different gating vectors are too few for 37 clusters"),
        (["activations", model, "--images", "13"], DataError, "asked for 13 images, found 12 queries in patterns"),
        (["ranking", model, "--queries", "13"], DataError, "asked for 13 queries, found 12 with a right image"),
        (["ranking", model, "--queries", "0"], ConfigError, "--queries must be at least 1, found 0"),
        (["embedding", model, "--seed", "-1"], ConfigError, "--seed must be at least 0, found -1"),
        (["ranking", model, "--data-set", "market"], DataError, "unknown data set 'market'"),
    ):
        with pytest.raises(kind, match=fault):
            main([*arguments, "--data", data])
