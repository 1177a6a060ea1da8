"""The command `train/evaluate.py` as a researcher types it, on networks that need no torch."""

import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import manifest_path, read_manifest, write_manifest
from edge_runtime.engine.catalog import open_engine
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, write_tiny_network
from train.datasets.catalog import open_folder
from train.evaluate import main
from train.recipes.catalog import all_recipes
from train.recipes.recipe import Evaluation
from train.scoring.scoring import Member, protocol, retrieve_on


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour patterns in Market-1501's layout: 12 queries, 24 gallery images."""
    return write_market_folder(tmp_path_factory.mktemp("data") / "patterns")


def test_scores_are_printed_with_their_intervals_and_the_protocol(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rank-1, 5, 10, 20, mAP and mINP, on how many images, and how it was done."""
    assert main([str(write_tiny_network(tmp_path)), "--data", str(data)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("tiny-patterns-")
    assert " in fp32 by onnxruntime " in said[0]
    assert [line.split()[0] for line in said[1:7]] == ["rank-1", "rank-5", "rank-10", "rank-20", "mAP", "mINP"]
    assert all("95 % interval" in line for line in said[1:7])
    assert said[7:] == [
        "  12 of 12 queries have a right image among 24 in the gallery",
        "  protocol: cosine distance, single query, same camera left out",
    ]


def test_several_models_describe_side_by_side_and_the_scores_go_to_a_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file holds every model by digest, the options, and the same scores as the library gives."""
    models = [write_tiny_network(tmp_path, seed=seed, name=f"{seed}.onnx") for seed in (0, 1)]
    options = ["--flip", "--rerank", "--distance", "euclidean", "--precision-rule", "trapezoid"]
    output = tmp_path / "scores.json"
    assert main([*map(str, models), "--data", str(data), *options, "--output", str(output)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[2].startswith("together on ")
    assert said[3].startswith("  rank-1 ")
    record = json.loads(output.read_text())
    assert [model["sha256"] for model in record["models"]] == [read_manifest(path).artefact.sha256 for path in models]
    evaluation = Evaluation("euclidean", flip=True, rerank=True, precision_rule="trapezoid")
    assert record["protocol"] == protocol(evaluation, networks=2)
    with open_engine(models[0]) as one, open_engine(models[1]) as other:
        members = [Member(engine.describe_raw, engine.manifest.input) for engine in (one, other)]
        expected = retrieve_on(members, open_folder(data), evaluation=evaluation)
    assert record["figures"]["mAP"]["value"] == pytest.approx(expected.mean_ap, abs=1e-6)
    assert record["figures"]["rank-5"]["value"] == pytest.approx(expected.rank(5), abs=1e-9)
    assert (record["queries"], record["valid_queries"], record["gallery"]) == (12, 12, 24)


def test_a_recipe_that_is_scored_otherwise_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options count, never what a recipe says; but the reader learns that its numbers were made in another way."""
    recipe = next(recipe for recipe in all_recipes() if recipe.evaluation.flip)
    model = write_tiny_network(tmp_path)
    manifest = read_manifest(model)
    manifest_path(model).unlink()
    write_manifest(manifest.model_copy(update={"recipe": recipe.name}), model)
    assert main([str(model), "--data", str(data)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "  protocol: cosine distance, single query, same camera left out",
        f"  recipe {recipe.name} is scored by: {protocol(recipe.evaluation)}",
    ]


def test_what_cannot_be_scored_is_refused_first(data: Path, tmp_path: Path) -> None:
    """No images for multiple queries, an unknown data set or part, no folder for the output."""
    common = [str(write_tiny_network(tmp_path)), "--data", str(data)]
    with pytest.raises(DataError, match="patterns has no images for multiple queries"):
        main([*common, "--multi-query", "average"])
    with pytest.raises(DataError, match="unknown data set 'market'"):
        main([*common, "--data-set", "market"])
    with pytest.raises(ConfigError, match="the descriptor has no part head; its parts: "):
        main([*common, "--parts", "head"])
    with pytest.raises(ConfigError, match=r"expected the folder .*nowhere for --output, found none; make it"):
        main([*common, "--output", str(tmp_path / "nowhere" / "scores.json")])
    with pytest.raises(ConfigError, match=r"expected a file for --output, found the folder .*; add a file name"):
        main([*common, "--output", str(tmp_path)])


def test_an_engine_gives_its_descriptors_raw_where_their_length_counts(tmp_path: Path) -> None:
    """Scaled to unit length they are what a camera sends."""
    crops = np.random.default_rng(0).integers(0, 256, (3, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    with open_engine(write_tiny_network(tmp_path)) as engine:
        raw = engine.describe_raw(crops)
        np.testing.assert_array_equal(normalise(raw), engine.describe(crops))
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=1e-3)
