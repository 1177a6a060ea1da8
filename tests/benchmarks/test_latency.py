"""The latency benchmark's record and table; nothing here asserts a speed."""

import json
import math
from pathlib import Path

import pytest

from benchmarks.latency import main
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input, Terms, file_sha256, read_manifest, write_manifest
from tests.small_osnet import export_small_osnet
from tests.tiny_network import write_tiny_network
from train.checkpoint import checkpoint_manifest, save
from train.models.catalog import build


def test_the_record_holds_what_a_reader_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Device, versions, commit, digests, and median, p95 and ratio of each network at batch 1 and 8."""
    model = export_small_osnet(tmp_path)
    record_path = tmp_path / "records" / "record.json"  # a fresh clone has no folder of records
    assert main([str(model), "--rounds", "5", "--output", str(record_path)]) == 0
    record = json.loads(record_path.read_text())
    assert record["device"]
    assert {"python", "torch", "onnxruntime", "numpy"} <= set(record["versions"])
    assert (record["architecture"], record["input"], record["threads"]) == ("osnet_x0_25", [64, 32], 1)
    eager, engine = record["networks"]
    assert eager["weights"].startswith("random")
    assert engine["sha256"] == file_sha256(model)
    assert {(timing["name"], timing["batch"]) for timing in record["timings"]} == {
        (name, batch) for name in ("PyTorch eager", "osnet.onnx") for batch in (1, 8)
    }
    medians = {(timing["name"], timing["batch"]): timing["median_ms"] for timing in record["timings"]}
    for timing in record["timings"]:
        assert timing["p95_ms"] >= timing["median_ms"] > 0
        ratio = medians["PyTorch eager", timing["batch"]] / timing["median_ms"]
        assert math.isclose(timing["times_eager"], ratio, rel_tol=0.02)
    assert "osnet.onnx" in capsys.readouterr().out


def test_engines_of_several_architectures_are_refused(tmp_path: Path) -> None:
    """A ratio to the eager form of another network would mean nothing."""
    paths = [write_tiny_network(tmp_path, name=name) for name in ("one.onnx", "other.onnx")]
    other = read_manifest(paths[1]).model_copy(update={"architecture": "another"})
    write_manifest(other, paths[1])
    with pytest.raises(ConfigError, match=r"one architecture and input size, found several: one\.onnx, other\.onnx"):
        main([*map(str, paths), "--output", str(tmp_path / "record.json")])


def test_engines_of_one_name_are_refused(tmp_path: Path) -> None:
    """Table and record know them by name: one would silently replace the other."""
    (tmp_path / "other").mkdir()
    paths = [write_tiny_network(tmp_path), write_tiny_network(tmp_path / "other", seed=1)]
    with pytest.raises(ConfigError, match=r"expected engines with different file names, found .*tiny\.onnx"):
        main([*map(str, paths), "--output", str(tmp_path / "record.json")])


def test_eager_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    """Its speed would be another network's."""
    path = tmp_path / "model.pth"
    network = build("osnet_x0_5", classes=2).eval()
    save({"state_dict": network.state_dict()}, path)
    facts = {"architecture": "osnet_x0_5", "data_set": "none", "recipe": "none"}
    input_, terms = Input(height_px=64, width_px=32), Terms(weights="none", training_data="none")
    write_manifest(checkpoint_manifest(path, network, input_=input_, terms=terms, **facts), path)
    options = ["--checkpoint", str(path), "--output", str(tmp_path / "record.json")]
    with pytest.raises(ConfigError, match=r"the engines are osnet_x0_25, but .*model\.pth is osnet_x0_5"):
        main([str(export_small_osnet(tmp_path)), *options])
