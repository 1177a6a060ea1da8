"""Measure the CPU time from boxes on a frame to the network's input, ours beside the usual loops; write a record."""

import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.peers.chain_workers import (
    FRAME_PX,
    CropSize,
    crop_like_tracker,
    crop_with_numpy,
    crop_with_pil,
    crop_with_torch,
    make_scene,
)
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.preprocess import crop_people
from edge_runtime.contract.script import ScriptParser, run
from export.building.timing import Call, interleave

_SIZE: CropSize = (256, 128)
_OURS = "ours"
_JOB = (
    "boxes on a frame to the network's input; peers: normalised float planes; ours: uint8 pixels, because mean and "
    "deviation are in the network's graph"
)


@dataclass(frozen=True)
class CropTiming:
    """CPU milliseconds per crop, median of the rounds. times_ours: this time over ours; larger is slower."""

    way: str
    batch: int
    cpu_ms: float
    times_ours: float


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.rounds < 1 or min(arguments.batches) < 1:
        raise ConfigError("expected --rounds and --batches of at least 1")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    timings = [timing for batch in arguments.batches for timing in time_croppings(batch, rounds=arguments.rounds)]
    record = record_head("preprocessing", libraries=("numpy", "torch", "opencv-python-headless", "pillow"))
    record |= {
        "job": _JOB,
        "frame": FRAME_PX,
        "input": _SIZE,
        "threads": 1,
        "rounds": arguments.rounds,
        "method": "one process, random order per round, one warm call before each timed one; CPU time; medians",
        "timings": [asdict(timing) for timing in timings],
    }
    output = arguments.output or record_folder() / "preprocessing.json"
    write_record(output, record)
    print(_table(timings))
    print(f"{record['device']}, one thread; record: {output}")
    return 0


def time_croppings(batch: int, *, rounds: int) -> list[CropTiming]:
    """Time all ways on the same frame and boxes, in turns."""
    frame, boxes = make_scene(batch)
    height_px, width_px = _SIZE
    crop = partial(crop_people, height_px=height_px, width_px=width_px, rule="bilinear-half-pixel")
    calls: dict[str, Call] = {
        "torch crops": partial(crop_with_torch, frame, boxes, size=_SIZE),
        "torch crops, normalised at once": partial(crop_like_tracker, frame, boxes, size=_SIZE),
        "numpy crops": partial(crop_with_numpy, frame, boxes, size=_SIZE),
        "PIL and torch": partial(crop_with_pil, frame, boxes, size=_SIZE),
        _OURS: partial(crop, frame, boxes),
    }
    samples = interleave(calls, rounds=rounds, clock=time.process_time)
    medians = {name: float(np.median(times)) / batch for name, times in samples.items()}
    return [CropTiming(name, batch, round(ms, 4), round(ms / medians[_OURS], 2)) for name, ms in medians.items()]


def _table(timings: list[CropTiming]) -> str:
    rows = [f"{'way':34}{'batch':>6}{'CPU ms/crop':>13}{'x ours':>8}"]
    rows += [f"{one.way:34}{one.batch:>6}{one.cpu_ms:>13.4f}{one.times_ours:>8.2f}" for one in timings]
    return "\n".join(rows)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--rounds 20",
        next_step="benchmarks/README.md shows the records as tables",
        examples="example: python benchmarks/preprocessing.py --batches 1 8 32",
    )
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], help="people per frame (default: 1 8 32)")
    parser.add_argument("--rounds", type=int, default=200, help="timed calls of each (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/preprocessing.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
