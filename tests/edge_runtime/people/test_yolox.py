"""YOLOX: decoding checked by hand on a small network, people found by a real network, and files that are not YOLOX."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import EngineError
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.detector import Detector

SIZE = 64  # pixels each way: 64 + 16 + 4 cells
CELLS = [
    (stride, row, column) for stride in (8, 16, 32) for row in range(SIZE // stride) for column in range(SIZE // stride)
]


def write_network(
    path: Path, output: NDArray[np.float32], *, input_shape: tuple[object, ...] = (1, 3, SIZE, SIZE)
) -> Path:
    """A network that answers `output`, with its class scores multiplied by the largest blue of the picture.

    It stands for YOLOX in ONNX form, so that every number of its answer is known.
    """
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["brightest"], axes=[2, 3], keepdims=0),  # (1, 3)
        helper.make_node("Gather", ["brightest", "channel"], ["blue"], axis=1),  # (1,)
        helper.make_node("Div", ["blue", "full"], ["share"]),
        helper.make_node("Mul", ["share", "classes"], ["seen"]),
        helper.make_node("Add", ["seen", "rest"], ["output"]),
    ]
    classes = output.copy()
    classes[..., :5] = 0
    constants = {
        "channel": np.array(0),
        "full": np.float32(255),
        "classes": classes,
        "rest": output - classes,
    }
    graph = helper.make_graph(
        nodes,
        "yolox",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def answer(people: dict[int, tuple[float, ...]]) -> NDArray[np.float32]:
    """An output of 80 classes in which the given cells hold (x, y, log width, log height, objectness, person)."""
    output = np.zeros((1, len(CELLS), 85), np.float32)
    for cell, numbers in people.items():
        output[0, cell, :6] = numbers
    return output


def open_file(path: Path) -> Detector:
    """As the daemon opens it."""
    return open_detector(DetectorSettings(path))


def blue_frame(height_px: int, width_px: int) -> NDArray[np.uint8]:
    """A frame of pure blue, RGB."""
    frame = np.zeros((height_px, width_px, 3), np.uint8)
    frame[..., 2] = 255
    return frame


def test_boxes_are_decoded_cell_by_cell(tmp_path: Path) -> None:
    """centre = (cell + offset) x stride, size = exp(number) x stride, score = objectness x person; one of each grid."""
    people = {19: (0.25, 0.5, 0.2, 0.9, 0.9, 0.8), 64 + 7: (0.1, 0.2, -0.3, 0.1, 0.5, 0.6), 82: (0.6, 0.3, 0, 0, 1, 1)}
    detector = open_file(write_network(tmp_path / "yolox.onnx", answer(people)))
    found = detector.detect(blue_frame(2 * SIZE, 2 * SIZE))

    expected = []
    for cell, (x, y, log_width, log_height, objectness, person) in people.items():
        stride, row, column = CELLS[cell]
        centre_x, centre_y = (column + x) * stride * 2, (row + y) * stride * 2  # the frame is twice the input
        width, height = np.exp(log_width) * stride * 2, np.exp(log_height) * stride * 2
        box = (centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2)
        expected.append((objectness * person, box))
    expected.sort(reverse=True)
    assert [detection.score for detection in found] == pytest.approx([score for score, _ in expected])
    np.testing.assert_allclose([d.box for d in found], np.clip([box for _, box in expected], 0, 2 * SIZE), atol=1e-3)


def test_the_picture_keeps_its_shape(tmp_path: Path) -> None:
    """A wide frame is fitted in by its width, so a cell means the same number of pixels in both directions."""
    detector = open_file(write_network(tmp_path / "yolox.onnx", answer({9: (0.5, 0.5, 0, 0, 1, 1)})))
    (found,) = detector.detect(blue_frame(SIZE, 4 * SIZE))
    assert found.box == pytest.approx((32, 32, 64, 64))


def test_pixels_go_in_as_blue_green_red(tmp_path: Path) -> None:
    """YOLOX was trained on BGR: its first channel sees the blue of our RGB frames, in 0 to 255."""
    detector = open_file(write_network(tmp_path / "yolox.onnx", answer({9: (0.5, 0.5, 0, 0, 1, 1)})))
    blue = blue_frame(SIZE, SIZE)
    assert [detection.score for detection in detector.detect(blue)] == [1.0]
    assert detector.detect(np.ascontiguousarray(blue[..., ::-1])) == []


def test_other_classes_are_no_people(tmp_path: Path) -> None:
    """Only class 0 counts."""
    output = answer({9: (0.5, 0.5, 0, 0, 1, 0)})
    output[0, 9, 6:] = 1
    assert open_file(write_network(tmp_path / "yolox.onnx", output)).detect(blue_frame(SIZE, SIZE)) == []


@pytest.mark.shared_data
def test_yolox_finds_the_people_of_a_real_clip(shared_data: Path) -> None:
    """People who walk one by one are found in the clip's frames, at most two at a time, as tall boxes."""
    detector = open_file(shared_data / "yolox_nano.onnx")
    counts, shapes = [], []
    with CameraSource(str(shared_data / "one-by-one-person-detection.mp4"), camera_id="clip", paced=False) as source:
        while (frame := source.read(10.0)) is not None:
            if frame.index % 25 == 0:
                sure = [found for found in detector.detect(frame.pixels) if found.score >= detector.sure_score]
                counts.append(len(sure))
                shapes += [(box[3] - box[1]) / (box[2] - box[0]) for box in (found.box for found in sure)]
    assert len(counts) == 56
    assert sum(count > 0 for count in counts) >= 40
    assert max(counts) <= 2
    assert 1.5 < np.median(shapes) < 4


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(EngineError, match=r"no person detector at .*none\.onnx; give"):
        open_file(tmp_path / "none.onnx")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_refused(tmp_path: Path, share: float) -> None:
    """A cut file or garbage ends in one sentence, not in a crash."""
    whole = write_network(tmp_path / "whole.onnx", answer({})).read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(share * len(whole))] or b"garbage")
    with pytest.raises(EngineError, match=r"cut\.onnx") as caught:
        open_file(path)
    assert "\n" not in str(caught.value)


def test_another_network_is_refused(tmp_path: Path) -> None:
    """The error says which inputs and outputs were expected and found."""
    classifier = write_network(tmp_path / "classifier.onnx", np.zeros((1, 1000), np.float32))
    form = r"one float input \(1, 3, height, width\) of fixed size and one output \(1, cells, 5 \+ classes\)"
    found = r"images tensor\(float\) \[1, 3, 64, 64\], output tensor\(float\) \[1, 1000\]"
    with pytest.raises(EngineError, match=f"expected .*YOLOX, with {form}.*; found {found}; give"):
        open_file(classifier)
    free = write_network(tmp_path / "free.onnx", answer({}), input_shape=(1, 3, "height", "width"))
    with pytest.raises(EngineError, match=r"of fixed size .* found images tensor\(float\) \[1, 3, 'height', 'width'\]"):
        open_file(free)


def test_an_export_that_decodes_inside_is_refused(tmp_path: Path) -> None:
    """It has the same shapes with pixels instead of offsets, and would silently give wrong boxes."""
    output = answer({})
    output[0, :, 0] = [(column + 0.5) * stride for stride, _, column in CELLS]
    with pytest.raises(EngineError, match="decodes its boxes inside the graph"):
        open_file(write_network(tmp_path / "decoded.onnx", output))
