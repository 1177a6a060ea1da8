"""The accuracy record: every engine's scores, and across precisions."""

import json
from pathlib import Path

import pytest

from benchmarks.accuracy import main
from edge_runtime.contract.errors import ConfigError, ManifestError
from edge_runtime.contract.manifest import hash_file
from tests.support.market_folder import write_market_folder
from tests.support.small_osnet import export_small_osnet
from tests.support.tiny_network import write_tiny_network


def test_the_record_holds_each_engine_and_every_pair_that_may_meet(tmp_path: Path) -> None:
    """Scores with intervals; queries of one precision against a gallery of the other; no pair across spaces."""
    data = write_market_folder(tmp_path / "patterns", test=4, images=2)
    model = export_small_osnet(tmp_path, "--half")
    half = tmp_path / "osnet_fp16.onnx"
    stranger = write_tiny_network(tmp_path)
    path = tmp_path / "accuracy.json"
    assert main([str(model), str(half), str(stranger), "--data", str(data), "--output", str(path)]) == 0
    record = json.loads(path.read_text())
    assert (record["data_set"], record["queries"]) == ("patterns", 8)
    assert record["commit"]
    first, second, third = record["engines"]
    assert (first["file"], first["precision"], first["input"]) == ("osnet.onnx", "fp32", [64, 32])
    assert (second["precision"], second["backend"]) == ("fp16", "onnxruntime")
    assert first["sha256"] == hash_file(model)
    for engine in record["engines"]:
        for score in ("rank1", "mean_ap", "mean_inp"):
            assert 0 <= engine[score]["low"] <= engine[score]["value"] <= engine[score]["high"] <= 1
    assert (first["to_first"], third["to_first"]) == (None, None)
    assert second["to_first"]["cosine_min"] > 0.99
    pairs = {(pair["query"], pair["gallery"]) for pair in record["crossings"]}
    assert pairs == {("osnet.onnx", "osnet_fp16.onnx"), ("osnet_fp16.onnx", "osnet.onnx")}


def test_an_engine_that_does_not_run_does_not_cost_the_others_their_scores(tmp_path: Path) -> None:
    """Its reason stands in the record; the exit code is 1. Where none runs, there is no record."""
    data = write_market_folder(tmp_path / "patterns", test=4, images=2)
    model, path = write_tiny_network(tmp_path), tmp_path / "accuracy.json"
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(model.read_bytes()[:100])
    assert main([str(damaged), str(model), "--data", str(data), "--output", str(path)]) == 1
    record = json.loads(path.read_text())
    assert [engine["file"] for engine in record["engines"]] == [model.name]
    assert "damaged.onnx has no manifest" in record["faults"]["damaged.onnx"]
    with pytest.raises(ManifestError, match=r"damaged\.onnx has no manifest"):
        main([str(damaged), "--data", str(data)])


def test_engines_of_one_name_are_refused(tmp_path: Path) -> None:
    """The record knows them by name."""
    with pytest.raises(ConfigError, match="expected engines with different file names"):
        main(["a/model.onnx", "b/model.onnx", "--data", str(tmp_path)])
