"""Settings of detectors, the choice among them, and the table of trackers."""

import subprocess
import sys

import numpy as np
import pytest

from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.people.catalog import TRACKERS, DetectorSettings, log_detector, open_detector, open_tracker
from edge_runtime.people.detector import Detection
from edge_runtime.people.hog import HogDetector


def test_hog_needs_no_file_and_says_how_to_do_better(caplog: pytest.LogCaptureFixture) -> None:
    """A node starts without a download, and its log has one sentence that names a better detector."""
    detector = open_detector(DetectorSettings())
    log_detector(DetectorSettings(), detector)
    assert isinstance(detector, HogDetector)
    assert detector.detect(np.zeros((200, 200, 3), np.uint8)) == []
    [record] = caplog.records
    assert "HOG" in record.getMessage()
    assert "set `detector: {model: FILE.onnx}`" in record.getMessage()


def test_settings_of_a_network_need_a_network() -> None:
    """A score of HOG is no probability, so that a limit for one would mean something else for the other."""
    with pytest.raises(ConfigError, match=r"^min_score belong to a network: expected them beside `model`"):
        DetectorSettings(min_score=0.5)
    assert DetectorSettings(smallest_person_px=60) == DetectorSettings(None, smallest_person_px=60)


def test_the_catalog_loads_no_network_library() -> None:
    """A device that uses HOG needs neither ONNX Runtime nor OpenVINO."""
    code = (
        "import sys, edge_runtime.people.catalog; sys.exit(any(n in sys.modules for n in ('onnxruntime', 'openvino')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("kind", TRACKERS)
def test_every_tracker_is_complete(kind: str) -> None:
    """It follows one person who stands still, and ends the track when asked."""
    tracker = open_tracker(kind, sure_score=0.5)
    person = [Detection((10.0, 10.0, 60.0, 160.0), 0.9, "ann")]
    tracks = [tracker.update(person, step * 100_000_000) for step in range(5)]
    assert [track.state for track in tracks[-1]] == ["confirmed"]
    assert [track.id for track in tracker.end_all()] == [track.id for track in tracks[-1]]


def test_an_unknown_tracker_is_answered_with_the_known_ones() -> None:
    """The list comes from the table."""
    with pytest.raises(EngineError, match=rf"kind {', '.join(TRACKERS)}, found 'psychic'"):
        open_tracker("psychic", sure_score=0.5)
