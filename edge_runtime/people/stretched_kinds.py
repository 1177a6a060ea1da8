"""Networks that see the image stretched, transformers and DetectNet: one row of STRETCHED_KINDS each."""

import numpy as np

from edge_runtime.people.input_fit import InputRule
from edge_runtime.people.network_kind import (
    Candidates,
    Floats,
    NetworkForm,
    NetworkKind,
    NetworkOutputs,
    count_classes,
    to_corners,
)

_STRETCHED = InputRule("stretched")
_RF_DETR = InputRule("stretched", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # as on ImageNet
_DETECTNET_STRIDE, _DETECTNET_OFFSET, _DETECTNET_SCALE = 16, 0.5, 35.0


def _is_detr_logits(form: NetworkForm) -> bool:
    """In either order."""
    return form.inputs == 1 and form.output_ranks == [3, 3] and [shape[2] for shape in form.outputs].count(4) == 1


def _is_rf_detr(form: NetworkForm) -> bool:
    return form.inputs == 1 and form.output_ranks == [3, 3] and form.outputs[0][2] == 4 and form.outputs[1][2] != 4


def _is_detr_deploy(form: NetworkForm) -> bool:
    return form.inputs == 2 and form.output_ranks == [2, 3, 2]


def _is_detectnet(form: NetworkForm) -> bool:
    if form.output_ranks != [4, 4]:
        return False
    (_, classes, rows, _), (_, distances, *_) = form.outputs
    return classes is not None and distances == 4 * classes and rows == form.height_px // _DETECTNET_STRIDE


def _count_detr_classes(form: NetworkForm) -> int | None:
    return next(shape[2] for shape in form.outputs if shape[2] != 4)


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


def _from_shares(boxes: Floats, form: NetworkForm) -> Floats:
    size = np.array([form.width_px, form.height_px], np.float32)
    return to_corners(boxes[:, 0:2] * size, boxes[:, 2:4] * size)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(logits / 2), np.float32)  # exp(-logits) can exceed float32


STRETCHED_KINDS = (
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
        classes=count_classes(0, 1),
        usual_classes=(1, 3),  # PeopleNet: person, bag, face
    ),
)
