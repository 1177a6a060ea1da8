"""A detector fitted to a camera finds the same people for less."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.script import SAMPLE_CLIP
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.detector_file import read_detector_file
from edge_runtime.people.detector_manifest import read_detector_manifest
from edge_runtime.people.network_detector import NetworkDetector
from export import build_engine
from export.building import fit_detector
from export.building.detector_trial import fault_of
from tests.support.detector_forms import FORMS, write_constant_network


@pytest.mark.shared_data
def test_yolox_is_fitted_to_a_street(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The clip is 4:3, so a quarter of the square input goes; the manifest is written, and the kind stays."""
    model = tmp_path / "nano.onnx"
    model.write_bytes((shared_data / "yolox_nano.onnx").read_bytes())
    assert build_engine.main([str(model), "--detector", "--video", str(SAMPLE_CLIP)]) == 0
    fitted = tmp_path / "nano_416x320.onnx"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nano.onnx", fitted.name, f"{fitted.name}.json"]
    assert "people in 48 frames" in capsys.readouterr().out
    detector = open_detector(DetectorSettings(fitted))
    assert isinstance(detector, NetworkDetector)
    assert (detector.kind.name, detector.network.form.height_px, detector.network.form.width_px) == ("yolox", 320, 416)
    assert detector.network.form.outputs[0][-1] == 6, "people only"


def test_a_network_that_fits_already_is_left_alone(tmp_path: Path) -> None:
    """A square clip, and no first layer to rewrite."""
    video = tmp_path / "square.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 64))
    for _ in range(48):
        writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    model = write_constant_network(tmp_path / "constant.onnx", FORMS["yolox"].outputs())
    with pytest.raises(
        ExportError, match="nothing to gain: the network's input of 416x416 pixels fits frames of 64x64"
    ):
        fit_detector.main([str(model), "--video", str(video)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["constant.onnx", "square.avi"]


@pytest.mark.shared_data
def test_yolox_is_built_in_int8(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It finds the same people; its manifest says what it is; the daemon runs it in the backend it was built for."""
    monkeypatch.setattr(fit_detector, "_FRAMES", 16)
    model = tmp_path / "nano.onnx"
    model.write_bytes((shared_data / "yolox_nano.onnx").read_bytes())
    options = ["--detector", "--int8", "--backend", "openvino", "--allow-slower", "--video", str(SAMPLE_CLIP)]
    assert build_engine.main([str(model), *options]) == 0
    built = tmp_path / "nano_int8_openvino.onnx"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nano.onnx", built.name, f"{built.name}.json"]
    assert "int8 openvino:\npeople in 16 frames" in capsys.readouterr().out
    manifest = read_detector_manifest(read_detector_file(built))
    assert manifest is not None
    assert manifest.build is not None
    assert manifest.calibration is not None
    assert manifest.trial is not None
    assert (manifest.file, manifest.build.backend, manifest.build.precision) == (built.name, "openvino", "int8")
    assert manifest.parent_sha256 == read_detector_file(model).sha256
    assert manifest.calibration.kept_in_float == ("stem", "depthwise", "heads")
    assert min(manifest.trial.finds, manifest.trial.adds) >= 0.95
    assert fault_of(manifest.trial, allow_slower=True) is None
    detector = open_detector(DetectorSettings(built))
    assert isinstance(detector, NetworkDetector)
    assert detector.network.backend.startswith("openvino")
    assert detector.network.backend.endswith("int8")
    with pytest.raises(ManifestError, match=r"has backend onnxruntime .* which was built for openvino"):
        open_detector(DetectorSettings(built, backend="onnxruntime"))


def test_what_cannot_be_built_here_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason of each backend that was asked for."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    model = write_constant_network(tmp_path / "constant.onnx", FORMS["yolox"].outputs())
    for options, reason in (
        (
            ["--int8", "--backend", "tensorrt"],
            "no int8 detector can be built here: tensorrt: TensorRT is not avail",
        ),
        (["--bf16", "--backend", "onnxruntime"], "onnxruntime runs no bf16 detectors"),
    ):
        with pytest.raises(ExportError, match=reason):
            fit_detector.main([str(model), *options, "--video", "none.mp4"])
