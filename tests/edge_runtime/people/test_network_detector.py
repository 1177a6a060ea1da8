"""People by networks of every kind, through ONNX Runtime and OpenVINO."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.network_detector import DetectionNetwork, NetworkDetector, choose_kind
from edge_runtime.people.onnxruntime_network import OnnxRuntimeNetwork
from edge_runtime.people.openvino_network import OpenVinoNetwork
from tests.support.detector_forms import BOXES, FORMS, SIZE_PX, rows_of_six, write_constant_network, yolox

FRAME: NDArray[np.uint8] = np.full((2 * SIZE_PX, 2 * SIZE_PX, 3), 90, np.uint8)
"""Twice as large as the input, so boxes come back twice as large."""


Backend = type[OnnxRuntimeNetwork] | type[OpenVinoNetwork]
BACKENDS: tuple[Backend, ...] = (OnnxRuntimeNetwork, OpenVinoNetwork)


def network_of(name: str, tmp_path: Path, *, backend: Backend = OnnxRuntimeNetwork) -> tuple[DetectionNetwork, Path]:
    form = FORMS[name]
    path = write_constant_network(tmp_path / f"{name}.onnx", form.outputs(), inputs=form.inputs)
    return backend(path), path


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FORMS)
def test_people_are_found_where_the_network_says(name: str, backend: Backend, tmp_path: Path) -> None:
    """From the file to boxes on the frame, surest first; the kind is guessed wherever the form tells."""
    network, path = network_of(name, tmp_path, backend=backend)
    asked = name if name == "deepstream-yolo" else "auto"
    kind = choose_kind(network, name=asked, path=path)
    assert kind.name == name
    found = NetworkDetector(network, kind).detect(FRAME)
    np.testing.assert_allclose([one.box for one in found], 2 * BOXES, rtol=0.01)  # bfloat16 has 8 bits
    np.testing.assert_allclose([one.score for one in found], [0.9, 0.6], atol=0.01)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_and_free_sizes_are_read(backend: Backend, tmp_path: Path) -> None:
    """A network that takes any size gets 640 pixels; here its outputs are those of 416, so it is of no kind."""
    half = backend(write_constant_network(tmp_path / "half.onnx", yolox(is_decoded=False), half=True))
    kind = choose_kind(half, name="auto", path=tmp_path / "half.onnx")
    assert len(NetworkDetector(half, kind).detect(FRAME)) == 2
    path = write_constant_network(tmp_path / "free.onnx", yolox(is_decoded=False), size=("height", "width"))
    free = backend(path)
    assert (free.form.height_px, free.form.width_px) == (640, 640)
    with pytest.raises(EngineError, match=r"free.onnx is no detector that we know: one input of 640x640 pixels"):
        choose_kind(free, name="auto", path=path)


def test_what_the_form_leaves_open_must_be_said(tmp_path: Path) -> None:
    """Six columns per cell are of two families."""
    network, path = network_of("deepstream-yolo", tmp_path)
    with pytest.raises(
        EngineError, match=r"may be yolox or yolox-decoded or deepstream-yolo: .*; say which, as `kind`"
    ):
        choose_kind(network, name="auto", path=path)


def test_a_kind_that_the_form_denies_is_refused(tmp_path: Path) -> None:
    """With what was found, and the kinds there are."""
    network, path = network_of("yolo-v8", tmp_path)
    with pytest.raises(EngineError, match=r"is no rf-detr detector: one input of 416x416 .*known kinds: yolox, "):
        choose_kind(network, name="rf-detr", path=path)


def test_a_class_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Where the form says how many classes there are."""
    network, path = network_of("yolox", tmp_path)
    with pytest.raises(EngineError, match="the detector has 80 classes: expected a person_class below, found 80"):
        NetworkDetector(network, choose_kind(network, name="auto", path=path), person_class=80)


def test_another_class_can_be_the_person(tmp_path: Path) -> None:
    """Some networks begin with another class."""
    [rows] = rows_of_six(300)
    rows[1:3, 5] = 7
    path = write_constant_network(tmp_path / "seven.onnx", [rows])
    network = OnnxRuntimeNetwork(path)
    kind = choose_kind(network, name="auto", path=path)
    assert NetworkDetector(network, kind).detect(FRAME) == []
    assert len(NetworkDetector(network, kind, person_class=7).detect(FRAME)) == 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_files_that_are_no_detectors_are_named(backend: Backend, tmp_path: Path) -> None:
    """A missing file, a damaged one, and a network that takes no pictures: a sentence each."""
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"no network")
    with pytest.raises(EngineError, match=r"damaged\.onnx as a network: .*copy it again"):
        backend(damaged)
    flat = write_constant_network(tmp_path / "flat.onnx", [np.zeros((5, 6), np.float32)], planes=1)
    with pytest.raises(EngineError, match=r"flat\.onnx is no person detector: expected images"):
        backend(flat)
    with pytest.raises(EngineError, match=r"there is no person detector at .*missing\.onnx"):
        backend(tmp_path / "missing.onnx")
