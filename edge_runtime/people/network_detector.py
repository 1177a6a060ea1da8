"""Frames to person boxes by a detection network of any kind in the table."""

import logging
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import Detection, best_detections
from edge_runtime.people.input_fit import Fit, fill_input, fit_into
from edge_runtime.people.network_kinds import KINDS, Floats, NetworkForm, NetworkKind, find_kinds, kind_named

logger = logging.getLogger(__name__)

_GREY = 114
_NO_SUPPRESSION = 1.0


class DetectionNetwork(Protocol):
    """What runs a detection network, one image at a time."""

    backend: str
    form: NetworkForm

    def run(self, planes: Floats) -> list[Floats]:
        """planes: (3, height, width) float32. Returns the outputs of this image in the file's order."""
        ...


class NetworkDetector:
    """Finds people with a network. Used by one thread.

    person_class: where the network has people; the kind's own by default. score_threshold: candidates below it are
    dropped. overlap: of two boxes with a higher IoU the surer one is kept.

    Raises:
        EngineError: the network has no such class.
    """

    sure_score = 0.35

    def __init__(
        self,
        network: DetectionNetwork,
        kind: NetworkKind,
        *,
        person_class: int | None = None,
        score_threshold: float = 0.1,
        overlap: float = 0.5,
    ) -> None:
        self._network, self._kind = network, kind
        self._person = kind.person_class if person_class is None else person_class
        classes = kind.classes(network.form)
        if classes is not None and self._person >= classes:
            raise EngineError(
                f"the detector has {classes} classes: expected a person_class below, found {self._person}"
            )
        self._score_threshold = score_threshold
        self._overlap = overlap if kind.has_overlaps else _NO_SUPPRESSION
        self._planes = np.empty((3, network.form.height_px, network.form.width_px), np.float32)
        self._fits: dict[tuple[int, int], Fit] = {}

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`.

        Raises:
            EngineError: the backend failed.
        """
        size = (frame.height_px, frame.width_px) if isinstance(frame, Nv12) else (frame.shape[0], frame.shape[1])
        fit = self._fits.setdefault(size, self._fit(size))
        fill_input(frame, fit, rule=self._kind.rule, planes=self._planes)
        found = self._kind.decode(self._network.run(self._planes), self._network.form, self._person)
        likely = found.scores >= self._score_threshold
        boxes = fit.to_frame(found.boxes[likely])
        return best_detections(boxes, found.scores[likely], overlap=self._overlap, frame_shape=size)

    def _fit(self, frame_px: tuple[int, int]) -> Fit:
        form = self._network.form
        return fit_into(form.height_px, form.width_px, frame_px=frame_px, placement=self._kind.rule.placement)


def choose_kind(network: DetectionNetwork, *, name: str, path: Path) -> NetworkKind:
    """The kind called `name`, or for `auto` the one that the network's form shows. path: of its file, for messages.

    Raises:
        EngineError: no kind looks like this, several do, or the one that was named does not.
    """
    form = network.form
    if name != "auto":
        kind = kind_named(name)
        if not kind.describes(form):
            raise EngineError(f"{path} is no {name} detector: {_as_text(form)}; {_advice()}")
        return kind
    kinds = find_kinds(form)
    if {kind.name for kind in kinds} == {"yolox", "yolox-decoded"}:
        kinds = (kind_named("yolox-decoded" if _gives_pixels(network) else "yolox"),)
    if not kinds:
        raise EngineError(f"{path} is no detector that we know: {_as_text(form)}; {_advice()}")
    if len(kinds) > 1:
        names = " or ".join(kind.name for kind in kinds)
        raise EngineError(f"{path} may be {names}: {_as_text(form)}; say which, as `kind` of the detector")
    [kind] = kinds
    logger.info("detector %s: taken for %s (%s), by its outputs", path.name, kind.name, kind.example)
    return kind


def _gives_pixels(network: DetectionNetwork) -> bool:
    """Whether a YOLOX network decodes its boxes: then sizes on grey are pixels, several of which are above any log."""
    planes = np.full((3, network.form.height_px, network.form.width_px), _GREY, np.float32)
    rows = network.run(planes)[0]
    return bool(np.abs(rows[:, :2]).max() > 32)


def _as_text(form: NetworkForm) -> str:
    outputs = ", ".join(str(shape) for shape in form.outputs)
    inputs = "one input" if form.inputs == 1 else f"{form.inputs} inputs"
    return f"{inputs} of {form.height_px}x{form.width_px} pixels, outputs {outputs}"


def _advice() -> str:
    return f"known kinds: {', '.join(kind.name for kind in KINDS)}"
