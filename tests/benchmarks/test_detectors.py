"""Detectors are timed in turns on the same frames. No speed is asserted."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import detectors
from edge_runtime.contract.errors import ConfigError
from tests.support.detector_forms import FORMS, write_constant_network


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Four frames of noise."""
    path = tmp_path / "noise.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    random = np.random.default_rng(0)
    for _ in range(4):
        writer.write(random.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    writer.release()
    return path


def test_the_record_has_every_detector_at_every_size(
    tmp_path: Path, video: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first network in ONNX Runtime is the measure of the others; two people stand where its file says."""
    model = write_constant_network(tmp_path / "constant.onnx", FORMS["yolox"].outputs())
    output = tmp_path / "record.json"
    arguments = [str(model), "--video", str(video), "--frames", "2", "--rounds", "1", "--output", str(output)]
    assert detectors.main(arguments) == 0
    timings = json.loads(output.read_text())["timings"]
    assert [one["frame"] for one in timings] == [[432, 768]] * 3 + [[1080, 1920]] * 3
    hog, first, second = timings[:3]
    assert hog["way"] == "HOG"
    assert first["way"] == "constant, onnxruntime CPU"
    assert second["way"].startswith("constant, openvino ")
    assert (first["people"], first["finds"], first["times_first"]) == (2, 1, 1)
    assert "CPU ms" in capsys.readouterr().out


def test_no_rounds_are_refused(tmp_path: Path, video: Path) -> None:
    """There would be no median."""
    with pytest.raises(ConfigError, match="expected --rounds and --frames of at least 1"):
        detectors.main([str(tmp_path / "a.onnx"), "--video", str(video), "--rounds", "0"])
