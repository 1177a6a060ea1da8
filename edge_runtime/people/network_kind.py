"""What a kind of detection network is: its form, how it is recognised, fed and read.

Shapes are written for one image: N stands for the batch, K for classes, C for the cells of grids at strides 8, 16, 32.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime.people.input_fit import InputRule

Floats = NDArray[np.float32]
Shape = tuple[int | None, ...]
FREE_SIZE_PX = 640
"""The input of a network that takes any size; the one at which most are trained."""
LEAST_SCORE = 0.01
"""A lower score is nobody's, so it need not be decoded."""
GRID_STRIDES = (8, 16, 32)


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
        return sum((self.height_px // stride) * (self.width_px // stride) for stride in GRID_STRIDES)

    @property
    def only_output(self) -> Shape:
        """The shape of the only output of a network with one input; () where there are more."""
        return self.outputs[0] if self.inputs == len(self.outputs) == 1 else ()

    @property
    def output_ranks(self) -> list[int]:
        """How many axes each output has."""
        return [len(shape) for shape in self.outputs]


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


def count_classes(output: int, axis: int, *, other: int = 0) -> Callable[[NetworkForm], int | None]:
    """Classes by one size of an output, which also holds `other` numbers."""

    def classes(form: NetworkForm) -> int | None:
        size = form.outputs[output][axis]
        return None if size is None else size - other

    return classes


def to_corners(centres: Floats, sizes: Floats) -> Floats:
    """Boxes (M, 4) as left, top, right, bottom. centres, sizes: (M, 2), across and down."""
    return np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
