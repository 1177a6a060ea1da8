"""The tables of detectors and trackers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.catalog import DETECTORS, TRACKERS, DetectorKind, DetectorSettings, open_detector, open_tracker
from edge_runtime.people.detector import Detection


def write_identity(path: Path) -> Path:
    """An ONNX file that returns its input: no detector."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (1, 3, 32, 32))
    same = helper.make_tensor_value_info("same", TensorProto.FLOAT, (1, 3, 32, 32))
    graph = helper.make_graph([helper.make_node("Identity", ["pixels"], ["same"])], "none", [pixels], [same])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_file_of_no_kind_is_answered_with_the_known_kinds(tmp_path: Path) -> None:
    """Whatever its output means, reading it as another network would give wrong boxes."""
    path = write_identity(tmp_path / "identity.onnx")
    with pytest.raises(EngineError) as caught:
        open_detector(DetectorSettings(path))
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "found pixels tensor(float) [1, 3, 32, 32], same tensor(float) [1, 3, 32, 32]" in sentence
    assert all(f"{kind.name}, {kind.model}" in sentence for kind in DETECTORS if kind.model)


@pytest.mark.parametrize("kind", DETECTORS, ids=lambda kind: kind.name)
def test_every_detector_is_complete(kind: DetectorKind) -> None:
    """Without a file it makes a whole detector or says that it needs one."""
    detector = kind.open(None)
    assert kind.name
    assert (detector is None) == (kind.model is not None)
    if detector is not None:
        assert detector.sure_score > 0
        assert detector.detect(np.zeros((200, 200, 3), np.uint8)) == []


def test_one_detector_needs_no_file() -> None:
    """A node starts without a download, and it is clear which detector it then has."""
    assert [kind.name for kind in DETECTORS if kind.model is None] == ["HOG"]


def test_the_table_loads_no_network_library() -> None:
    """A device with HOG needs no ONNX Runtime."""
    code = "import sys, edge_runtime.people.catalog; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("kind", TRACKERS)
def test_every_tracker_is_complete(kind: str) -> None:
    """It follows one person who stands still, and ends the track when asked."""
    tracker = open_tracker(kind, sure_score=0.5)
    person = [Detection((10.0, 10.0, 60.0, 160.0), 0.9)]
    tracks = [tracker.update(person, step * 100_000_000) for step in range(5)]
    assert [track.state for track in tracks[-1]] == ["confirmed"]
    assert [track.id for track in tracker.end_all()] == [track.id for track in tracks[-1]]


def test_an_unknown_tracker_is_answered_with_the_known_ones() -> None:
    """The list comes from the table."""
    with pytest.raises(EngineError, match=rf"kind {', '.join(TRACKERS)}, found 'psychic'"):
        open_tracker("psychic", sure_score=0.5)
