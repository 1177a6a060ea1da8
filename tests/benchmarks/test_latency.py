"""The latency benchmark's record and table; nothing here asserts a speed."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.latency import main
from benchmarks.measuring.latency_record import parse_results
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Input, Terms, hash_file, read_manifest, write_manifest
from tests.conftest import ROOT
from tests.support.small_osnet import export_small_osnet
from tests.support.tiny_network import write_tiny_network
from train.models.catalog import build
from train.models.checkpoint import checkpoint_manifest, save


def test_the_record_holds_what_a_reader_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Device, versions, commit, digests; of each network at each batch median, p95, p99, ratio and distance to the
    limit; of each network alone MLPerf's two figures and its memory."""
    model = export_small_osnet(tmp_path)
    record_path = tmp_path / "records" / "record.json"  # a fresh clone has no folder of records
    options = ["--rounds", "2", "--batches", "1", "2", "--alone-s", "0.01", "--output", str(record_path)]
    assert main([str(model), *options]) == 0
    record = json.loads(record_path.read_text())
    assert record["device"]
    assert {"python", "torch", "onnxruntime", "numpy"} <= set(record["versions"])
    assert (record["architecture"], record["input"], record["threads"]) == ("osnet_x0_25", [64, 32], 1)
    assert {"fp32", "bf16", "int8"} <= set(record["peaks"]["gops"])
    networks = {network["name"]: network for network in record["networks"]}
    assert {"PyTorch eager", "plain export, ONNX Runtime", "osnet.onnx"} <= set(networks)
    assert networks["PyTorch eager"]["weights"] == "random"
    assert networks["osnet.onnx"]["sha256"] == hash_file(model)
    assert {(timing["name"], timing["batch"]) for timing in record["timings"]} == {
        (name, batch) for name in networks for batch in (1, 2)
    }
    medians = {(timing["name"], timing["batch"]): timing["median_ms"] for timing in record["timings"]}
    for timing in record["timings"]:
        assert timing["p99_ms"] >= timing["p95_ms"] >= timing["median_ms"] > 0
        ratio = medians["PyTorch eager", timing["batch"]] / timing["median_ms"]
        assert math.isclose(timing["times_eager"], ratio, rel_tol=0.02, abs_tol=0.006)
        assert timing["layerwise_ms"] >= timing["arithmetic_ms"] > 0
    assert {alone["name"] for alone in record["alone"]} == set(networks)
    assert all(alone["multi_stream_queries"] >= 10 and alone["resident_mib"] > 20 for alone in record["alone"])
    assert "osnet.onnx" in capsys.readouterr().out


def test_the_grid_holds_every_network_and_precision(tmp_path: Path) -> None:
    """Widths, sizes and precisions with random weights."""
    path = tmp_path / "grid.json"
    options = ["--architectures", "osnet_x0_25", "--sizes", "64x32", "--backends", "onnxruntime"]
    assert main(["--grid", *options, "--rounds", "1", "--batches", "1", "--alone-s", "0", "--output", str(path)]) == 0
    record = json.loads(path.read_text())
    [case] = parse_results(record, source=path)
    assert (case.architecture, case.input, case.alone) == ("osnet_x0_25", (64, 32), ())
    assert {"onnxruntime fp32", "onnxruntime int8"} <= {network.name for network in case.networks}
    assert all(network.sha256 is None for network in case.networks)
    assert record["faults"] == {}


# A module that is None cannot be imported, as if it were not installed.
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from latency import main; sys.exit(main(sys.argv[1:]))"


def test_without_torch_engines_are_timed_alone_each_network_a_case(tmp_path: Path) -> None:
    """TensorRT's Python may have none: no ratio and no limit then, and the record says why. An engine that does not run
    leaves its reason, and the others their times."""
    paths = []
    for name in ("one", "other", "refused"):
        (tmp_path / name).mkdir()
        paths.append(write_tiny_network(tmp_path / name))
    manifest = read_manifest(paths[1])
    write_manifest(manifest.model_copy(update={"architecture": "another"}), paths[1])
    build_ = manifest.build.model_copy(update={"backend": "tensorrt"})
    write_manifest(manifest.model_copy(update={"architecture": "refused", "build": build_}), paths[2])
    output = tmp_path / "record.json"
    options = ["--rounds", "1", "--batches", "1", "--alone-s", "0", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *map(str, paths), *options],
        env=dict(os.environ) | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "refused 32x16, tiny.onnx was not timed: " in done.stderr
    record = json.loads(output.read_text())
    assert "TensorRT" in record["faults"]["refused 32x16, tiny.onnx"]
    assert record["peers"] == "none: this Python has no torch"
    cases = parse_results(record, source=output)
    assert [case.architecture for case in cases] == [manifest.architecture, "another", "refused"]
    [timing] = cases[0].timings
    assert (timing.name, timing.times_eager, timing.times_arithmetic) == ("tiny.onnx", None, None)


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
    options = ["--checkpoint", str(path), "--rounds", "1", "--output", str(tmp_path / "record.json")]
    with pytest.raises(ConfigError, match=r"the engines are osnet_x0_25, but .*model\.pth is osnet_x0_5"):
        main([str(export_small_osnet(tmp_path)), *options])


def test_engines_and_a_grid_exclude_each_other() -> None:
    """The grid makes its own engines."""
    with pytest.raises(ConfigError, match="--grid makes its own engines"):
        main(["--grid", "osnet.onnx"])


def test_an_old_record_that_is_none_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    """Not after the run."""
    (tmp_path / "old.json").write_text('{"benchmark": "demo"}')
    with pytest.raises(ConfigError, match=r"old\.json is no record of benchmarks/latency\.py"):
        main(["--compare", str(tmp_path / "old.json")])
