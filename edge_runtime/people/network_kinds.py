"""The kinds of detection networks that users bring: how each is recognised, fed and read. One table row per kind.

Shapes are written for one image: N stands for the batch, K for classes, C for the cells of grids at strides 8, 16, 32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.input_fit import InputRule

Floats = NDArray[np.float32]
Shape = tuple[int | None, ...]
FREE_SIZE_PX = 640
"""The input of a network that takes any size; the one at which most are trained."""
LEAST_SCORE = 0.01
"""A lower score is nobody's, so it need not be decoded."""
_STRIDES = (8, 16, 32)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_BYTES = InputRule("top-left", "BGR", range_max=255.0)
_LETTERBOX, _STRETCHED = InputRule("centred"), InputRule("stretched")
_RF_DETR = InputRule("stretched", mean=_IMAGENET_MEAN, std=_IMAGENET_STD)
_DETECTNET_STRIDE, _DETECTNET_OFFSET, _DETECTNET_SCALE = 16, 0.5, 35.0


@dataclass(frozen=True)
class NetworkForm:
    """The outer form of a network.

    height_px, width_px: of its image input. inputs: how many it has. outputs: their shapes; None where a size is free.
    """

    height_px: int
    width_px: int
    inputs: int
    outputs: tuple[Shape, ...]

    @property
    def cells(self) -> int:
        """How many cells the grids of a YOLO network have for this input."""
        return sum((self.height_px // stride) * (self.width_px // stride) for stride in _STRIDES)


@dataclass(frozen=True)
class Candidates:
    """People of one image before overlapping boxes are sorted out.

    boxes: (M, 4) float32, (left, top, right, bottom) in pixels of the input. scores: (M,) float32, probabilities.
    """

    boxes: Floats
    scores: Floats


@dataclass(frozen=True)
class NetworkOutputs:
    """What a network of this form gave for one image, in the file's order."""

    outputs: Sequence[Floats]
    form: NetworkForm


Decode = Callable[[NetworkOutputs, int], Candidates]
"""(outputs of one image, the person's class) -> candidates."""


@dataclass(frozen=True)
class NetworkKind:
    """Everything about a kind.

    describes: whether a form can be of this kind. classes: how many it tells apart; None where the form does not say.
    has_overlaps: whether one person gives several boxes, so that the best of them must be chosen.
    usual_classes: how many classes a network with a well-known list tells apart; the list has people at person_class.
    example: a network of this kind that a user may know.
    """

    name: str
    example: str
    rule: InputRule
    describes: Callable[[NetworkForm], bool]
    decode: Decode
    has_overlaps: bool
    classes: Callable[[NetworkForm], int | None] = lambda form: None
    person_class: int = 0
    usual_classes: tuple[int, ...] = (1, 80)  # only people; COCO


def find_kinds(form: NetworkForm) -> tuple[NetworkKind, ...]:
    """All kinds that a form can be of. Of several, those that usually have as many classes, if there are any."""
    kinds = tuple(kind for kind in KINDS if kind.describes(form))
    usual = tuple(kind for kind in kinds if kind.classes(form) in (None, *kind.usual_classes))
    return usual or kinds


def kind_named(name: str) -> NetworkKind:
    """Look a kind up.

    Raises:
        EngineError: unknown.
    """
    known = {kind.name: kind for kind in KINDS}
    if name not in known:
        raise EngineError(f"unknown kind of detector {name!r}; known kinds: {', '.join(known)}")
    return known[name]


def _only(form: NetworkForm) -> Shape:
    """The shape of the only output of a network with one input; () where there are more."""
    return form.outputs[0] if form.inputs == len(form.outputs) == 1 else ()


def _ranks(form: NetworkForm) -> list[int]:
    return [len(shape) for shape in form.outputs]


def _is_yolox(form: NetworkForm) -> bool:
    shape = _only(form)
    return len(shape) == 3 and shape[1] == form.cells and shape[2] is not None and shape[2] >= 6


def _is_v8(form: NetworkForm) -> bool:
    """Some exporters transpose it; then only COCO and a single class can be told from YOLOX."""
    shape = _only(form)
    is_transposed = len(shape) == 3 and shape[1] == form.cells and shape[2] in (4 + 1, 4 + 80)
    is_plain = len(shape) == 3 and shape[2] == form.cells and shape[1] is not None and 5 <= shape[1] < form.cells
    return is_plain or is_transposed


def _is_end2end(form: NetworkForm) -> bool:
    shape = _only(form)
    return len(shape) == 3 and shape[1] is not None and shape[1] <= 1000 and shape[2] == 6


def _is_deepstream(form: NetworkForm) -> bool:
    shape = _only(form)
    return len(shape) == 3 and shape[1] == form.cells and shape[2] == 6


def _is_efficient_nms(form: NetworkForm) -> bool:
    return _ranks(form) == [2, 3, 2, 2] and form.outputs[1][2] == 4


def _is_detr_logits(form: NetworkForm) -> bool:
    """In either order."""
    return form.inputs == 1 and _ranks(form) == [3, 3] and [shape[2] for shape in form.outputs].count(4) == 1


def _is_rf_detr(form: NetworkForm) -> bool:
    return form.inputs == 1 and _ranks(form) == [3, 3] and form.outputs[0][2] == 4 and form.outputs[1][2] != 4


def _is_detr_deploy(form: NetworkForm) -> bool:
    return form.inputs == 2 and _ranks(form) == [2, 3, 2]


def _is_detectnet(form: NetworkForm) -> bool:
    if _ranks(form) != [4, 4]:
        return False
    (_, classes, rows, _), (_, distances, *_) = form.outputs
    return classes is not None and distances == 4 * classes and rows == form.height_px // _DETECTNET_STRIDE


def _count_classes(output: int, axis: int, *, other: int = 0) -> Callable[[NetworkForm], int | None]:
    """Classes by one size of an output, which also holds `other` numbers."""

    def classes(form: NetworkForm) -> int | None:
        size = form.outputs[output][axis]
        return None if size is None else size - other

    return classes


def _count_v8_classes(form: NetworkForm) -> int | None:
    shape = _only(form)
    size = shape[2] if shape[1] == form.cells else shape[1]
    return None if size is None else size - 4


def _count_detr_classes(form: NetworkForm) -> int | None:
    return next(shape[2] for shape in form.outputs if shape[2] != 4)


def _decode_yolox(found: NetworkOutputs, person: int) -> Candidates:
    """(C, 5 + K): centre in cells, log of size in cells, objectness, classes. Source: Ge et al., 2107.08430, 2.2."""
    cells, strides = _grids(found.form.height_px, found.form.width_px)
    scores = found.outputs[0][:, 4] * found.outputs[0][:, 5 + person]
    likely = scores >= LEAST_SCORE
    rows, cells, strides = found.outputs[0][likely], cells[likely], strides[likely]
    centres, sizes = (rows[:, 0:2] + cells) * strides, np.exp(rows[:, 2:4]) * strides
    return Candidates(_corners(centres, sizes), scores[likely])


def _decode_yolox_in_pixels(found: NetworkOutputs, person: int) -> Candidates:
    """(C, 5 + K) as above, but decoded inside the graph."""
    rows = found.outputs[0]
    return Candidates(_corners(rows[:, 0:2], rows[:, 2:4]), rows[:, 4] * rows[:, 5 + person])


def _decode_v8(found: NetworkOutputs, person: int) -> Candidates:
    """(4 + K, C), or transposed: centre and size in pixels, classes."""
    [rows] = found.outputs
    columns = rows if rows.shape[1] == found.form.cells else rows.T
    return Candidates(_corners(columns[0:2].T, columns[2:4].T), columns[4 + person])


def _decode_rows(found: NetworkOutputs, person: int) -> Candidates:
    """(M, 6): corners in pixels, score, class."""
    rows = found.outputs[0][found.outputs[0][:, 5].astype(np.int64) == person]
    return Candidates(rows[:, 0:4], rows[:, 4])


def _decode_efficient_nms(found: NetworkOutputs, person: int) -> Candidates:
    """How many (1,), corners in pixels (M, 4), scores (M,), classes (M,)."""
    count, boxes, scores, classes = found.outputs
    people = np.flatnonzero(classes[: int(count.ravel()[0])].astype(np.int64) == person)
    return Candidates(boxes[people], scores[people])


def _decode_detr_logits(found: NetworkOutputs, person: int) -> Candidates:
    """Logits (Q, K), and centre and size (Q, 4) as shares of the input; in either order."""
    boxes, logits = sorted(found.outputs, key=lambda output: output.shape[1] != 4)
    return Candidates(_from_shares(boxes, found.form), _sigmoid(logits[:, person]))


def _decode_rf_detr(found: NetworkOutputs, person: int) -> Candidates:
    """The same, boxes first."""
    boxes, logits = found.outputs
    return Candidates(_from_shares(boxes, found.form), _sigmoid(logits[:, person]))


def _decode_detr_deploy(found: NetworkOutputs, person: int) -> Candidates:
    """Classes (Q,), corners (Q, 4), scores (Q,).

    Exporters disagree on the order of the size that boxes are scaled to, so it is fed with the width twice, and heights
    are corrected here.
    """
    classes, boxes, scores = found.outputs
    people = np.flatnonzero(classes.astype(np.int64) == person)
    height = found.form.height_px / found.form.width_px
    return Candidates(boxes[people] * np.array([1, height, 1, height], np.float32), scores[people])


def _decode_detectnet(found: NetworkOutputs, person: int) -> Candidates:
    """Coverage (K, rows, columns), and four distances from each cell's point per class, (4K, rows, columns)."""
    coverage, distances = found.outputs[0][person], found.outputs[1][4 * person : 4 * person + 4]
    rows, columns = (
        np.arange(size, dtype=np.float32) * _DETECTNET_STRIDE + _DETECTNET_OFFSET for size in coverage.shape
    )
    left, top, right, bottom = distances * np.float32(_DETECTNET_SCALE)
    edges = columns[None] - left, rows[:, None] - top, columns[None] + right, rows[:, None] + bottom
    return Candidates(np.stack(edges, axis=-1).reshape(-1, 4), coverage.ravel())


def _corners(centres: Floats, sizes: Floats) -> Floats:
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)


def _from_shares(boxes: Floats, form: NetworkForm) -> Floats:
    size = np.array([form.width_px, form.height_px], np.float32)
    return _corners(boxes[:, 0:2] * size, boxes[:, 2:4] * size)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(logits / 2), np.float32)  # exp(-logits) can exceed float32


@cache
def _grids(height_px: int, width_px: int) -> tuple[Floats, Floats]:
    """Column and row of each cell, (C, 2), and the pixels between cells, (C, 1)."""
    cells, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height_px // stride, : width_px // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


KINDS = (
    NetworkKind(
        name="yolox",
        example="YOLOX",
        rule=_BYTES,
        describes=_is_yolox,
        decode=_decode_yolox,
        has_overlaps=True,
        classes=_count_classes(0, 2, other=5),
    ),
    NetworkKind(
        name="yolox-decoded",
        example="YOLOX, --decode_in_inference",
        rule=_BYTES,
        describes=_is_yolox,
        decode=_decode_yolox_in_pixels,
        has_overlaps=True,
        classes=_count_classes(0, 2, other=5),
    ),
    NetworkKind(
        name="yolo-v8",
        example="YOLO 8, 11, 12",
        rule=_LETTERBOX,
        describes=_is_v8,
        decode=_decode_v8,
        has_overlaps=True,
        classes=_count_v8_classes,
    ),
    NetworkKind(
        name="yolo-end2end",
        example="YOLO 10, 26",
        rule=_LETTERBOX,
        describes=_is_end2end,
        decode=_decode_rows,
        has_overlaps=False,
    ),
    NetworkKind(
        name="deepstream-yolo",
        example="YOLO exported for DeepStream",
        rule=_LETTERBOX,
        describes=_is_deepstream,
        decode=_decode_rows,
        has_overlaps=True,
    ),
    NetworkKind(
        name="efficient-nms",
        example="any, with EfficientNMS_TRT",
        rule=_LETTERBOX,
        describes=_is_efficient_nms,
        decode=_decode_efficient_nms,
        has_overlaps=False,
    ),
    NetworkKind(
        name="detr-logits",
        example="D-FINE, RT-DETR",
        rule=_STRETCHED,
        describes=_is_detr_logits,
        decode=_decode_detr_logits,
        has_overlaps=False,
        classes=_count_detr_classes,
    ),
    NetworkKind(
        name="detr-deploy",
        example="D-FINE, RT-DETR, deploy mode",
        rule=_STRETCHED,
        describes=_is_detr_deploy,
        decode=_decode_detr_deploy,
        has_overlaps=False,
    ),
    NetworkKind(
        name="rf-detr",
        example="RF-DETR",
        rule=_RF_DETR,
        describes=_is_rf_detr,
        decode=_decode_rf_detr,
        has_overlaps=False,
        classes=_count_detr_classes,
        person_class=1,
        usual_classes=(91,),  # COCO with its gaps, from 1
    ),
    NetworkKind(
        name="detectnet-v2",
        example="PeopleNet",
        rule=_STRETCHED,
        describes=_is_detectnet,
        decode=_decode_detectnet,
        has_overlaps=True,
        classes=_count_classes(0, 1),
        usual_classes=(1, 3),  # PeopleNet: person, bag, face
    ),
)
"""In the order in which they are asked. Recommended for their licences: YOLOX, D-FINE, RF-DETR."""
