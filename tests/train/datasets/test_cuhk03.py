"""CUHK03 from its own MATLAB file: 5 camera pairs x identities x 10 images, and the new protocol's lists."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import read_image
from tests.train.datasets.conftest import Shrink
from train.datasets.catalog import open_data

COUNTS = {
    "training images": 3,
    "training identities": 1,
    "query images": 2,
    "query identities": 1,
    "gallery images": 1,
}


def picture(pair: int, person: int, number: int) -> np.ndarray:
    """An image whose red, green and blue are its numbers; (6, 4, 3) uint8, RGB. Rows differ from columns."""
    image = np.zeros((6, 4, 3), np.uint8)
    image[...] = (pair, person, number)
    image[0] = 255
    return image


def write_raw(path: Path) -> None:
    """Write a cuhk-03.mat as MATLAB 7.3 does: two pairs of two people, images 1 and 6 of all and 2 of some."""
    with h5py.File(path, "w") as file:
        cells = file.create_group("#refs#")

        def store(data: np.ndarray) -> h5py.Reference:
            return cells.create_dataset(str(len(cells)), data=data).ref

        for kind in ("detected", "labeled"):
            pairs = []
            for pair in (1, 2):
                people = np.empty((2, 10), h5py.ref_dtype)
                for person in (1, 2):
                    for number in range(1, 11):
                        has_image = number in (1, 6) or (number == 2 and person == 1)
                        image = picture(pair, person, number).T if has_image else np.zeros(2, np.uint64)
                        people[person - 1, number - 1] = store(image)
                pairs.append(store(people.T))
            file[kind] = np.array([pairs], h5py.ref_dtype)


def write_protocol(path: Path) -> None:
    """Identity 1 (pair 1, person 1) trains; identity 4 (pair 2, person 1) is looked for."""
    names = ["1_001_1_01.png", "1_001_1_02.png", "1_001_2_06.png", "2_001_1_01.png", "2_001_1_02.png", "2_001_2_06.png"]
    files = np.empty((6, 1), object)
    files[:, 0] = names
    lists = {"train_idx": [[1], [2], [3]], "query_idx": [[4], [6]], "gallery_idx": [[5]]}
    savemat(path, {"filelist": files, "labels": [[1], [1], [1], [4], [4], [4]], **lists})


@pytest.fixture
def folder(tmp_path: Path, shrink: Shrink) -> Path:
    """The published files as they unpack, for both kinds of boxes."""
    root = tmp_path / "cuhk03"
    (root / "cuhk03_release").mkdir(parents=True)
    write_raw(root / "cuhk03_release" / "cuhk-03.mat")
    for kind in ("labeled", "detected"):
        write_protocol(root / f"cuhk03_new_protocol_config_{kind}.mat")
    for name in ("cuhk03_labelled", "cuhk03_detected"):
        shrink(name, COUNTS)
    return root


@pytest.mark.parametrize(("name", "kind"), [("cuhk03_labelled", "labeled"), ("cuhk03_detected", "detected")])
def test_images_come_out_of_the_matlab_file_without_loss(folder: Path, name: str, kind: str) -> None:
    """Upright and in RGB: HDF5 shows MATLAB's arrays transposed."""
    data = open_data(name, folder)
    assert [sample.path.name for sample in data.train] == ["1_001_1_01.png", "1_001_1_02.png", "1_001_2_06.png"]
    assert data.train[0].path.parent == folder / f"images_{kind}"
    for sample in (*data.train, *data.query, *data.gallery):
        pair, person, _, number = map(int, sample.path.stem.split("_"))
        image = read_image(sample.path)
        assert image is not None
        assert (image == picture(pair, person, number)).all()


def test_the_protocols_lists_count_from_one_and_the_view_is_the_camera(folder: Path) -> None:
    """MATLAB counts from 1; cameras of a sample count from 0."""
    data = open_data("cuhk03_detected", folder)
    assert {sample.identity for sample in data.train} == {1}
    assert [(sample.path.name, sample.identity, sample.camera_id) for sample in data.query] == [
        ("2_001_1_01.png", 4, 0),
        ("2_001_2_06.png", 4, 1),
    ]
    assert [sample.path.name for sample in data.gallery] == ["2_001_1_02.png"]


def test_images_are_extracted_once(folder: Path) -> None:
    """The second time neither the MATLAB file nor an hour is needed."""
    first = open_data("cuhk03_detected", folder)
    (folder / "cuhk03_release" / "cuhk-03.mat").unlink()
    assert open_data("cuhk03_detected", folder) == first


def test_images_go_to_the_cache_that_the_user_names(folder: Path, tmp_path: Path) -> None:
    """Data folders are often read-only."""
    data = open_data("cuhk03_detected", folder, cache=tmp_path / "own" / "cache")
    assert data.train[0].path.parent == tmp_path / "own" / "cache" / "images_detected"
    assert not (folder / "images_detected").exists()


def test_two_processes_may_extract_at_once(folder: Path) -> None:
    """Several processes of one training run open their data at the same time; the slower one takes what is there."""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda _: open_data("cuhk03_detected", folder), range(2))
    assert one == other
    assert [path.name for path in folder.glob("images_*")] == ["images_detected"]


def test_a_stopped_extraction_does_not_look_complete(folder: Path) -> None:
    """A broken MATLAB file leaves no folder that the next run would take for the images."""
    raw = folder / "cuhk03_release" / "cuhk-03.mat"
    with h5py.File(raw, "a") as file:
        del file["detected"]
    with pytest.raises(DataError, match=r"holds no 'detected'; it is not cuhk-03\.mat"):
        open_data("cuhk03_detected", folder)
    assert not list(folder.glob("images_*"))


def test_a_lost_image_of_the_cache_is_named(folder: Path) -> None:
    """And the way out: remove the folder."""
    open_data("cuhk03_detected", folder).gallery[0].path.unlink()
    with pytest.raises(DataError, match=r"lacks 1 images of the protocol, 2_001_1_02\.png for one; remove the folder"):
        open_data("cuhk03_detected", folder)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("cuhk03_release/cuhk-03.mat", r"expected the file .*cuhk-03\.mat, which is missing"),
        ("cuhk03_new_protocol_config_detected.mat", r"expected the file .*config_detected\.mat, which is missing"),
    ],
)
def test_a_missing_file_is_named(folder: Path, file: str, message: str) -> None:
    """The protocol's file comes from elsewhere, and is often forgotten."""
    (folder / file).unlink()
    with pytest.raises(DataError, match=message + ".*Li et al., CVPR 2014; new protocol: Zhong et al., CVPR 2017"):
        open_data("cuhk03_detected", folder)


def test_other_files_under_these_names_are_refused(folder: Path) -> None:
    """A web page that was saved instead of the file is the usual case."""
    (folder / "cuhk03_release" / "cuhk-03.mat").write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"cannot be read as a MATLAB 7\.3 \(HDF5\) file"):
        open_data("cuhk03_detected", folder)
    (folder / "cuhk03_new_protocol_config_detected.mat").write_bytes(b"<html>")
    with pytest.raises(DataError, match="cannot be read as a MATLAB file"):
        open_data("cuhk03_detected", folder)
    savemat(folder / "cuhk03_new_protocol_config_detected.mat", {"labels": [1]})
    with pytest.raises(DataError, match="it is not the new protocol's list"):
        open_data("cuhk03_detected", folder)


def test_a_cache_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    """And the way out: another folder."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot write the images .*name another folder as cache"):
        open_data("cuhk03_detected", folder, cache=tmp_path / "file")
