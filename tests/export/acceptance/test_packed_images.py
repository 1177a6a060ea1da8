"""Packed sets of test crops."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Input
from export.acceptance.acceptance_images import images_of_data
from export.acceptance.pack_images import main
from export.acceptance.packed_images import choose_images, read_packed_images, write_packed_images
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, write_tiny_network
from train.datasets.catalog import ReidData, open_folder

INPUT = Input(height_px=HEIGHT_PX, width_px=WIDTH_PX)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six test people (5 to 10) with six pictures at each of two cameras, one of them the query."""
    return write_market_folder(tmp_path_factory.mktemp("data") / "patterns", images=6)


@pytest.fixture
def data(folder: Path) -> ReidData:
    """The same as a data set."""
    return open_folder(folder)


def _pack(data: ReidData, path: Path, *, identities: int = 4) -> Path:
    write_packed_images(choose_images(data, identities=identities), path, data=data, input_=INPUT)
    return path


def test_what_is_read_is_what_was_packed(data: ReidData, tmp_path: Path) -> None:
    """The same pixels that the data set gives, with identity and camera of each."""
    chosen = choose_images(data, identities=4)
    packed = read_packed_images(_pack(data, tmp_path / "acceptance.npz"), INPUT)
    assert packed.name == "patterns"
    for crops, samples in ((packed.query, chosen.query), (packed.gallery, chosen.gallery)):
        expected = images_of_data(ReidData("x", "", (), samples, ()), INPUT).query
        assert np.array_equal(crops.read(slice(None)), expected.read(slice(None)))
        assert crops.identities.tolist() == [sample.identity for sample in samples]
        assert crops.cameras.tolist() == [sample.camera_id for sample in samples]


def test_the_choice_is_the_same_every_time_and_another_with_another_seed(data: ReidData, tmp_path: Path) -> None:
    """Same bytes inside, so the same digest."""
    assert choose_images(data) == choose_images(data, identities=6)  # fewer than usual: all
    assert choose_images(data, identities=3, seed=1) == choose_images(data, identities=3, seed=1)
    assert len({choose_images(data, identities=3, seed=seed) for seed in range(5)}) > 1
    digests = {read_packed_images(_pack(data, tmp_path / name), INPUT).sha256 for name in ("a.npz", "b.npz")}
    assert len(digests) == 1


def test_at_most_three_images_of_a_person_at_a_camera(data: ReidData) -> None:
    """The file stays small; whoever is chosen is in query and gallery."""
    chosen = choose_images(data, identities=6)
    counts = Counter((sample.identity, sample.camera_id) for sample in chosen.gallery)
    assert set(counts.values()) == {3}
    assert {sample.identity for sample in chosen.query} == {sample.identity for sample in chosen.gallery}
    assert len({sample.identity for sample in chosen.query}) == 6


def test_nobody_of_the_training_is_packed(folder: Path, tmp_path: Path) -> None:
    """A test person whose images lie among the training images too is left out, and counted out."""
    copy = shutil.copytree(folder, tmp_path / "patterns")
    for image in (copy / "query").glob("0005_*"):
        shutil.copy(image, copy / "bounding_box_train")
    data = open_folder(copy)
    assert 5 not in {sample.identity for sample in choose_images(data, identities=5).query}
    with pytest.raises(DataError, match=r"from 1 to the 5 of patterns that can be found .* not trained with, found 6"):
        choose_images(data, identities=6)


def test_who_was_seen_by_one_camera_only_is_not_packed(folder: Path, tmp_path: Path) -> None:
    """There would be nothing to find."""
    copy = shutil.copytree(folder, tmp_path / "patterns")
    for image in (*(copy / "query").glob("0006_c1*"), *(copy / "bounding_box_test").glob("0006_c1*")):
        image.unlink()
    assert 6 not in {sample.identity for sample in choose_images(open_folder(copy), identities=5).query}


def test_a_changed_file_is_refused(data: ReidData, tmp_path: Path) -> None:
    """One pixel is enough."""
    path = _pack(data, tmp_path / "acceptance.npz")
    arrays = dict(np.load(path))
    arrays["query_crops"][0, 0, 0, 0] ^= 1
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="was changed after it was packed"):
        read_packed_images(path, INPUT)


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_damaged_file_is_refused(data: ReidData, tmp_path: Path, content: bytes | None) -> None:
    """Empty, something else, or cut short: a sentence, no traceback."""
    path = _pack(data, tmp_path / "acceptance.npz")
    path.write_bytes(path.read_bytes()[:-500] if content is None else content)
    with pytest.raises(DataError, match="not a whole file of export/acceptance/pack_images"):
        read_packed_images(path, INPUT)
    with pytest.raises(DataError, match=r"cannot read .*nowhere\.npz: No such file"):
        read_packed_images(tmp_path / "nowhere.npz", INPUT)


@pytest.mark.parametrize("change", [{"height_px": 64}, {"resize": "bicubic-half-pixel"}])
def test_a_file_for_another_input_is_refused(data: ReidData, tmp_path: Path, change: dict[str, object]) -> None:
    """Its crops would not be those the camera gives; mean and std are the network's own affair."""
    path = _pack(data, tmp_path / "acceptance.npz")
    with pytest.raises(DataError, match="was packed for 32 x 16 crops by bilinear-half-pixel, but the network"):
        read_packed_images(path, INPUT.model_copy(update=change))
    assert read_packed_images(path, INPUT.model_copy(update={"mean": (0.5, 0.5, 0.5)})).sha256


def test_the_script_says_what_it_packed(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The input size is the manifest's; terms of the data travel along."""
    model, output = write_tiny_network(tmp_path), tmp_path / "acceptance.npz"
    assert main([str(folder), "--model", str(model), "--output", str(output), "--identities", "2"]) == 0
    assert "2 people of patterns, 4 query and 12 gallery images at 32 x 16" in capsys.readouterr().out
    with pytest.raises(DataError, match="give another --output"):
        main([str(folder), "--model", str(model), "--output", str(tmp_path), "--identities", "2"])
