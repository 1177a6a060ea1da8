"""A model against its parent."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.contract.errors import DataError, ExportError
from edge_runtime.contract.manifest import Input, space_id, write_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from export.acceptance.acceptance_images import AcceptanceImages, describe_crops, images_of_data
from export.acceptance.comparison import compare_engines, fidelity
from export.compare import main
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import (
    HEIGHT_PX,
    WIDTH_PX,
    tiny_graph,
    tiny_manifest,
    write_tiny_network,
)
from train.datasets.catalog import open_folder
from train.scoring.metrics import Retrieval
from train.scoring.scoring import score

INPUT = Input(height_px=HEIGHT_PX, width_px=WIDTH_PX)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour patterns in Market-1501's layout: 12 queries, 24 gallery images."""
    return write_market_folder(tmp_path_factory.mktemp("data") / "patterns")


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A tiny network."""
    return write_tiny_network(tmp_path)


def _blind(folder: Path) -> Path:
    """A child whose descriptors are all alike but for rounding: it finds nobody."""
    model = tiny_graph()
    for tensor in model.graph.initializer:
        if tensor.name == "fc_w":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1e-9), "fc_w"))
    path = folder / "blind.onnx"
    onnx.save(model, path)
    write_manifest(tiny_manifest(path), path)
    return path


def test_a_model_loses_nothing_against_itself(parent: Path, data: Path) -> None:
    """Same scores, cosine 1, no difference; the evidence names data, counts and parent's scores."""
    comparison = compare_engines(parent, parent, images=images_of_data(open_folder(data), INPUT))
    assert (comparison.rank1_points_lost, comparison.map_points_lost) == (0, 0)
    evidence = comparison.child
    assert (evidence.data_set, evidence.queries, evidence.gallery) == ("patterns", 12, 24)
    assert evidence.to_parent is not None
    assert evidence.to_parent.images == 36
    assert evidence.to_parent.largest_difference == 0
    assert evidence.parent_rank1 == comparison.parent.rank1.value
    assert evidence.crossed_mean_ap == pytest.approx(comparison.parent.mean_ap.value)
    for change in (evidence.rank1_change, evidence.mean_ap_change, evidence.mean_inp_change):
        assert change is not None
        assert (change.value, change.low, change.high) == (0, 0, 0)


def test_every_precisions_queries_meet_every_gallery(parent: Path, data: Path, tmp_path: Path) -> None:
    """By hand: one model's query descriptors against another's gallery, and the change query by query."""
    images = images_of_data(open_folder(data), INPUT)
    child = write_tiny_network(tmp_path, seed=1, name="child.onnx")
    third = write_tiny_network(tmp_path, seed=2, name="third.onnx")
    found = compare_engines(parent, child, images=images, others=[third]).child
    sides = []
    for path in (parent, child, third):
        with open_engine(path) as engine:
            sides.append([describe_crops(engine.describe, crops, label="") for crops in (images.query, images.gallery)])
    names = ["fp32 onnxruntime", "fp32 onnxruntime #2", "fp32 onnxruntime #3"]
    cells = {(cell.query, cell.gallery): cell for cell in found.precisions}
    alone = score(*sides[0])
    for query, (queries, _) in zip(names, sides, strict=True):
        for gallery, (_, galleries) in zip(names, sides, strict=True):
            expected, cell = score(queries, galleries), cells[query, gallery]
            assert cell.mean_ap.value == pytest.approx(expected.mean_ap)
            assert cell.rank1.value == pytest.approx(expected.rank(1))
            changes = expected.average_precision - alone.average_precision
            assert cell.mean_ap_change.value == pytest.approx(changes.mean())
            assert cell.mean_ap_change.low <= changes.mean() <= cell.mean_ap_change.high
    assert len(cells) == 9
    crossed = cells[names[0], names[1]]
    assert (found.crossed_rank1, found.crossed_mean_ap) == (crossed.rank1.value, crossed.mean_ap.value)


def test_a_change_is_measured_query_by_query(parent: Path, data: Path, tmp_path: Path) -> None:
    """Its interval is that of paired differences, drawn by hand here."""
    images = images_of_data(open_folder(data), INPUT)
    child = write_tiny_network(tmp_path, seed=1, name="child.onnx")
    found = compare_engines(parent, child, images=images).child.mean_ap_change
    results = []
    for path in (parent, child):
        with open_engine(path) as engine:
            results.append(_score(engine, images))
    changes = results[1].average_precision - results[0].average_precision
    random = np.random.default_rng(9)
    drawn = [changes[random.integers(0, len(changes), len(changes))].mean() for _ in range(4000)]
    assert found is not None
    assert found.value == pytest.approx(changes.mean())
    width = np.percentile(drawn, 97.5) - np.percentile(drawn, 2.5)
    assert found.low == pytest.approx(np.percentile(drawn, 2.5), abs=0.15 * width)
    assert found.high == pytest.approx(np.percentile(drawn, 97.5), abs=0.15 * width)


def _score(engine: Engine, images: AcceptanceImages) -> Retrieval:
    return score(*(describe_crops(engine.describe, crops, label="") for crops in (images.query, images.gallery)))


def test_an_equal_model_is_accepted(parent: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and both models' scores with intervals for a person to read."""
    assert main([str(parent), str(parent), "--data", str(data)]) == 0
    said = capsys.readouterr().out
    for title in ("rank-1 %", "mAP %", "mINP %"):
        assert re.search(rf"{title} +[\d.]+ \([\d.]+ to [\d.]+\) +[\d.]+ \([\d.]+ to [\d.]+\) +[+][\d.]+", said)
    assert "cosine to the parent, test images: mean 1.00000, least 1.00000" in said
    assert "accepted right pairs at 0.001 of the wrong ones: needs 10,000 wrong pairs, more than here" in said
    assert "accepted" in said


def test_a_model_that_finds_nobody_is_refused(parent: Path, data: Path, tmp_path: Path) -> None:
    """The sentence names what was lost and what may be."""
    with pytest.raises(
        ExportError, match=r"blind\.onnx is not good enough: .*points of mAP lost .* where at most [\d.]+ may be"
    ):
        main([str(parent), str(_blind(tmp_path)), "--data", str(data)])


def test_the_tolerance_can_be_set(parent: Path, data: Path, tmp_path: Path) -> None:
    """A user may accept a worse model knowingly."""
    options = ["--data", str(data), "--rank1-points", "100", "--map-points", "100"]
    options += ["--mean-cosine", "-1", "--least-cosine", "-1"]
    assert main([str(parent), str(_blind(tmp_path)), *options]) == 0


def test_other_spaces_are_not_compared(parent: Path, data: Path, tmp_path: Path) -> None:
    """Descriptors of other weights mean nothing to each other."""
    path = tmp_path / "other.onnx"
    onnx.save(tiny_graph(), path)
    manifest = tiny_manifest(path)
    weights = "b" * 64
    changes = {"weights_sha256": weights, "space_id": space_id(weights, manifest.input, descriptor=manifest.descriptor)}
    write_manifest(manifest.model_copy(update={**changes, "model_id": f"tiny-patterns-{weights[:8]}"}), path)
    with pytest.raises(ExportError, match="other weights or another input, so they cannot be compared"):
        main([str(parent), str(path), "--data", str(data)])


def test_data_without_queries_are_refused(parent: Path, tmp_path: Path) -> None:
    """A sentence names the folder that is missing."""
    with pytest.raises(DataError, match="which is missing"):
        main([str(parent), str(parent), "--data", str(tmp_path / "nowhere")])


def test_fidelity_follows_its_definition() -> None:
    """Cosine per row, largest difference over all numbers, by plain loops."""
    rng = np.random.default_rng(0)
    parent, child = rng.normal(size=(2, 5, 7)).astype(np.float32)
    parent /= np.linalg.norm(parent, axis=1, keepdims=True)
    child /= np.linalg.norm(child, axis=1, keepdims=True)
    cosines = [sum(float(a) * float(b) for a, b in zip(*rows, strict=True)) for rows in zip(parent, child, strict=True)]
    largest = max(abs(float(a) - float(b)) for a, b in zip(parent.ravel(), child.ravel(), strict=True))
    found = fidelity(parent, child)
    assert found.cosine_mean == pytest.approx(sum(cosines) / 5, abs=1e-6)
    assert found.cosine_min == pytest.approx(min(cosines), abs=1e-6)
    assert found.largest_difference == pytest.approx(largest, abs=1e-6)
    assert found.images == 5


def test_descriptors_that_are_no_numbers_are_refused() -> None:
    """An overflow in half precision must not hide in a mean."""
    good = np.eye(3, dtype=np.float32)
    bad = good.copy()
    bad[1, 0] = np.nan
    with pytest.raises(ExportError, match="1 of 3 descriptors of the new model are not finite"):
        fidelity(good, bad)
