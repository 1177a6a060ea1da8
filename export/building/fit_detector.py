"""Make a person detector cheaper for a camera: its shape, people only, half precision and INT8.

Without a precision the network is only fitted: an input of the camera's shape, and for YOLOX no copies in the first
layer and no other class than people. With one it is also built for a backend. What finds other people than float32, or
is not faster, is refused.
"""

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import onnx

from calibration.onnx_graph import read_network
from calibration.precision_plan import TargetBackend
from calibration.rewrites.detector_classes import keep_one_class
from calibration.rewrites.detector_input import fit_input, fold_focus
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.script import ScriptParser
from edge_runtime.people.catalog import DetectorSettings, open_detector, record_detector
from edge_runtime.people.detector_manifest import write_detector_manifest
from edge_runtime.people.network_detector import NetworkDetector
from export.acceptance.people_found import read_frames
from export.building.detector_build import BuiltDetector, DetectorSource, build_best, list_detector_kinds
from export.building.detector_trial import TrialFrames, compare, describe_trial, fault_of

_FRAMES = 48


def main(argv: list[str] | None = None) -> int:
    """Write the network and its manifest if it is as good and faster. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    settings = DetectorSettings(
        arguments.model, kind=arguments.kind, person_class=arguments.person_class, backend="onnxruntime"
    )
    parent = open_detector(settings)
    assert isinstance(parent, NetworkDetector)
    if arguments.precision is None:
        _write_fitted(arguments, parent)
        return 0
    kinds = list_detector_kinds(arguments.precision, arguments.backend)
    frames = read_frames(arguments.video, 2 * _FRAMES)
    trial = TrialFrames(arguments.video, frames[1::2])
    with tempfile.TemporaryDirectory(dir=arguments.model.parent, prefix=".build-") as name:
        folder = Path(name)
        network = read_network(arguments.model)
        fitted = folder / f"{arguments.model.stem}.onnx"
        _, person_class = _fit(network, parent, frame=frames[0])
        fitted.write_bytes(network.SerializeToString(deterministic=True))
        settings = replace(settings, model=fitted, kind=parent.kind.name, person_class=person_class)
        detector = open_detector(settings)
        assert isinstance(detector, NetworkDetector)
        source = DetectorSource(arguments.model, parent, fitted, network, detector, frames[0::2], trial)
        built = build_best(source, kinds, folder=folder, allow_slower=arguments.allow_slower)
        output = _place(built, arguments)
    print(f"{output}: {built.kind.precision} {built.kind.backend}; name it as `model` of the detector")
    return 0


def _write_fitted(arguments: argparse.Namespace, parent: NetworkDetector) -> None:
    """Write the network in float32, fitted to the video.

    Raises:
        ExportError: there is nothing to fit, or the new network is refused.
    """
    frames = read_frames(arguments.video, _FRAMES)
    network = read_network(arguments.model)
    is_changed, person_class = _fit(network, parent, frame=frames[0])
    if not is_changed:
        form = parent.network.form
        raise ExportError(
            f"nothing to gain: the network's input of {form.width_px}x{form.height_px} pixels fits frames of "
            f"{frames[0].width_px}x{frames[0].height_px}, and its first layer is one convolution; use the file as it is"
        )
    height_px, width_px = (dim.dim_value for dim in network.graph.input[0].type.tensor_type.shape.dim[2:])
    output = arguments.output or arguments.model.with_name(f"{arguments.model.stem}_{width_px}x{height_px}.onnx")
    _check_output(output, arguments.model)
    candidate = output.with_name(f"{output.stem}.partial.onnx")
    settings = DetectorSettings(candidate, kind=parent.kind.name, person_class=person_class, backend="onnxruntime")
    try:
        candidate.write_bytes(network.SerializeToString(deterministic=True))
        trial = compare(parent, open_detector(settings), on=TrialFrames(arguments.video, frames))
        print(describe_trial(trial))
        if fault := fault_of(trial):
            raise ExportError(f"the network of {width_px}x{height_px} pixels {fault}; no file was written")
        os.replace(candidate, output)
    finally:
        candidate.unlink(missing_ok=True)
    settings = replace(settings, model=output, backend="auto")
    record_detector(settings, open_detector(settings))
    print(f"{output}: {parent.kind.name}, {width_px}x{height_px} pixels; name it as `model` of the detector")


def _place(built: BuiltDetector, arguments: argparse.Namespace) -> Path:
    """Move the detector to its place, and write its manifest there."""
    usual = f"{arguments.model.stem}_{built.kind.precision}_{built.kind.backend}{built.path.suffix}"
    output: Path = arguments.output or arguments.model.with_name(usual)
    _check_output(output, arguments.model)
    os.replace(built.path, output)
    write_detector_manifest(output, built.manifest.model_copy(update={"file": output.name}))
    return output


def _fit(network: onnx.ModelProto, parent: NetworkDetector, *, frame: Nv12) -> tuple[bool, int]:
    """Rewrite a network for frames of this shape and for people. Returns whether it changed, and the person's class.

    Raises:
        ExportError: the network works at its own size only.
    """
    form, kind = parent.network.form, parent.kind
    before = after = form.height_px, form.width_px
    is_folded, is_smaller = fold_focus(network), False
    classes = kind.classes(form)
    if kind.name.startswith("yolox") and classes is not None:
        is_smaller = keep_one_class(network, classes=classes, kept=parent.person_class)
    if kind.rule.placement != "stretched":
        after = fit_input(network, frame_px=(frame.height_px, frame.width_px))
    return is_folded or is_smaller or after != before, 0 if is_smaller else parent.person_class


def _check_output(output: Path, model: Path) -> None:
    if output.exists() and output.samefile(model):
        raise ExportError(f"{output} would replace the file it is made from; give another --output")


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--detector yolox_nano.onnx --video CLIP",
        next_step="edge_runtime/README.md, Detectors",
        examples="example: python export/build_engine.py yolox_nano.onnx --detector --int8 --video entrance.mp4",
    )
    parser.add_argument("model", type=Path, help="a detection network as an ONNX file")
    parser.add_argument("--video", type=Path, required=True, help="a minute of the camera, with people")
    group = parser.add_mutually_exclusive_group()
    for name, meaning in (
        ("fp16", "half precision, by TensorRT"),
        ("bf16", "bfloat16, by OpenVINO on a CPU that has it"),
        ("int8", "INT8, calibrated on every other of the frames that are taken from the video"),
        ("best", "all that this machine offers; keeps the fastest that is good enough"),
    ):
        group.add_argument(f"--{name}", dest="precision", action="store_const", const=name, help=meaning)
    parser.add_argument(
        "--backend",
        choices=("auto", *get_args(TargetBackend)),
        default="auto",
        help="auto (default) tries all that are installed and keeps the fastest",
    )
    parser.add_argument("--allow-slower", action="store_true", help="accept a detector that is not faster")
    parser.add_argument("--kind", default="auto", help="as in the daemon's configuration (default: %(default)s)")
    parser.add_argument("--person-class", type=int, help="as in the daemon's configuration (default: the kind's)")
    parser.add_argument("--output", type=Path, help="default: NAME_WIDTHxHEIGHT, or NAME_PRECISION_BACKEND")
    return parser
