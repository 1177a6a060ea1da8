"""A model against its parent."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edge_runtime.contract.errors import ConfigError, DataError, ExportError
from edge_runtime.contract.manifest import space_id, write_manifest
from edge_runtime.engine.engine import open_engine
from export.compare import main
from export.comparison import Tolerance, compare, fidelity
from tests.market_folder import write_market_folder
from tests.tiny_network import (
    HEIGHT_PX,
    WIDTH_PX,
    tiny_graph,
    tiny_manifest,
    write_tiny_network,
)
from train.data.datasets import open_folder
from train.scoring import describe_test_split, score


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
    comparison = compare(parent, parent, open_folder(data))
    assert comparison.lost == Tolerance(rank1=0, mean_ap=0)
    evidence = comparison.child
    assert (evidence.data_set, evidence.queries, evidence.gallery) == ("patterns", 12, 24)
    assert evidence.to_parent is not None
    assert evidence.to_parent.images == 36
    assert evidence.to_parent.largest_difference == 0
    assert evidence.parent_rank1 == comparison.parent.rank1.value
    assert comparison.crossed.mean_ap == pytest.approx(comparison.parent.mean_ap.value)


def test_crossed_retrieval_asks_the_childs_gallery_with_the_parents_queries(
    parent: Path, data: Path, tmp_path: Path
) -> None:
    """By hand: the parent's query descriptors against the gallery of a child that sees differently."""
    test_data = open_folder(data)
    child = write_tiny_network(tmp_path, seed=1, name="child.onnx")
    comparison = compare(parent, child, test_data)
    with open_engine(parent) as one, open_engine(child) as other:
        query, _ = describe_test_split(one.describe, test_data, height_px=HEIGHT_PX, width_px=WIDTH_PX)
        _, gallery = describe_test_split(other.describe, test_data, height_px=HEIGHT_PX, width_px=WIDTH_PX)
    expected = score(query, gallery)
    assert comparison.child.crossed_mean_ap == pytest.approx(expected.mean_ap)
    assert comparison.child.crossed_rank1 == pytest.approx(expected.rank(1))
    assert expected.mean_ap != pytest.approx(comparison.child.mean_ap.value)


def test_an_equal_model_is_accepted(parent: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and both models' scores with intervals for a person to read."""
    assert main([str(parent), str(parent), "--data", str(data)]) == 0
    said = capsys.readouterr().out
    for title in ("rank-1 %", "mAP %", "mINP %"):
        assert re.search(rf"{title} +[\d.]+ \([\d.]+ to [\d.]+\) +[\d.]+ \([\d.]+ to [\d.]+\) +[\d.]+", said)
    assert "cosine to the parent: mean 1.00000, least 1.00000" in said
    assert "accepted" in said


def test_a_model_that_finds_nobody_is_refused(parent: Path, data: Path, tmp_path: Path) -> None:
    """The sentence names what was lost and what may be."""
    with pytest.raises(ExportError, match=r"blind\.onnx is not good enough: .*points of mAP lost where at most 0\.05"):
        main([str(parent), str(_blind(tmp_path)), "--data", str(data)])


def test_the_tolerance_can_be_set(parent: Path, data: Path, tmp_path: Path) -> None:
    """A user may accept a worse model knowingly."""
    options = ["--data", str(data), "--rank1-points", "100", "--map-points", "100"]
    assert main([str(parent), str(_blind(tmp_path)), *options]) == 0


@pytest.mark.parametrize("option", ["--rank1-points", "--map-points"])
def test_a_tolerance_that_is_no_number_is_refused(parent: Path, data: Path, tmp_path: Path, option: str) -> None:
    """Nothing is larger than nan: every model would pass."""
    with pytest.raises(ConfigError, match="take percentage points, found nan"):
        main([str(parent), str(_blind(tmp_path)), "--data", str(data), option, "nan"])


def test_other_spaces_are_not_compared(parent: Path, data: Path, tmp_path: Path) -> None:
    """Descriptors of other weights mean nothing to each other."""
    path = tmp_path / "other.onnx"
    onnx.save(tiny_graph(), path)
    manifest = tiny_manifest(path)
    weights = "b" * 64
    changes = {"weights_sha256": weights, "space_id": space_id(weights, manifest.input, manifest.descriptor)}
    write_manifest(manifest.model_copy(update={**changes, "model_id": f"tiny-patterns-{weights[:8]}"}), path)
    with pytest.raises(ExportError, match="other weights or another input, so they cannot be compared"):
        main([str(parent), str(path), "--data", str(data)])


def test_data_without_queries_are_refused(parent: Path, tmp_path: Path) -> None:
    """A sentence names the folder that is missing."""
    with pytest.raises(DataError, match="which is missing"):
        main([str(parent), str(parent), "--data", str(tmp_path)])


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
