"""The peer by NNCF: what cannot be compared with it is refused, and so is an environment without it."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nncf import main, quantize_with_nncf
from benchmarks.peers.plain_export import PeerSource
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Build, Input, space_id, write_manifest
from tests.support.tiny_network import tiny_manifest, write_tiny_network

CROPS = np.zeros((2, 64, 32, 3), np.uint8)


def options(engine: Path, checkpoint: Path) -> list[str]:
    rest = ["--image-list", "a", "--data", "b", "--nncf-python", "c"]
    return [str(engine), "--checkpoint", str(checkpoint), *rest]


def source_in(folder: Path) -> PeerSource:
    return PeerSource("osnet_x0_25", Input(height_px=64, width_px=32), None, folder / "plain.onnx")


def test_only_int8_for_openvino_is_compared(tmp_path: Path) -> None:
    """The ratio is one between INT8 files in one runtime."""
    path = write_tiny_network(tmp_path)
    with pytest.raises(ConfigError, match="expected an INT8 engine for OpenVINO, found fp32 for onnxruntime"):
        main(options(path, path))


def test_another_checkpoint_is_refused(tmp_path: Path) -> None:
    """Losses of two trainings say nothing about two quantisers."""
    (tmp_path / "other").mkdir()
    checkpoint, engine = write_tiny_network(tmp_path), write_tiny_network(tmp_path / "other")
    manifest = tiny_manifest(engine)
    weights = "0" * 64
    changes = {
        "build": Build(backend="openvino", precision="int8"),
        "weights_sha256": weights,
        "model_id": f"other-none-{weights[:8]}",
        "space_id": space_id(weights, manifest.input, descriptor=manifest.descriptor),
    }
    write_manifest(manifest.model_copy(update=changes), engine)
    with pytest.raises(ConfigError, match=r"was not made from .*; give its own checkpoint"):
        main(options(engine, checkpoint))


def test_an_environment_without_nncf_is_said_with_what_to_do(tmp_path: Path) -> None:
    """NNCF is no part of this project's environment, which is what runs this test."""
    with pytest.raises(ConfigError, match=r"NNCF failed: .*nncf.*; see --help for the environment"):
        quantize_with_nncf(source_in(tmp_path), tmp_path / "nncf.xml", crops=CROPS, python=Path(sys.executable))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A typo on the command line."""
    with pytest.raises(ConfigError, match=r"cannot run .*nowhere: No such file"):
        quantize_with_nncf(source_in(tmp_path), tmp_path / "nncf.xml", crops=CROPS, python=tmp_path / "nowhere")
