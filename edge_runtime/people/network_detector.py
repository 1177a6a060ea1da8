"""Frames to person boxes by a detection network of any kind in the table."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import Detection, best_detections, size_px
from edge_runtime.people.input_fit import Fit, InputRule, fill_input, fit_into
from edge_runtime.people.network_kind import Floats, NetworkForm, NetworkKind, NetworkOutputs
from edge_runtime.people.network_kinds import KINDS, find_kinds, kind_named

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


@runtime_checkable
class BatchNetwork(DetectionNetwork, Protocol):
    """A detection network whose backend gains by several images in one go, as accelerators do.

    Not on CPUs: of YOLOX-nano an image of a batch of 2 or 4 took as long as a single one, in ONNX Runtime and OpenVINO.
    """

    images_at_once: int

    def run_batch(self, planes: Floats) -> list[list[Floats]]:
        """planes: (N, 3, height, width), N up to `images_at_once`. Returns what `run` does, for each image."""
        ...


@runtime_checkable
class FrameNetwork(BatchNetwork, Protocol):
    """A detection network whose device fits frames into its input, so that only their bytes are copied there."""

    takes_frames: bool
    """False where the device cannot do so after all."""

    def run_frames(
        self, frames: Sequence[Nv12 | NDArray[np.uint8]], fits: Sequence[Fit], *, rule: InputRule
    ) -> list[list[Floats]]:
        """Returns what `run_batch` does of the planes that `fill_input` would make of each frame."""
        ...


class NetworkDetector:
    """Finds people with a network. Scores are probabilities. Used by one thread.

    person_class: where the network has people. min_score: candidates below it are dropped. smallest_person_px: people
    less tall than this in the frame are dropped. overlap: of two boxes with a higher IoU the surer one is kept.
    """

    def __init__(
        self,
        network: DetectionNetwork,
        kind: NetworkKind,
        *,
        person_class: int,
        min_score: float = 0.1,
        smallest_person_px: float = 0.0,
        overlap: float = 0.5,
    ) -> None:
        self.network, self.kind, self.person_class = network, kind, person_class
        self.sure_score = max(0.35, min_score)
        self._min_score, self._smallest_person_px = min_score, smallest_person_px
        self._overlap = overlap if kind.has_overlaps else _NO_SUPPRESSION
        self.frames_at_once = network.images_at_once if isinstance(network, BatchNetwork) else 1
        self._fits_on_device = isinstance(network, FrameNetwork) and network.takes_frames
        size = (self.frames_at_once, 3, network.form.height_px, network.form.width_px)
        self._planes = np.empty(size, np.float32)
        self._fits: dict[tuple[int, int], Fit] = {}

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`.

        Raises:
            EngineError: the backend failed.
        """
        if self._fits_on_device:
            return self.detect_batch([frame])[0]
        self._fill(frame, self._planes[0])
        return self._decode(frame, self.network.run(self._planes[0]))

    def detect_batch(self, frames: Sequence[Nv12 | NDArray[np.uint8]]) -> list[list[Detection]]:
        """See `BatchDetector.detect_batch`.

        Raises:
            EngineError: the backend failed.
        """
        if not isinstance(self.network, BatchNetwork):
            return [self.detect(frame) for frame in frames]
        if isinstance(self.network, FrameNetwork) and self._fits_on_device:
            fits = [self._fit(size_px(frame)) for frame in frames]
            outputs = self.network.run_frames(frames, fits, rule=self.kind.rule)
        else:
            for frame, planes in zip(frames, self._planes, strict=False):
                self._fill(frame, planes)
            outputs = self.network.run_batch(self._planes[: len(frames)])
        return [self._decode(frame, each) for frame, each in zip(frames, outputs, strict=True)]

    def _fill(self, frame: Nv12 | NDArray[np.uint8], planes: Floats) -> None:
        fill_input(frame, self._fit(size_px(frame)), rule=self.kind.rule, planes=planes)

    def _decode(self, frame: Nv12 | NDArray[np.uint8], outputs: list[Floats]) -> list[Detection]:
        found = self.kind.decode(NetworkOutputs(outputs, self.network.form), self.person_class)
        likely = found.scores >= self._min_score
        size = size_px(frame)
        boxes, scores = self._fit(size).to_frame(found.boxes[likely]), found.scores[likely]
        is_tall = boxes[:, 3] - boxes[:, 1] >= self._smallest_person_px
        return best_detections(boxes[is_tall], scores[is_tall], overlap=self._overlap, frame_shape=size)

    def _fit(self, frame_px: tuple[int, int]) -> Fit:
        if frame_px not in self._fits:
            form, placement = self.network.form, self.kind.rule.placement
            self._fits[frame_px] = fit_into(form.height_px, form.width_px, frame_px=frame_px, placement=placement)
        return self._fits[frame_px]


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
        raise EngineError(f"{path} is no person detector known here: {_as_text(form)}; {_advice()}")
    if len(kinds) > 1:
        names = " or ".join(kind.name for kind in kinds)
        raise EngineError(f"{path} may be {names}: {_as_text(form)}; say which, as `kind` of the detector")
    [kind] = kinds
    logger.info("detector %s: taken for %s (%s) by its form: %s", path.name, kind.name, kind.example, _as_text(form))
    return kind


def choose_person_class(kind: NetworkKind, form: NetworkForm, *, asked: int | None, path: Path) -> int:
    """The class of people: the one that was asked for, or the kind's own where the network has a usual list of classes.

    Raises:
        EngineError: there is no such class, or none was asked for and the network has a list of its own.
    """
    classes = kind.classes(form)
    person_class = kind.person_class if asked is None else asked
    if classes is not None and person_class >= classes:
        raise EngineError(
            f"{path} tells {classes} classes apart: expected a person_class from 0 to {classes - 1}, "
            f"found {person_class}; correct `person_class` of the detector"
        )
    if asked is None and classes is not None and classes not in kind.usual_classes:
        usual = " or ".join(str(count) for count in kind.usual_classes)
        raise EngineError(
            f"{path} tells {classes} classes apart, where {kind.name} networks of known classes have {usual}: "
            "say which of them is the person, as `person_class` of the detector (the first one is 0)"
        )
    return person_class


def _gives_pixels(network: DetectionNetwork) -> bool:
    """Whether a YOLOX network decodes its boxes: then centres on grey are pixels and not offsets."""
    planes = np.full((3, network.form.height_px, network.form.width_px), _GREY, np.float32)
    rows = network.run(planes)[0]
    return bool(np.abs(rows[:, :2]).max() > 32)


def _as_text(form: NetworkForm) -> str:
    outputs = ", ".join(str(shape) for shape in form.outputs)
    inputs = "one input" if form.inputs == 1 else f"{form.inputs} inputs"
    return f"{inputs} of {form.height_px}x{form.width_px} pixels, outputs {outputs}"


def _advice() -> str:
    return f"known kinds: {', '.join(kind.name for kind in KINDS)}"
