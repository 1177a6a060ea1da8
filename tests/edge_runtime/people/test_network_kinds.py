"""Each kind of detection network, by networks of its outer form whose outputs were written by hand."""

import numpy as np
import pytest

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.network_kind import NetworkForm, NetworkOutputs, Shape
from edge_runtime.people.network_kinds import KINDS, find_kinds, kind_named
from tests.support.detector_forms import BOXES, CELLS, FORMS, SCORES, SIZE_PX, form_of

ALIKE = {
    "yolox": {"yolox", "yolox-decoded"},
    "yolox-decoded": {"yolox", "yolox-decoded"},
    "deepstream-yolo": {"yolox", "yolox-decoded", "deepstream-yolo"},  # six columns are YOLOX's with one class, too
}
"""Kinds whose outer form can be the same."""


def test_every_kind_has_a_form_here() -> None:
    """A new row of the table needs a network of its form."""
    assert [kind.name for kind in KINDS] == list(FORMS)


@pytest.mark.parametrize("name", FORMS)
def test_people_come_out_where_they_were_put(name: str) -> None:
    """Boxes in pixels of the input and scores as probabilities; other classes do not count."""
    kind = kind_named(name)
    found = kind.decode(NetworkOutputs(FORMS[name].outputs(), form_of(name)), kind.person_class)
    likely = found.scores > 0.5
    order = np.argsort(-found.scores[likely])
    np.testing.assert_allclose(found.scores[likely][order], SCORES, atol=1e-5)
    np.testing.assert_allclose(found.boxes[likely][order], BOXES, atol=1e-3)


@pytest.mark.parametrize("name", FORMS)
def test_a_kind_is_recognised_by_its_form(name: str) -> None:
    """Alone, unless other kinds have the same form: then all are named, and the user or the numbers must tell."""
    assert {kind.name for kind in find_kinds(form_of(name))} == ALIKE.get(name, {name})


@pytest.mark.parametrize(
    ("shapes", "name"),
    [
        (((1, 300, 4), (1, 300, 80)), "detr-logits"),
        (((1, 300, 4), (1, 300, 91)), "rf-detr"),
        (((1, 300, 91), (1, 300, 4)), "detr-logits"),
        (((1, CELLS, 84),), "yolo-v8"),
        (((1, CELLS, 5),), "yolo-v8"),
    ],
)
def test_the_number_of_classes_tells_kinds_of_one_form_apart(shapes: tuple[Shape, ...], name: str) -> None:
    """80 classes are COCO's as most networks count them, 91 as RF-DETR does; YOLOX has one number more per cell."""
    assert [kind.name for kind in find_kinds(NetworkForm(SIZE_PX, SIZE_PX, 1, shapes))] == [name]


def test_the_order_of_outputs_and_of_axes_does_not_matter_where_sizes_tell() -> None:
    """Exporters of RT-DETR and of YOLO 8 differ in it."""
    for name, outputs in (
        ("detr-logits", list(reversed(FORMS["detr-logits"].outputs()))),
        ("yolo-v8", [FORMS["yolo-v8"].outputs()[0].T]),
    ):
        form = NetworkForm(SIZE_PX, SIZE_PX, 1, tuple((1, *output.shape) for output in outputs))
        assert [kind.name for kind in find_kinds(form)] == [name]
        found = kind_named(name).decode(NetworkOutputs(outputs, form), 0)
        likely = found.scores > 0.5
        np.testing.assert_allclose(found.boxes[likely], BOXES, atol=1e-3)


@pytest.mark.parametrize(
    "shapes",
    [((1, 25200, 85),), ((1, 1000),), ((1, 32, 52, 52), (1, 32, 52, 52)), ()],
    ids=["v5", "classes", "maps", "none"],
)
def test_another_network_is_of_no_kind(shapes: tuple[Shape, ...]) -> None:
    """YOLOv5 at another size, a classifier, feature maps."""
    assert find_kinds(NetworkForm(SIZE_PX, SIZE_PX, 1, shapes)) == ()


@pytest.mark.parametrize(("name", "classes"), [("yolox", 80), ("yolo-v8", 80), ("rf-detr", 91), ("detectnet-v2", 3)])
def test_the_form_says_how_many_classes_there_are(name: str, classes: int) -> None:
    """So that a person's class beyond them is refused."""
    assert kind_named(name).classes(form_of(name)) == classes


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    """In the order of the table."""
    with pytest.raises(
        EngineError, match=r"unknown kind of detector 'ssd'; known kinds: yolox, yolox-decoded, yolo-v8"
    ):
        kind_named("ssd")
