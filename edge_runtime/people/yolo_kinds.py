"""YOLO networks and what their exporters make of them: one row of YOLO_KINDS each."""

from functools import cache

import numpy as np

from edge_runtime.people.input_fit import InputRule
from edge_runtime.people.network_kind import (
    GRID_STRIDES,
    LEAST_SCORE,
    Candidates,
    Floats,
    NetworkForm,
    NetworkKind,
    NetworkOutputs,
    count_classes,
    to_corners,
)

_BYTES, _LETTERBOX = InputRule("top-left", "BGR", range_max=255.0), InputRule("centred")


def _is_yolox(form: NetworkForm) -> bool:
    shape = form.only_output
    return len(shape) == 3 and shape[1] == form.cells and shape[2] is not None and shape[2] >= 6


def _is_v8(form: NetworkForm) -> bool:
    """Some exporters transpose it; then only COCO and a single class can be told from YOLOX."""
    shape = form.only_output
    is_transposed = len(shape) == 3 and shape[1] == form.cells and shape[2] in (4 + 1, 4 + 80)
    is_plain = len(shape) == 3 and shape[2] == form.cells and shape[1] is not None and 5 <= shape[1] < form.cells
    return is_plain or is_transposed


def _is_end2end(form: NetworkForm) -> bool:
    shape = form.only_output
    return len(shape) == 3 and shape[1] is not None and shape[1] <= 1000 and shape[2] == 6


def _is_deepstream(form: NetworkForm) -> bool:
    shape = form.only_output
    return len(shape) == 3 and shape[1] == form.cells and shape[2] == 6


def _is_efficient_nms(form: NetworkForm) -> bool:
    return form.output_ranks == [2, 3, 2, 2] and form.outputs[1][2] == 4


def _count_v8_classes(form: NetworkForm) -> int | None:
    shape = form.only_output
    size = shape[2] if shape[1] == form.cells else shape[1]
    return None if size is None else size - 4


def _decode_yolox(found: NetworkOutputs, person: int) -> Candidates:
    """(C, 5 + K): centre in cells, log of size in cells, objectness, classes. Source: Ge et al., 2107.08430, 2.2."""
    cells, strides = _grids(found.form.height_px, found.form.width_px)
    scores = found.outputs[0][:, 4] * found.outputs[0][:, 5 + person]
    likely = scores >= LEAST_SCORE
    rows, cells, strides = found.outputs[0][likely], cells[likely], strides[likely]
    centres, sizes = (rows[:, 0:2] + cells) * strides, np.exp(rows[:, 2:4]) * strides
    return Candidates(to_corners(centres, sizes), scores[likely])


def _decode_yolox_in_pixels(found: NetworkOutputs, person: int) -> Candidates:
    """(C, 5 + K) as above, but decoded inside the graph."""
    rows = found.outputs[0]
    return Candidates(to_corners(rows[:, 0:2], rows[:, 2:4]), rows[:, 4] * rows[:, 5 + person])


def _decode_v8(found: NetworkOutputs, person: int) -> Candidates:
    """(4 + K, C), or transposed: centre and size in pixels, classes."""
    [rows] = found.outputs
    columns = rows if rows.shape[1] == found.form.cells else rows.T
    return Candidates(to_corners(columns[0:2].T, columns[2:4].T), columns[4 + person])


def _decode_rows(found: NetworkOutputs, person: int) -> Candidates:
    """(M, 6): corners in pixels, score, class."""
    rows = found.outputs[0][found.outputs[0][:, 5].astype(np.int64) == person]
    return Candidates(rows[:, 0:4], rows[:, 4])


def _decode_efficient_nms(found: NetworkOutputs, person: int) -> Candidates:
    """How many (1,), corners in pixels (M, 4), scores (M,), classes (M,)."""
    count, boxes, scores, classes = found.outputs
    people = np.flatnonzero(classes[: int(count.ravel()[0])].astype(np.int64) == person)
    return Candidates(boxes[people], scores[people])


@cache
def _grids(height_px: int, width_px: int) -> tuple[Floats, Floats]:
    """Column and row of each cell, (C, 2), and the pixels between cells, (C, 1)."""
    cells, strides = [], []
    for stride in GRID_STRIDES:
        rows, columns = np.mgrid[: height_px // stride, : width_px // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


YOLO_KINDS = (
    NetworkKind(
        name="yolox",
        example="YOLOX",
        rule=_BYTES,
        describes=_is_yolox,
        decode=_decode_yolox,
        has_overlaps=True,
        classes=count_classes(0, 2, other=5),
    ),
    NetworkKind(
        name="yolox-decoded",
        example="YOLOX, --decode_in_inference",
        rule=_BYTES,
        describes=_is_yolox,
        decode=_decode_yolox_in_pixels,
        has_overlaps=True,
        classes=count_classes(0, 2, other=5),
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
)
