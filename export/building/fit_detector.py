"""Make a person detector cheaper for a camera: an input of the camera's shape, and a first layer without copies."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import onnx

from calibration.onnx_graph import read_network
from calibration.rewrites.detector_input import fit_input, fold_focus
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box
from edge_runtime.contract.script import ScriptParser
from edge_runtime.people.catalog import DetectorSettings, open_detector, record_detector
from edge_runtime.people.detector import Detection, Detector
from edge_runtime.people.network_detector import NetworkDetector
from export.acceptance.people_found import read_frames, share_found
from export.building.timing import interleave

_FRAMES = 48
_ROUNDS = 12
_LEAST_SHARE = 0.95
_LEAST_PEOPLE = 20


@dataclass(frozen=True)
class FitResult:
    """A new network beside its parent.

    finds, adds: share of the parent's sure people that it finds, and of its own that the parent finds. cpu_ms and
    parent_cpu_ms: of one look.
    """

    people: int
    finds: float
    adds: float
    cpu_ms: float
    parent_cpu_ms: float

    def fault(self) -> str | None:
        """Why it must not be used; None where it may."""
        if self.people < _LEAST_PEOPLE:
            return f"could be judged by {self.people} people only: expected {_LEAST_PEOPLE}; give a busier video"
        if min(self.finds, self.adds) < _LEAST_SHARE:
            return (
                f"finds {self.finds:.1%} of its parent's people, and {self.adds:.1%} of its own are its parent's: "
                f"expected {_LEAST_SHARE:.0%} of both"
            )
        if self.cpu_ms >= self.parent_cpu_ms:
            return f"is not faster: {self.cpu_ms:.2f} ms a look, its parent {self.parent_cpu_ms:.2f} ms"
        return None


def main(argv: list[str] | None = None) -> int:
    """Write the network and its manifest if it is as good and faster. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    parent = open_detector(DetectorSettings(arguments.model, kind=arguments.kind, person_class=arguments.person_class))
    assert isinstance(parent, NetworkDetector)
    frames = read_frames(arguments.video, _FRAMES)
    network = read_network(arguments.model)
    height_px, width_px = _fit(network, parent, frame=frames[0])
    output = arguments.output or arguments.model.with_name(f"{arguments.model.stem}_{width_px}x{height_px}.onnx")
    if output.exists() and output.samefile(arguments.model):
        raise ExportError(f"{output} would replace the file it is made from; give another --output")
    candidate = output.with_name(f"{output.stem}.partial.onnx")
    settings = DetectorSettings(candidate, kind=parent.kind.name, person_class=parent.person_class)
    try:
        candidate.write_bytes(network.SerializeToString(deterministic=True))
        result = compare(parent, open_detector(settings), frames=frames)
        print(_table(result))
        if fault := result.fault():
            raise ExportError(f"the network of {width_px}x{height_px} pixels {fault}; no file was written")
        os.replace(candidate, output)
    finally:
        candidate.unlink(missing_ok=True)
    settings = replace(settings, model=output)
    record_detector(settings, open_detector(settings))
    print(f"{output}: {parent.kind.name}, {width_px}x{height_px} pixels; name it as `model` of the detector")
    return 0


def compare(parent: Detector, child: Detector, *, frames: Sequence[Nv12]) -> FitResult:
    """Compare a new detector with its parent on frames: people and CPU time, in turns."""
    expected, found = ([_sure_boxes(detector, frame) for frame in frames] for detector in (parent, child))
    looks = {name: partial(_look, one, cycle(frames)) for name, one in (("parent", parent), ("child", child))}
    samples = interleave(looks, rounds=_ROUNDS, clock=time.process_time)
    return FitResult(
        people=sum(map(len, expected)),
        finds=share_found(expected, found),
        adds=share_found(found, expected),
        cpu_ms=float(np.median(samples["child"])),
        parent_cpu_ms=float(np.median(samples["parent"])),
    )


def _fit(network: onnx.ModelProto, parent: NetworkDetector, *, frame: Nv12) -> tuple[int, int]:
    """Rewrite a network for frames of this shape. Returns the height and width of its input.

    Raises:
        ExportError: there is nothing to rewrite, or the network works at its own size only.
    """
    before = parent.network.form.height_px, parent.network.form.width_px
    is_folded, after = fold_focus(network), before
    if parent.kind.rule.placement != "stretched":
        after = fit_input(network, frame_px=(frame.height_px, frame.width_px))
    if not is_folded and after == before:
        raise ExportError(
            f"nothing to gain: the network's input of {before[1]}x{before[0]} pixels fits frames of "
            f"{frame.width_px}x{frame.height_px}, and its first layer is one convolution; use the file as it is"
        )
    return after


def _look(detector: Detector, frames: "cycle[Nv12]") -> list[Detection]:
    return detector.detect(next(frames))


def _sure_boxes(detector: Detector, frame: Nv12) -> list[Box]:
    return [found.box for found in detector.detect(frame) if found.score >= detector.sure_score]


def _table(result: FitResult) -> str:
    return (
        f"people in {_FRAMES} frames       {result.people}\n"
        f"of these found             {result.finds:.1%}\n"
        f"found by the parent, too   {result.adds:.1%}\n"
        f"CPU ms a look              {result.cpu_ms:.2f}, parent {result.parent_cpu_ms:.2f}"
    )


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--detector yolox_nano.onnx --video CLIP",
        next_step="edge_runtime/README.md, Detectors",
        examples="example: python export/build_engine.py yolox_nano.onnx --detector --video entrance.mp4",
    )
    parser.add_argument("model", type=Path, help="a detection network as an ONNX file")
    parser.add_argument("--video", type=Path, required=True, help="a minute of the camera, with people")
    parser.add_argument("--kind", default="auto", help="as in the daemon's configuration (default: %(default)s)")
    parser.add_argument("--person-class", type=int, help="as in the daemon's configuration (default: the kind's)")
    parser.add_argument("--output", type=Path, help="default: NAME_WIDTHxHEIGHT.onnx beside the model")
    return parser
