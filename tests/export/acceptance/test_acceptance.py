"""Acceptance as a whole: a preprocessing mistake does not pass it. With the demo's trained network."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edge_runtime.contract import preprocess
from edge_runtime.contract.errors import DataError, ExportError
from edge_runtime.contract.manifest import Precision, hash_file, read_manifest, write_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.acceptance.acceptance_images import AcceptanceImages, Crops, images_of_data
from export.acceptance.comparison import compare_descriptions
from export.acceptance.tolerance import TOLERANCES
from export.compare import main
from tests.conftest import ROOT
from tests.support.market_folder import write_market_folder
from tests.support.small_images import write_image
from train.datasets.catalog import open_folder

MODEL = ROOT / "edge_runtime" / "models" / "osnet_x0_25.onnx"
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
RETRIEVAL_IS_NOT_ASKED = ("--rank1-points", "100", "--map-points", "100")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour patterns of six test people, three pictures at each of two cameras, half as large as the input."""
    return write_market_folder(tmp_path_factory.mktemp("data") / "patterns", train=1)


def _child(path: Path, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[np.generic]]) -> Path:
    """The demo's network with a mistake in front of it: `nodes` turn `cast` into `mistaken`."""
    model = onnx.load(MODEL)
    first = model.graph.node[0]
    assert (first.op_type, first.input[0]) == ("Cast", "pixels")
    for node in model.graph.node[1:]:
        for place, name in enumerate(node.input):
            if name == first.output[0]:
                node.input[place] = "mistaken"
    first.output[0] = "cast"
    for place, node in enumerate(nodes, start=1):
        model.graph.node.insert(place, node)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.save(model, path)
    manifest = read_manifest(MODEL)
    artefact = manifest.artefact.model_copy(update={"file": path.name, "sha256": hash_file(path)})
    write_manifest(manifest.model_copy(update={"artefact": artefact, "evidence": None}), path)
    return path


def _rescaled(path: Path, *, factor: NDArray[np.float64], shift: NDArray[np.float64]) -> Path:
    """Pixel values x become factor * x + shift, colour by colour, before the network's own normalisation."""
    nodes = [
        helper.make_node("Mul", ["cast", "factor"], ["multiplied"]),
        helper.make_node("Add", ["multiplied", "shift"], ["mistaken"]),
    ]
    return _child(path, nodes, {"factor": factor.astype(np.float32), "shift": shift.astype(np.float32)})


def _right(path: Path) -> Path:
    return _rescaled(path, factor=np.ones(3), shift=np.zeros(3))


def _bgr(path: Path) -> Path:
    order: NDArray[np.int64] = np.array([2, 1, 0])
    return _child(path, [helper.make_node("Gather", ["cast", "order"], ["mistaken"], axis=3)], {"order": order})


def _normalised_twice(path: Path) -> Path:
    return _rescaled(path, factor=1 / STD, shift=-255 * MEAN / STD)


def _mean_of_a_half(path: Path) -> Path:
    """The other usual normalisation: mean and standard deviation 0.5."""
    return _rescaled(path, factor=STD / 0.5, shift=255 * (MEAN - 0.5 * STD / 0.5))


def _from_0_to_1(path: Path) -> Path:
    return _rescaled(path, factor=np.full(3, 1 / 255), shift=np.zeros(3))


def _compare(child: Path, data: Path, *options: str, parent: Path = MODEL) -> int:
    return main([str(parent), str(child), "--data", str(data), *RETRIEVAL_IS_NOT_ASKED, *options])


def test_the_same_network_passes(data: Path, tmp_path: Path) -> None:
    """What these tests put in front of the network is not what they catch."""
    assert _compare(_right(tmp_path / "right.onnx"), data) == 0


@pytest.mark.parametrize("mistake", [_bgr, _normalised_twice, _mean_of_a_half, _from_0_to_1])
def test_pixels_prepared_wrongly_are_caught(mistake: Callable[[Path], Path], data: Path, tmp_path: Path) -> None:
    """At the widest tolerance there is, that of INT8, by cosine alone."""
    wide = TOLERANCES["int8"]
    options = ("--mean-cosine", str(wide.cosine_mean), "--least-cosine", str(wide.cosine_least))
    with pytest.raises(ExportError, match=r"not good enough: mean cosine to float32 .* of the test images"):
        _compare(mistake(tmp_path / "mistaken.onnx"), data, *options)


def _align_corners(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bilinear with the corner pixels' centres on each other."""
    rows, columns = (np.linspace(0, size - 1, wanted) for size, wanted in zip(image.shape, (256, 128), strict=False))
    places = (grid.astype(np.float32) for grid in np.meshgrid(columns, rows))
    return np.asarray(cv2.remap(image, *places, cv2.INTER_LINEAR), np.uint8)


RESIZES = {
    "nearest": lambda image: cv2.resize(image, (128, 256), interpolation=cv2.INTER_NEAREST),
    "bicubic": lambda image: cv2.resize(image, (128, 256), interpolation=cv2.INTER_CUBIC),
    "corners": _align_corners,
}


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "precision"), [("nearest", "int8"), ("bicubic", "int8"), ("corners", "fp16")])
def test_another_resize_is_caught(name: str, precision: Precision, cuhk03: Path) -> None:
    """On real people, whose edges it changes, by twice what the precision may cost; corners alone change less."""
    samples = open_folder(cuhk03).query[:48]
    images = [image for sample in samples if (image := preprocess.read_image(sample.path)) is not None]
    with open_engine(MODEL) as engine:
        right, wrong = (
            engine.describe(np.stack([fit(image) for image in images])) for fit in (_by_contract, RESIZES[name])
        )
    cosines = (right * wrong).sum(axis=1)
    assert 1 - cosines.mean() > 2 * (1 - TOLERANCES[precision].cosine_mean)


def _by_contract(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return preprocess.resize(image, height_px=256, width_px=128, rule="bilinear-half-pixel")


@pytest.mark.parametrize("name", RESIZES)
def test_an_engine_that_resizes_otherwise_is_caught(name: str) -> None:
    """Two descriptions of the same images, one through another resize, as a crop kernel with a mistake would do."""
    images = AcceptanceImages("chequers", _chequers(camera=0), _chequers(camera=1))
    with open_engine(MODEL) as engine:
        comparison = compare_descriptions(_after(_by_contract, engine), _after(RESIZES[name], engine), images=images)
    assert "mean cosine to float32" in (comparison.excess(TOLERANCES["fp16"]) or "")


def _chequers(*, camera: int) -> Crops:
    """Six people of one-pixel squares, half as large as the input: all that is there is edges."""
    squares = np.random.default_rng(0).integers(0, 256, (6, 128, 64, 3))
    noisy = squares + np.random.default_rng(camera).normal(0, 8, squares.shape)
    pixels = np.clip(noisy, 0, 255).astype(np.uint8)
    return Crops(np.arange(1, 7), np.full(6, camera), pixels.__getitem__)


def _after(
    fit: Callable[[NDArray[np.uint8]], NDArray[np.uint8]], engine: Engine
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    return lambda images: engine.describe(np.stack([fit(image) for image in images]))


@pytest.mark.shared_data
def test_a_machine_that_resizes_otherwise_is_caught_by_the_parents_score(
    cuhk03: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both engines get the same wrong crops and agree, but the parent does not score what its manifest says."""
    data = _some_people(cuhk03, tmp_path / "people")
    parent = _scored(_right(tmp_path / "parent.onnx"), data)
    assert _compare(parent, data, parent=parent) == 0
    monkeypatch.setitem(preprocess._INTERPOLATION, "bilinear-half-pixel", cv2.INTER_NEAREST)
    with pytest.raises(ExportError, match=r"scores mAP .* but its manifest says .*resized otherwise here"):
        _compare(parent, data, parent=parent)


def test_a_parent_that_does_not_score_what_its_manifest_says_is_refused(data: Path, tmp_path: Path) -> None:
    """On the same images only: scores on others say nothing about these."""
    parent = _scored(_right(tmp_path / "parent.onnx"), data)
    manifest = read_manifest(parent)
    assert manifest.evidence is not None
    other = manifest.evidence.mean_ap.model_copy(update={"value": 0.25})
    evidence = manifest.evidence.model_copy(update={"mean_ap": other})
    write_manifest(manifest.model_copy(update={"evidence": evidence}), parent)
    with pytest.raises(ExportError, match=r"scores mAP .* on patterns, but its manifest says 25\.00"):
        _compare(parent, data, parent=parent)
    elsewhere = evidence.model_copy(update={"data_set": "elsewhere"})
    write_manifest(manifest.model_copy(update={"evidence": elsewhere}), parent)
    assert _compare(parent, data, parent=parent) == 0


def _some_people(cuhk03: Path, folder: Path) -> Path:
    """The first forty test people of CUHK03, as a data set of its own."""
    people = sorted({path.name[:4] for path in (cuhk03 / "query").glob("*.jpg")})[:40]
    for split in ("bounding_box_train", "bounding_box_test", "query"):
        (folder / split).mkdir(parents=True)
        found = sorted((cuhk03 / split).glob("*.jpg"))
        wanted = found[:1] if split == "bounding_box_train" else [path for path in found if path.name[:4] in people]
        for path in wanted:
            shutil.copy(path, folder / split)
    return folder


def _scored(parent: Path, data: Path) -> Path:
    """The same network, its scores on the data set in its manifest."""
    with open_engine(parent) as engine:
        images = images_of_data(open_folder(data), engine.manifest.input)
        evidence = compare_descriptions(engine.describe, engine.describe, images=images).parent
    write_manifest(read_manifest(parent).model_copy(update={"evidence": evidence}), parent)
    return parent


def test_crops_of_the_site_may_differ_more(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four times as far from 1; there are no labels, so nothing else is asked."""
    site = tmp_path / "site"
    for number in range(3):
        write_image(site / f"{number}.png", (60 * number, 90, 200), size=(90, 40))
    child = _rescaled(tmp_path / "child.onnx", factor=np.full(3, 1.01), shift=np.zeros(3))
    narrow = ("--mean-cosine", "0.5", "--least-cosine", "0.999999")
    assert _compare(child, data, "--site", str(site), "--mean-cosine", "0.5", "--least-cosine", "0.5") == 0
    assert "cosine to the parent, site: mean" in capsys.readouterr().out
    with pytest.raises(
        ExportError, match=r"least cosine to float32 0\.\d+ of the site's crops where at least 0\.999996"
    ):
        _compare(child, data, "--site", str(site), *narrow)
    with pytest.raises(DataError, match=r"expected images \(.*\) in .*, found none"):
        _compare(child, data, "--site", str(tmp_path / "site" / ".."))


def test_engines_beside_it_join_the_matrix(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every engine's queries meet every engine's gallery; one without the same space is refused."""
    child = _right(tmp_path / "child.onnx")
    int8 = MODEL.with_name("osnet_x0_25_int8.onnx")
    assert _compare(child, data, "--beside", str(int8)) == 0
    said = capsys.readouterr().out
    for name in ("fp32 onnxruntime", "fp32 onnxruntime #2", "int8 onnxruntime"):
        assert any(line.startswith(name) for line in said.splitlines()), name
