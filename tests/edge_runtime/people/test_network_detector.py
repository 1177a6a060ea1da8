"""People by networks of every kind, through ONNX Runtime and OpenVINO."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.catalog import DetectorSettings, log_detector, open_detector
from edge_runtime.people.detector import Detector, detect_all, frames_at_once
from edge_runtime.people.detector_file import read_detector_file
from edge_runtime.people.network_backends import NETWORK_BACKENDS, NetworkBackend, open_network
from edge_runtime.people.network_detector import DetectionNetwork, NetworkDetector, choose_kind, choose_person_class
from edge_runtime.people.network_kinds import kind_named
from tests.support.detector_forms import BOXES, FORMS, SIZE_PX, form_of, rows_of_six, write_constant_network, yolox

FRAME: NDArray[np.uint8] = np.full((2 * SIZE_PX, 2 * SIZE_PX, 3), 90, np.uint8)
"""Twice as large as the input, so boxes come back twice as large."""
GREY_NV12 = Nv12(np.full((2 * SIZE_PX, 2 * SIZE_PX), 93, np.uint8), np.full((SIZE_PX, SIZE_PX, 2), 128, np.uint8))

SIZE = 64  # of the small network: 64 + 16 + 4 cells
CELLS = [
    (stride, row, column) for stride in (8, 16, 32) for row in range(SIZE // stride) for column in range(SIZE // stride)
]
IN_THE_MIDDLE = {9: (0.5, 0.5, 0, 0, 1, 1)}

ON_A_CPU = [name for name in NETWORK_BACKENDS if name != "tensorrt"]


def write_kind(name: str, tmp_path: Path) -> Path:
    form = FORMS[name]
    return write_constant_network(tmp_path / f"{name}.onnx", form.outputs(), inputs=form.inputs)


def network_of(name: str, tmp_path: Path) -> tuple[DetectionNetwork, Path]:
    path = write_kind(name, tmp_path)
    return open_network(read_detector_file(path), backend="onnxruntime"), path


@pytest.mark.parametrize("backend", ON_A_CPU)
@pytest.mark.parametrize("name", FORMS)
def test_people_are_found_where_the_network_says(name: str, backend: NetworkBackend, tmp_path: Path) -> None:
    """From the file to boxes on the frame, surest first; the kind is guessed wherever the form tells."""
    asked = name if name == "deepstream-yolo" else "auto"
    detector = open_detector(DetectorSettings(write_kind(name, tmp_path), kind=asked, backend=backend))
    for frame in (FRAME, GREY_NV12):
        found = detector.detect(frame)
        np.testing.assert_allclose([one.box for one in found], 2 * BOXES, rtol=0.01)  # bfloat16 has 8 bits
        np.testing.assert_allclose([one.score for one in found], [0.9, 0.6], atol=0.01)


@pytest.mark.parametrize("backend", ON_A_CPU)
def test_half_precision_and_free_sizes_are_read(backend: NetworkBackend, tmp_path: Path) -> None:
    """A network that takes any size gets 640 pixels; here its outputs are those of 416, so it is of no kind."""
    half = write_constant_network(tmp_path / "half.onnx", yolox(is_decoded=False), half=True)
    many = write_constant_network(tmp_path / "many.onnx", yolox(is_decoded=False), batch="batch")
    for path in (half, many):
        assert len(open_detector(DetectorSettings(path, backend=backend)).detect(FRAME)) == 2
    free = write_constant_network(tmp_path / "free.onnx", yolox(is_decoded=False), size=("height", "width"))
    with pytest.raises(EngineError, match=r"free.onnx is no person detector known here: one input of 640x640 pixels"):
        open_detector(DetectorSettings(free, backend=backend))


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


def test_what_a_file_was_taken_for_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The operator reads which kind, which class and which library it is."""
    with caplog.at_level("INFO"):
        settings = DetectorSettings(write_kind("detr-logits", tmp_path), backend="onnxruntime")
        detector = open_detector(settings)
        log_detector(settings, detector)
        detector.detect(FRAME)
    kind, opened = (record.getMessage() for record in caplog.records)
    assert kind.startswith("detector detr-logits.onnx: taken for detr-logits (D-FINE, RT-DETR) by its form: one input")
    assert opened.startswith("detector detr-logits.onnx (detr-logits, people are class 0) runs on onnxruntime")


def test_a_class_that_is_not_there_is_refused() -> None:
    """Where the form says how many classes there are."""
    with pytest.raises(EngineError, match=r"a\.onnx tells 80 classes apart: expected a person_class from 0 to 79, fou"):
        choose_person_class(kind_named("yolox"), form_of("yolox"), asked=80, path=Path("a.onnx"))


def test_a_list_of_classes_that_nobody_knows_asks_for_the_person(tmp_path: Path) -> None:
    """A network of two classes may have vehicles first; COCO, only people, and PeopleNet are known."""
    path = write_constant_network(tmp_path / "two.onnx", [yolox(is_decoded=False)[0][:, :7]])
    with pytest.raises(
        EngineError, match=r"two\.onnx tells 2 classes apart, .* yolox .* have 1 or 80: say .*`person_cla"
    ):
        open_detector(DetectorSettings(path))
    detector = open_detector(DetectorSettings(path, person_class=1))
    assert len(detector.detect(FRAME)) == 1  # the dog


def test_another_class_can_be_the_person(tmp_path: Path) -> None:
    """Some networks begin with another class."""
    [rows] = rows_of_six(300)
    rows[1:3, 5] = 7
    path = write_constant_network(tmp_path / "seven.onnx", [rows])
    assert open_detector(DetectorSettings(path)).detect(FRAME) == []
    assert len(open_detector(DetectorSettings(path, person_class=7)).detect(FRAME)) == 2


def test_unsure_and_small_people_can_be_left_out(tmp_path: Path) -> None:
    """By `min_score` and by their height in the frame; a track then needs at least that score, too."""
    path = write_kind("yolox", tmp_path)
    sure = open_detector(DetectorSettings(path, min_score=0.7))
    assert [round(one.score, 1) for one in sure.detect(FRAME)] == [0.9]
    assert sure.sure_score == 0.7
    assert open_detector(DetectorSettings(path)).sure_score == 0.35
    tall = open_detector(DetectorSettings(path, smallest_person_px=250))  # they are 240 and 260 pixels tall
    assert [round(one.score, 1) for one in tall.detect(FRAME)] == [0.6]


@pytest.mark.parametrize("backend", ON_A_CPU)
def test_files_that_are_no_detectors_are_named(backend: NetworkBackend, tmp_path: Path) -> None:
    """A missing file, and a network that takes no pictures: a sentence each."""
    flat = write_constant_network(tmp_path / "flat.onnx", [np.zeros((5, 6), np.float32)], planes=1)
    with pytest.raises(EngineError, match=r"flat\.onnx is no person detector: expected images"):
        open_detector(DetectorSettings(flat, backend=backend))
    four = write_constant_network(tmp_path / "four.onnx", yolox(is_decoded=False), batch=4)
    with pytest.raises(EngineError, match=r"four\.onnx .*export it for one image"):
        open_detector(DetectorSettings(four, backend=backend))
    with pytest.raises(EngineError, match=r"there is no person detector at .*missing\.onnx .*; give the path"):
        open_detector(DetectorSettings(tmp_path / "missing.onnx", backend=backend))


@pytest.mark.parametrize("backend", ON_A_CPU)
def test_another_network_is_refused_with_the_known_kinds(backend: NetworkBackend, tmp_path: Path) -> None:
    """A classifier; the sentence says what was found."""
    classifier = write_constant_network(tmp_path / "classifier.onnx", [np.zeros(1000, np.float32)])
    found = r"one input of 416x416 pixels, outputs \(1, 1000\); known kinds: yolox, .*, detectnet-v2"
    with pytest.raises(EngineError, match=rf"classifier\.onnx is no person detector known here: {found}"):
        open_detector(DetectorSettings(classifier, backend=backend))


@pytest.mark.parametrize("backend", ON_A_CPU)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_file_is_refused(share: float, backend: NetworkBackend, tmp_path: Path) -> None:
    """A cut file or garbage ends in one sentence, not in a crash."""
    whole = write_kind("yolox", tmp_path).read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(share * len(whole))] or b"garbage")
    with pytest.raises(EngineError, match=r"cannot read .*cut\.onnx as a network: .*copy it again") as caught:
        open_detector(DetectorSettings(path, backend=backend))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", ON_A_CPU)
@pytest.mark.parametrize("domain", ["", "TRT"])
def test_a_plugin_of_tensorrt_is_named(domain: str, backend: NetworkBackend, tmp_path: Path) -> None:
    """The libraries of a CPU have no EfficientNMS: the file is not damaged, and the sentence says what to export."""
    node = helper.make_node("EfficientNMS_TRT", ["images"], ["boxes"], domain=domain)
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    boxes = helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 100, 4])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(helper.make_graph([node], "nms", [images], [boxes]), opset_imports=opsets, ir_version=8)
    onnx.save(model, tmp_path / "nms.onnx")
    with pytest.raises(
        EngineError, match=r"nms\.onnx: it has an operation that only a plugin knows .*as yolo-v8"
    ) as it:
        open_detector(DetectorSettings(tmp_path / "nms.onnx", backend=backend))
    assert "\n" not in str(it.value)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    """They would be outside the digest, so that they could be exchanged under it."""
    model = onnx.load(write_kind("yolox", tmp_path))
    path = tmp_path / "split.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    with pytest.raises(EngineError, match=r"split\.onnx keeps its weights in another file: expected one file"):
        open_detector(DetectorSettings(path))


def write_blue_network(path: Path, people: dict[int, tuple[float, ...]]) -> Path:
    """A YOLOX form of known numbers, with its class scores multiplied by the largest blue of the picture.

    people: by cell, (x, y, log width, log height, objectness, person).
    """
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["brightest"], axes=[2, 3], keepdims=0),  # (1, 3)
        helper.make_node("Gather", ["brightest", "channel"], ["blue"], axis=1),  # (1,)
        helper.make_node("Div", ["blue", "full"], ["share"]),
        helper.make_node("Mul", ["share", "classes"], ["seen"]),
        helper.make_node("Add", ["seen", "rest"], ["output"]),
    ]
    output = np.zeros((1, len(CELLS), 85), np.float32)
    for cell, numbers in people.items():
        output[0, cell, :6] = numbers
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
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, output.shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def open_blue(tmp_path: Path, people: dict[int, tuple[float, ...]]) -> Detector:
    return open_detector(DetectorSettings(write_blue_network(tmp_path / "yolox.onnx", people), backend="onnxruntime"))


def blue_frame(height_px: int, width_px: int) -> NDArray[np.uint8]:
    """A frame of pure blue, RGB."""
    frame = np.zeros((height_px, width_px, 3), np.uint8)
    frame[..., 2] = 255
    return frame


def test_yolox_boxes_are_decoded_cell_by_cell(tmp_path: Path) -> None:
    """centre = (cell + offset) x stride, size = exp(number) x stride, score = objectness x person; one of each grid."""
    people = {19: (0.25, 0.5, 0.2, 0.9, 0.9, 0.8), 64 + 7: (0.1, 0.2, -0.3, 0.1, 0.5, 0.6), 82: (0.6, 0.3, 0, 0, 1, 1)}
    found = open_blue(tmp_path, people).detect(blue_frame(2 * SIZE, 2 * SIZE))

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
    (found,) = open_blue(tmp_path, IN_THE_MIDDLE).detect(blue_frame(SIZE, 4 * SIZE))
    assert found.box == pytest.approx((32, 32, 64, 64))


def test_yolox_gets_blue_green_red(tmp_path: Path) -> None:
    """YOLOX was trained on BGR: its first channel sees the blue of our RGB frames, in 0 to 255."""
    detector = open_blue(tmp_path, IN_THE_MIDDLE)
    blue = blue_frame(SIZE, SIZE)
    assert [detection.score for detection in detector.detect(blue)] == [1.0]
    assert detector.detect(np.ascontiguousarray(blue[..., ::-1])) == []


@pytest.mark.shared_data
@pytest.mark.parametrize("backend", ON_A_CPU)
def test_yolox_finds_the_people_of_a_real_clip(backend: NetworkBackend, shared_data: Path) -> None:
    """People who walk one by one are found in the clip's frames, at most two at a time, as tall boxes."""
    detector = open_detector(DetectorSettings(shared_data / "yolox_nano.onnx", backend=backend))
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


class ManyAtOnce:
    """A network as an accelerator runs it: up to four images in one go, each with outputs of its own."""

    backend = "many"
    images_at_once = 4

    def __init__(self, network: DetectionNetwork) -> None:
        self.form, self._network = network.form, network
        self.batches: list[int] = []

    def run(self, planes: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """See `DetectionNetwork.run`."""
        return self._network.run(planes)

    def run_batch(self, planes: NDArray[np.float32]) -> list[list[NDArray[np.float32]]]:
        """See `BatchNetwork.run_batch`."""
        self.batches.append(len(planes))
        return [self._network.run(one) for one in planes]


def test_frames_of_several_cameras_go_through_a_network_in_one_go(tmp_path: Path) -> None:
    """Frames of other sizes, too: each gets the people that it has alone."""
    network, _ = network_of("yolox", tmp_path)
    many = ManyAtOnce(network)
    detector = NetworkDetector(many, kind_named("yolox"), person_class=0)
    small = np.full((SIZE_PX, SIZE_PX, 3), 90, np.uint8)
    frames: list[Nv12 | NDArray[np.uint8]] = [FRAME, small, GREY_NV12]
    assert frames_at_once(detector) == 4
    assert detect_all(detector, frames) == [detector.detect(frame) for frame in frames]
    assert many.batches == [3]
    assert detect_all(detector, [small]) == [detector.detect(small)]
    assert many.batches == [3], "one frame needs no batch"


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_on_a_cpu_frames_are_looked_at_one_by_one(backend: NetworkBackend, tmp_path: Path) -> None:
    """A batch takes as long there as its frames do alone, and the first frame would wait for the last."""
    detector = open_detector(DetectorSettings(write_kind("yolox", tmp_path), backend=backend))
    assert frames_at_once(detector) == 1
    assert isinstance(detector, NetworkDetector)
    assert detector.detect_batch([FRAME, GREY_NV12]) == [detector.detect(FRAME), detector.detect(GREY_NV12)]
