"""Measure the CPU time of one look for people, by HOG and by networks in ONNX Runtime and OpenVINO; write a record."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.detector import Detection, Detector
from edge_runtime.people.detector_file import read_detector_file
from edge_runtime.people.detector_manifest import read_detector_manifest
from edge_runtime.people.hog import HogDetector
from edge_runtime.people.network_backends import NetworkBackend
from edge_runtime.people.network_detector import NetworkDetector
from export.acceptance.people_found import read_frames, share_found
from export.building.timing import interleave

_SIZES_PX = ((432, 768), (1080, 1920))


@dataclass(frozen=True)
class LookTiming:
    """One detector at one size of frame.

    cpu_ms: CPU milliseconds per look, median. times_first: over that of the first network in ONNX Runtime.
    people: sure ones per look. finds: share of the first network's people that it finds, too (IoU of 0.5 and more).
    """

    way: str
    frame: tuple[int, int]
    cpu_ms: float
    times_first: float
    people: float
    finds: float


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.rounds < 1 or arguments.frames < 1:
        raise ConfigError("expected --rounds and --frames of at least 1")
    cv2.setNumThreads(1)
    ways = _open_ways(arguments.models)
    timings = [
        timing
        for size in _SIZES_PX
        for timing in time_looks(
            ways, read_frames(arguments.video, arguments.frames, size_px=size), rounds=arguments.rounds
        )
    ]
    record = record_head("detectors", libraries=("numpy", "opencv-python-headless", "onnxruntime", "openvino"))
    record |= {
        "job": "from NV12 in memory to boxes: the network's input, the network, decoding, the choice of boxes",
        "video": arguments.video.name,
        "frames": arguments.frames,
        "threads": 1,
        "rounds": arguments.rounds,
        "method": "one process, random order per round, one warm call before each timed one; CPU time; medians",
        "timings": [asdict(timing) for timing in timings],
    }
    output = arguments.output or record_folder() / "detectors.json"
    write_record(output, record)
    print(_table(timings))
    print(f"{record['device']}, one thread, load {record['load_average']}; record: {output}")
    return 0


def time_looks(ways: dict[str, Detector], frames: Sequence[Nv12], *, rounds: int) -> list[LookTiming]:
    """Time all detectors in turns. The second one is what the others are compared with."""
    looks = {name: partial(_look_at_next, detector, cycle(frames)) for name, detector in ways.items()}
    samples = interleave(looks, rounds=rounds, clock=time.process_time)
    medians = {name: float(np.median(times)) for name, times in samples.items()}
    found = {name: [_sure_boxes(detector, frame) for frame in frames] for name, detector in ways.items()}
    first = list(ways)[1]
    return [
        LookTiming(
            way=name,
            frame=(frames[0].height_px, frames[0].width_px),
            cpu_ms=round(ms, 2),
            times_first=round(ms / medians[first], 2),
            people=round(sum(map(len, found[name])) / len(frames), 2),
            finds=round(share_found(found[first], found[name]), 3),
        )
        for name, ms in medians.items()
    ]


def _open_ways(models: Sequence[Path]) -> dict[str, Detector]:
    ways: dict[str, Detector] = {"HOG": HogDetector()}
    backends: tuple[NetworkBackend, ...] = ("onnxruntime", "openvino")
    for model in models:
        manifest = read_detector_manifest(read_detector_file(model))
        own: tuple[NetworkBackend, ...] = ("auto",)  # what was built runs in the backend it was built for
        for backend in own if manifest and manifest.build else backends:
            detector = open_detector(DetectorSettings(model, backend=backend))
            assert isinstance(detector, NetworkDetector)
            library, _, *where = detector.network.backend.split()
            ways[f"{model.stem}, {library} {where[-1]}"] = detector
    return ways


def _look_at_next(detector: Detector, frames: "cycle[Nv12]") -> list[Detection]:
    return detector.detect(next(frames))


def _sure_boxes(detector: Detector, frame: Nv12) -> list[Box]:
    return [found.box for found in detector.detect(frame) if found.score >= detector.sure_score]


def _table(timings: Sequence[LookTiming]) -> str:
    rows = [f"{'way':52}{'frame':>11}{'CPU ms':>8}{'x first':>9}{'people':>8}{'finds':>7}"]
    rows += [
        f"{one.way:52}{one.frame[1]:>6}x{one.frame[0]:<4}{one.cpu_ms:>8.2f}{one.times_first:>9.2f}"
        f"{one.people:>8.2f}{one.finds:>7.1%}"
        for one in timings
    ]
    return "\n".join(rows)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="yolox_nano.onnx --video CLIP",
        next_step="benchmarks/README.md shows the records as tables",
        examples="example: python benchmarks/detectors.py yolox_nano.onnx yolox_nano_int8.onnx --video street.mp4",
    )
    parser.add_argument(
        "models", type=Path, nargs="+", metavar="MODEL", help="networks; the first one is compared with"
    )
    parser.add_argument("--video", type=Path, required=True, help="where the frames come from")
    parser.add_argument("--frames", type=int, default=40, help="spread over the video (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=60, help="timed looks of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/detectors.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
