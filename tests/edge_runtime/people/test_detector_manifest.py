"""The manifest beside a detector: written once, checked ever after."""

import json
from pathlib import Path

import pytest

from edge_runtime.contract.errors import EngineError, ManifestError
from edge_runtime.people.catalog import DetectorSettings, open_detector, record_detector
from edge_runtime.people.detector_manifest import detector_manifest_path
from edge_runtime.people.network_detector import NetworkDetector
from tests.support.detector_forms import FORMS, rows_of_six, write_constant_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A YOLOX network without a manifest."""
    return write_constant_network(tmp_path / "found.onnx", FORMS["yolox"].outputs())


def open_and_record(settings: DetectorSettings) -> None:
    """Open the detector and write its manifest, as the daemon does."""
    record_detector(settings, open_detector(settings))


def test_a_manifest_holds_what_the_file_was_taken_for(model: Path) -> None:
    """Kind, class, digest and the time of a look; the licence is for the user to state, and stays as he states it."""
    open_and_record(DetectorSettings(model, backend="onnxruntime"))
    path = detector_manifest_path(model)
    assert path.name == "found.onnx.json"
    written = json.loads(path.read_text())
    assert (written["file"], written["kind"], written["person_class"]) == ("found.onnx", "yolox", 0)
    assert written["licence"] == "not stated"
    assert written["measured"]["look_ms"] > 0
    assert written["measured"]["backend"].startswith("onnxruntime")
    stated = path.read_text().replace("not stated", "Apache-2.0")
    path.write_text(stated)
    open_and_record(DetectorSettings(model))
    assert path.read_text() == stated


def test_a_changed_file_is_refused(model: Path) -> None:
    """One sentence: which digest was checked and when, which one was found, and both remedies."""
    open_and_record(DetectorSettings(model))
    write_constant_network(model, FORMS["yolo-v8"].outputs())
    with pytest.raises(ManifestError, match=r"found\.onnx is not the file that was checked: .*put the old file") as it:
        open_detector(DetectorSettings(model))
    assert "delete found.onnx.json and run reid-edge --check" in str(it.value)
    assert "\n" not in str(it.value)


def test_the_manifest_answers_what_the_form_leaves_open(tmp_path: Path) -> None:
    """What the manifest holds need not be configured again."""
    path = write_constant_network(tmp_path / "six.onnx", rows_of_six(FORMS["deepstream-yolo"].outputs()[0].shape[0]))
    with pytest.raises(EngineError, match="say which"):
        open_detector(DetectorSettings(path))
    open_and_record(DetectorSettings(path, kind="deepstream-yolo", person_class=16))
    detector = open_detector(DetectorSettings(path))
    assert isinstance(detector, NetworkDetector)
    assert (detector.kind.name, detector.person_class) == ("deepstream-yolo", 16)


@pytest.mark.parametrize(
    ("settings", "fault"), [({"kind": "yolox-decoded"}, "kind yolox-decoded"), ({"person_class": 2}, "person_class 2")]
)
def test_a_configuration_that_contradicts_the_manifest_is_refused(
    settings: dict[str, object], fault: str, model: Path
) -> None:
    """Neither of both is taken in silence."""
    open_and_record(DetectorSettings(model))
    with pytest.raises(ManifestError, match=rf"the configuration has {fault} for .*found\.onnx, which was checked as"):
        open_detector(DetectorSettings(model, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"file": "found.onnx"}', "\ufffe"])
def test_a_damaged_manifest_is_refused(text: str, model: Path) -> None:
    """With the first fault, in one sentence."""
    detector_manifest_path(model).write_text(text)
    with pytest.raises(
        ManifestError, match=r"found\.onnx\.json is not the manifest of a detector \(.*delete"
    ) as caught:
        open_detector(DetectorSettings(model))
    assert "\n" not in str(caught.value)


def test_a_folder_that_takes_no_manifest_is_a_warning(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A daemon may run as a user who cannot write beside its models."""
    settings = DetectorSettings(model)
    detector = open_detector(settings)
    detector_manifest_path(model).with_name("found.onnx.json.partial").mkdir()
    record_detector(settings, detector)
    assert "cannot write" in caplog.records[-1].getMessage()
    assert not detector_manifest_path(model).exists()
