"""A detector fitted to a camera finds the same people for less."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import ExportError
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.network_detector import NetworkDetector
from export import build_engine
from export.building import fit_detector
from export.building.fit_detector import FitResult
from tests.conftest import ROOT
from tests.support.detector_forms import FORMS, write_constant_network

CLIP = ROOT / ".cache/opencv-doc/usr/share/doc/opencv-doc/examples/data/vtest.avi"
GOOD = FitResult(people=100, finds=1.0, adds=0.98, cpu_ms=8.0, parent_cpu_ms=13.0)


@pytest.mark.shared_data
def test_yolox_is_fitted_to_a_street(shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The clip is 4:3, so a quarter of the square input goes; the manifest is written, and the kind stays."""
    model = tmp_path / "nano.onnx"
    model.write_bytes((shared_data / "yolox_nano.onnx").read_bytes())
    assert build_engine.main([str(model), "--detector", "--video", str(CLIP)]) == 0
    fitted = tmp_path / "nano_416x320.onnx"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nano.onnx", fitted.name, f"{fitted.name}.json"]
    assert "people in 48 frames" in capsys.readouterr().out
    detector = open_detector(DetectorSettings(fitted))
    assert isinstance(detector, NetworkDetector)
    assert (detector.kind.name, detector.network.form.height_px, detector.network.form.width_px) == ("yolox", 320, 416)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"people": 19}, "could be judged by 19 people only: expected 20; give a busier video"),
        ({"finds": 0.94}, r"finds 94\.0% of its parent's people, and 98\.0% of its own are its parent's: expected 95%"),
        ({"adds": 0.5}, r"and 50\.0% of its own"),
        ({"cpu_ms": 13.1}, r"is not faster: 13\.10 ms a look, its parent 13\.00 ms"),
    ],
)
def test_what_finds_other_people_or_is_not_faster_is_refused(changes: dict[str, float], fault: str | None) -> None:
    """With both figures; a video without people proves nothing."""
    found = replace(GOOD, **changes).fault()  # type: ignore[arg-type]
    if fault is None:
        assert found is None
    else:
        with pytest.raises(ExportError, match=fault):
            raise ExportError(found)


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
