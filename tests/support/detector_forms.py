"""The outer form of every kind of detection network, with outputs that show two people and something else."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.people.network_kind import NetworkForm, Shape

SIZE_PX = 416
CELLS = 52 * 52 + 26 * 26 + 13 * 13
BOXES = np.array([[80, 90, 120, 210], [238, 95, 282, 225]], np.float32)
"""Two people, (left, top, right, bottom) in pixels of the input."""
SCORES = np.array([0.9, 0.6], np.float32)
CENTRES, SIZES = (BOXES[:, :2] + BOXES[:, 2:]) / 2, BOXES[:, 2:] - BOXES[:, :2]
Outputs = list[NDArray[np.float32]]


@dataclass(frozen=True)
class Form:
    """The outer form of a kind, and outputs of one image that show two people and something else."""

    shapes: tuple[Shape, ...]
    outputs: Callable[[], Outputs]
    inputs: int = 1


def logit(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.log(scores / (1 - scores))


def yolox(*, is_decoded: bool) -> Outputs:
    """Each person in the cell of stride 8 that holds the centre; a dog in the first cell."""
    rows = np.zeros((CELLS, 85), np.float32)
    rows[0, 4:7] = 1, 0, 1
    for centre, size, score in zip(CENTRES, SIZES, SCORES, strict=True):
        column, row = (int(value // 8) for value in centre)
        place = rows[52 * row + column]
        place[:4] = (*centre, *size) if is_decoded else (*(centre / 8 - (column, row)), *np.log(size / 8))
        place[4:6] = 1, score
    return [rows]


def yolo_v8() -> Outputs:
    columns = np.zeros((84, CELLS), np.float32)
    columns[0:2, [5, 9]], columns[2:4, [5, 9]], columns[4, [5, 9]] = CENTRES.T, SIZES.T, SCORES
    columns[5, 0] = 1
    return [columns]


def rows_of_six(count: int) -> Outputs:
    rows = np.zeros((count, 6), np.float32)
    rows[0] = 1, 2, 3, 4, 1, 16
    rows[1:3, :4], rows[1:3, 4] = BOXES, SCORES
    rows[3:, 5] = 16
    return [rows]


def efficient_nms() -> Outputs:
    boxes, scores, classes = (np.zeros(shape, np.float32) for shape in ((100, 4), (100,), (100,)))
    boxes[1:3], scores[1:3], classes[0] = BOXES, SCORES, 16
    return [np.array([3], np.float32), boxes, scores, classes]


def detr(*, classes: int, person: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    logits, boxes = np.full((300, classes), -20, np.float32), np.zeros((300, 4), np.float32)
    logits[7:9, person], logits[0, 5] = logit(SCORES), 20
    boxes[7:9] = np.concatenate([CENTRES, SIZES], axis=1) / SIZE_PX
    return logits, boxes


def detr_deploy() -> Outputs:
    classes, boxes, scores = np.full(300, 5, np.float32), np.zeros((300, 4), np.float32), np.full(300, 0.9, np.float32)
    classes[7:9], boxes[7:9], scores[7:9] = 0, BOXES, SCORES
    return [classes, boxes, scores]


def detectnet() -> Outputs:
    coverage, distances = np.zeros((3, 26, 26), np.float32), np.zeros((12, 26, 26), np.float32)
    coverage[1, 0, 0] = 1
    for box, score in zip(BOXES, SCORES, strict=True):
        column, row = int((box[0] + box[2]) / 2 // 16), int((box[1] + box[3]) / 2 // 16)
        x, y = 16 * column + 0.5, 16 * row + 0.5
        coverage[0, row, column] = score
        distances[:4, row, column] = np.array([x - box[0], y - box[1], box[2] - x, box[3] - y]) / 35
    return [coverage, distances]


FORMS = {
    "yolox": Form(((1, CELLS, 85),), lambda: yolox(is_decoded=False)),
    "yolox-decoded": Form(((1, CELLS, 85),), lambda: yolox(is_decoded=True)),
    "yolo-v8": Form(((1, 84, CELLS),), yolo_v8),
    "yolo-end2end": Form(((1, 300, 6),), lambda: rows_of_six(300)),
    "deepstream-yolo": Form(((None, CELLS, 6),), lambda: rows_of_six(CELLS)),
    "efficient-nms": Form(((1, 1), (1, 100, 4), (1, 100), (1, 100)), efficient_nms),
    "detr-logits": Form(((1, 300, 80), (1, 300, 4)), lambda: list(detr(classes=80, person=0))),
    "detr-deploy": Form(((1, 300), (1, 300, 4), (1, 300)), detr_deploy, inputs=2),
    "rf-detr": Form(((1, 300, 4), (1, 300, 91)), lambda: list(reversed(detr(classes=91, person=1)))),
    "detectnet-v2": Form(((1, 3, 26, 26), (1, 12, 26, 26)), detectnet),
}


def form_of(name: str) -> NetworkForm:
    """The form of a kind for an input of SIZE_PX."""
    return NetworkForm(SIZE_PX, SIZE_PX, FORMS[name].inputs, FORMS[name].shapes)


def write_constant_network(
    path: Path,
    outputs: Outputs,
    *,
    inputs: int = 1,
    size: tuple[int | str, int | str] = (SIZE_PX, SIZE_PX),
    half: bool = False,
    planes: int = 3,
    batch: int | str = 1,
) -> Path:
    """An ONNX file that gives these outputs, each of one image, whatever it sees."""
    dtype, numbers = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    images = helper.make_tensor_value_info("images", dtype, [batch, planes, *size])
    sizes = [helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [1, 2])][: inputs - 1]
    nodes = [helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0)]
    for tensor in sizes:  # OpenVINO drops an input that nothing reads
        nodes += [
            helper.make_node("Cast", [tensor.name], ["sizes"], to=dtype),
            helper.make_node("ReduceMean", ["sizes"], ["size"], keepdims=0),
            helper.make_node("Mul", ["size", "mean"], ["both"]),
        ]
    nodes.append(helper.make_node("Mul", ["both" if sizes else "mean", "zero"], ["nothing"]))
    constants = [numpy_helper.from_array(np.zeros((), numbers), "zero")]
    found = []
    for number, output in enumerate(outputs):
        constants.append(numpy_helper.from_array(output[None].astype(numbers), f"constant{number}"))
        nodes.append(helper.make_node("Add", [f"constant{number}", "nothing"], [f"output{number}"]))
        found.append(helper.make_tensor_value_info(f"output{number}", dtype, [1, *output.shape]))
    graph = helper.make_graph(nodes, "constant", [images, *sizes], found, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
