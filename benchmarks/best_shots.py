"""Count how many of the daemon's descriptors show one person cleanly, and whom it describes; write a record.

It holds no timing, so it may run on a machine that is busy.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.streamed_clips import stream_clip, time_ns
from benchmarks.measuring.tracked_clips import LookSequence, as_sequences, read_clips
from benchmarks.measuring.tracking_scores import TrackedFrame
from edge_runtime.contract.preprocess import Box
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.link.messages import DescriptorMessage
from edge_runtime.people.best_shot import GOOD_QUALITY, LEAST_QUALITY
from edge_runtime.people.catalog import DetectorSettings, open_detector, open_tracker
from edge_runtime.streams.stream import DescriptorSettings

ROOT = Path(__file__).resolve().parents[1]
_MODEL = ROOT / "edge_runtime/models/osnet_x0_25.onnx"
_ALL = "all"
_ON_ONE_PERSON, _MOST_OF_ANOTHER = 0.5, 0.3
_METHOD = (
    "every_s 0.5; sequences that start at each of the first frames. clean: IoU of at least 0.5 with one true box, and "
    "no second one covers more than 0.3 of the described box; strictly clean: nor has more than 0.3 of itself inside. "
    "Before: each track in the first look when it is due, as until minor 1"
)


@dataclass(frozen=True)
class Moment:
    """What a crop showed. person: who is in it, None: nobody, or not cleanly one."""

    is_person: bool
    is_clean: bool
    is_strictly_clean: bool
    person: int | None


@dataclass(frozen=True)
class ChosenMoments:
    """What was described of one sequence. described: crops, also those that only helped to follow people."""

    sequence: LookSequence
    moments: list[Moment]
    described: int
    unclear_ends: int


@dataclass(frozen=True)
class ShotFigures:
    """One way of choosing moments at one rate on one clip, or on all of them. Shares are of `descriptors`.

    people: true ones, once per sequence; well_described: of whom at least one descriptor is clean. unclear_ends: ends
    of tracks that were never seen well enough, and whose only descriptor says so by its quality.
    described: crops, also those that only helped to follow people.
    """

    way: str
    clip: str
    rate: float
    looks: int
    described: int
    descriptors: int
    on_a_person: float
    clean: float
    strictly_clean: float
    people: int
    well_described: int
    unclear_ends: int


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    detector = open_detector(DetectorSettings(arguments.detector))
    found = []
    with open_engine(_MODEL, threads=1) as engine:
        clips = read_clips(arguments.clips, detector=detector, engine=engine)
        for rate in arguments.rates:
            sequences = [one for clip in clips for one in as_sequences(clip, min(rate, clip.fps))]
            ways = {
                "before": [_choose_before(one, sure_score=detector.sure_score) for one in sequences],
                "now": [_choose_now(one, engine=engine, sure_score=detector.sure_score) for one in sequences],
            }
            for way, chosen in ways.items():
                for clip in (*(clip.name for clip in clips), _ALL):
                    some = [one for one in chosen if clip in (one.sequence.name, _ALL)]
                    found.append(_sum_up(some, way=way, clip=clip, rate=rate))
    record = record_head("best_shots", libraries=("numpy", "onnxruntime", "opencv-python-headless")) | {
        "detector": arguments.detector.name,
        "model": _MODEL.name,
        "method": _METHOD,
        "least_quality": LEAST_QUALITY,
        "good_quality": GOOD_QUALITY,
        "figures": [asdict(one) for one in found],
    }
    output = arguments.output or record_folder() / "best_shots.json"
    write_record(output, record)
    for one in found:
        print(
            f"{one.clip:16}{one.way:8}{one.rate:5g} looks/s{one.descriptors:6} descriptors, clean {one.clean:.3f} "
            f"(strictly {one.strictly_clean:.3f}), {one.well_described} of {one.people} people; "
            f"{one.described} crops in {one.looks} looks, {one.unclear_ends} unclear ends"
        )
    print(f"record: {output}")
    return 0


def judge(box: Box, truth: TrackedFrame) -> Moment:
    """What a crop of `box` showed."""
    boxes = truth.boxes
    if not len(boxes):
        return Moment(False, False, False, None)
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.clip(sides, 0, None).prod(axis=1)
    area, areas = (box[2] - box[0]) * (box[3] - box[1]), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    overlap = shared / (area + areas - shared)
    best = int(overlap.argmax())
    others = np.arange(len(boxes)) != best
    is_person = bool(overlap[best] >= _ON_ONE_PERSON)
    is_clean = is_person and bool((shared / area)[others].max(initial=0) <= _MOST_OF_ANOTHER)
    is_strict = is_clean and bool((shared / areas)[others].max(initial=0) <= _MOST_OF_ANOTHER)
    return Moment(is_person, is_clean, is_strict, int(truth.ids[best]) if is_clean else None)


def _choose_before(sequence: LookSequence, *, sure_score: float) -> ChosenMoments:
    """Each confirmed track is described whenever half a second has passed."""
    every_ns = int(DescriptorSettings().every_s * 1e9)
    tracker, described_ns, found = open_tracker(sure_score=sure_score), dict[int, int](), list[Moment]()
    for look in sequence.looks:
        for track in tracker.update(look.frame.detections, time_ns(look)):
            is_due = time_ns(look) - described_ns.get(track.id, -every_ns) >= every_ns
            if track.state == "confirmed" and track.detection and is_due:
                described_ns[track.id] = time_ns(look)
                found.append(judge(track.detection.box, look.frame.truth))
    return ChosenMoments(sequence, found, described=len(found), unclear_ends=0)


def _choose_now(sequence: LookSequence, *, engine: Engine, sure_score: float) -> ChosenMoments:
    """What a camera's stream sends."""
    streamed = stream_clip(sequence, engine=engine, sure_score=sure_score)
    truths = {time_ns(look): look.frame.truth for look in sequence.looks}
    found, unclear_ends = list[Moment](), 0
    for message in streamed.messages:
        if isinstance(message, DescriptorMessage):
            left, top, right, bottom = message.box
            width, height = message.frame_width_px, message.frame_height_px
            box = (left * width, top * height, right * width, bottom * height)
            found.append(judge(box, truths[message.monotonic_ns]))
        elif message.event == "end":
            unclear_ends += message.quality is not None and message.quality < LEAST_QUALITY
    return ChosenMoments(sequence, found, streamed.described, unclear_ends)


def _sum_up(chosen: Sequence[ChosenMoments], *, way: str, clip: str, rate: float) -> ShotFigures:
    every = [moment for one in chosen for moment in one.moments]
    people = [{int(id_) for look in one.sequence.looks for id_ in look.frame.truth.ids} for one in chosen]
    return ShotFigures(
        way=way,
        clip=clip,
        rate=rate,
        looks=sum(len(one.sequence.looks) for one in chosen),
        described=sum(one.described for one in chosen),
        descriptors=len(every),
        on_a_person=round(float(np.mean([one.is_person for one in every])), 3),
        clean=round(float(np.mean([one.is_clean for one in every])), 3),
        strictly_clean=round(float(np.mean([one.is_strictly_clean for one in every])), 3),
        people=sum(map(len, people)),
        well_described=sum(len({moment.person for moment in one.moments} - {None}) for one in chosen),
        unclear_ends=sum(one.unclear_ends for one in chosen),
    )


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--clips CLIPS --detector yolox_nano.onnx",
        next_step="benchmarks/README.md shows the records as tables",
        examples="example: python benchmarks/best_shots.py --clips /data/tud --detector yolox_nano.onnx",
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of NAME.webm beside NAME.gt.txt")
    parser.add_argument("--detector", type=Path, required=True, help="person detector, see edge_runtime/README.md")
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[25, 10, 5, 2], help="looks per second (default: 25 10 5 2)"
    )
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/best_shots.json)")
    return parser


if __name__ == "__main__":
    import sys

    sys.exit(run(main))
