"""Score our tracker beside others at several rates of looks, on the same boxes; time one update; write a record."""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.streamed_clips import stream_clip
from benchmarks.measuring.tracked_clips import ClipFrame, ClipLook, LookSequence, as_sequences, read_clips
from benchmarks.measuring.tracking_scores import (
    TrackedFrame,
    TrackingCounts,
    box_overlaps,
    count_tracking,
    score_tracking,
)
from benchmarks.measuring.weak_engine import RememberingEngine, WeakEngine
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.engine import Engine
from edge_runtime.people.appearance import Separation
from edge_runtime.people.catalog import DetectorSettings, open_detector, open_tracker
from edge_runtime.people.detector import Detection
from edge_runtime.people.likelihood_tracker import Following, LikelihoodTracker
from edge_runtime.people.motion import Walking
from edge_runtime.people.tracker import Tracker

ROOT = Path(__file__).resolve().parents[1]
_WORKER = ROOT / "benchmarks/peers/tracking_worker.py"
_MODEL = ROOT / "edge_runtime/models/osnet_x0_25.onnx"
OURS, OURS_WITHOUT = "ours, our descriptors", "ours, no descriptors"
_METHOD = (
    "all trackers on the same boxes; ours with descriptors is the daemon's own path, which describes unclear boxes and "
    "best moments, others one of every box; at each rate sequences that start at each of the first frames, "
    "scored together; HOTA and IDF1 in per cent; CPU time per update, median over 100"
)
_EXAMPLES = """\
example:
  python benchmarks/tracking.py --clips /data/tud --detector yolox_nano.onnx --peer-python /tmp/peers/bin/python

The other trackers want an environment of their own; without dependencies where they contradict each other:
  python -m venv /tmp/peers && /tmp/peers/bin/pip install torch boxmot trackeval supervision pydeprecate
  /tmp/peers/bin/pip install --no-deps trackers norfair
"""


@dataclass(frozen=True)
class TrackerScores:
    """What a tracker reaches on one clip at one rate, in per cent."""

    tracker: str
    clip: str
    rate: float
    hota: float
    idf1: float


@dataclass(frozen=True)
class UpdateTiming:
    """CPU milliseconds per update; times_ours: this time over ours without descriptors; larger is slower."""

    tracker: str
    boxes: int
    cpu_ms: float
    times_ours: float


@dataclass(frozen=True)
class WeakDescriptors:
    """Our tracker with descriptors of so many dimensions: mean sensitivity (d'), and scores over all sequences."""

    dimensions: int
    sensitivity: float
    hota: float
    idf1: float


Told = list[list[TrackedFrame]]
"""Per sequence and look, the tracks that a tracker told."""


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    detector = open_detector(DetectorSettings(arguments.detector))
    with open_engine(_MODEL, threads=1) as engine:
        clips = read_clips(arguments.clips, detector=detector, engine=engine)
        sequences = [one for clip in clips for rate in clip.rates(arguments.rates) for one in as_sequences(clip, rate)]
        timed = [_walkers(count) for count in arguments.boxes]
        remembering = RememberingEngine(engine)
        told, ms = run_ours(sequences, timed, engine=remembering, sure_score=detector.sure_score)
        weakened = weaken(sequences, engine=remembering, sure_score=detector.sure_score)
        described_by = engine.manifest.model_id
    peers = run_peers(sequences, timed, sure_score=detector.sure_score, python=arguments.peer_python)
    told, ms = told | peers.told, ms | peers.ms
    scores = [one for name, tracked in told.items() for one in score_tracker(name, tracked, sequences=sequences)]
    record = record_head("tracking", libraries=("numpy", "onnxruntime", "scipy")) | {
        "peers": peers.versions,
        "detector": arguments.detector.name,
        "descriptors": described_by,
        "method": _METHOD,
        "scores": [asdict(one) for one in scores],
        "timings": [asdict(one) for one in _timings(ms)],
        "varied": vary_ours(sequences, sure_score=detector.sure_score),
        "weakened": [asdict(one) for one in weakened],
        "difference_to_trackeval": peers.check(told[OURS], sequences),
    }
    output = arguments.output or record_folder() / "tracking.json"
    write_record(output, record)
    print(_table(scores))
    print(f"record: {output}")
    return 0


def _walkers(count: int) -> LookSequence:
    """A made-up street for timing: so many people who walk straight on, looked at 100 times at 10 looks/s."""
    random = np.random.default_rng(0)
    place, speed = random.uniform([0, 0], [1920, 1080], (count, 2)), random.normal(0, 60, (count, 2))
    size = random.uniform(80, 300, (count, 1)) * [0.2, 0.5]
    faces = random.normal(0, 1, (count, 512))
    nothing = Nv12(np.zeros((2, 2), np.uint8), np.zeros((1, 1, 2), np.uint8))
    looks = []
    for number in range(100):
        centre = place + speed * number / 10 + random.normal(0, 3, (count, 2))
        boxes = np.concatenate([centre - size, centre + size], axis=1).tolist()
        rows = faces + random.normal(0, 0.5, faces.shape)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        found = tuple(Detection((left, top, right, bottom), 0.8) for left, top, right, bottom in boxes)
        nobody = TrackedFrame(np.zeros(0, np.int64), np.zeros((0, 4)))
        looks.append(ClipLook(number / 10, ClipFrame(nothing, found, rows.astype(np.float32), nobody)))
    return LookSequence(str(count), 10, tuple(looks))


def run_ours(
    sequences: Sequence[LookSequence], timed: Sequence[LookSequence], *, engine: Engine, sure_score: float
) -> tuple[dict[str, Told], dict[str, dict[int, float]]]:
    """Run our tracker alone, and as the daemon does: through a camera's stream, which describes whom it has to.

    Returns tracks, and milliseconds by number of boxes.
    """
    told = {
        OURS_WITHOUT: [_follow(one, tracker=open_tracker(sure_score=sure_score))[0] for one in sequences],
        OURS: [stream_clip(one, engine=engine, sure_score=sure_score).tracked for one in sequences],
    }
    ms = {
        name: {
            int(one.name): _follow(one, tracker=open_tracker(sure_score=sure_score), has_descriptors=has)[1]
            for one in timed
        }
        for name, has in ((OURS_WITHOUT, False), (OURS, True))
    }
    return told, ms


def weaken(sequences: Sequence[LookSequence], *, engine: Engine, sure_score: float) -> list[WeakDescriptors]:
    """How our tracker scores with weaker and weaker descriptors, made by leaving out dimensions.

    From where they help, they are used: see `people.appearance.USEFUL_SENSITIVITY`.
    """
    truths = [[look.frame.truth for look in one.looks] for one in sequences]
    found = []
    for dimensions in (engine.manifest.descriptor.length, 64, 32, 16, 8, 4, 2, 0):
        weak = WeakEngine(engine, dimensions=max(dimensions, 1))
        trackers = [
            LikelihoodTracker(sure_score=sure_score, separation=Separation(useful_from=0.0 if dimensions else np.inf))
            for _ in sequences
        ]
        told = [
            stream_clip(one, engine=weak, sure_score=sure_score, tracker=tracker).tracked
            for one, tracker in zip(sequences, trackers, strict=True)
        ]
        scores = score_tracking([count_tracking(truth, one) for truth, one in zip(truths, told, strict=True)])
        sensitivity = round(float(np.mean([tracker.separation.sensitivity() for tracker in trackers])), 2)
        found.append(WeakDescriptors(dimensions, sensitivity, round(scores.hota, 1), round(scores.idf1, 1)))
    return found


def vary_ours(sequences: Sequence[LookSequence], *, sure_score: float) -> dict[str, list[float]]:
    """How much our numbers matter: HOTA over all sequences, with each of them smaller and larger by 30 %."""
    found: dict[str, list[float]] = {}
    for settings in (Walking(), Following()):
        for name, value in asdict(settings).items():
            for factor in (0.7, 1.3):
                changed = replace(settings, **{name: type(value)(round(value * factor, 4))})
                found.setdefault(name, []).append(_hota(changed, sequences, sure_score=sure_score))
    return found


def _hota(settings: Walking | Following, sequences: Sequence[LookSequence], *, sure_score: float) -> float:
    parts = []
    for one in sequences:
        walking = settings if isinstance(settings, Walking) else None
        following = settings if isinstance(settings, Following) else None
        tracker = LikelihoodTracker(sure_score=sure_score, walking=walking, following=following)
        told, _ = _follow(one, tracker=tracker, has_descriptors=True)
        parts.append(count_tracking([look.frame.truth for look in one.looks], told))
    return round(score_tracking(parts).hota, 1)


def _follow(
    sequence: LookSequence, *, tracker: Tracker, has_descriptors: bool = False
) -> tuple[list[TrackedFrame], float]:
    """Tracks per look, and the median CPU milliseconds of an update."""
    told, spent_ms = [], []
    for look in sequence.looks:
        rows = look.frame.descriptors if has_descriptors else None
        start_s = time.process_time()
        if has_descriptors:
            tracker.foresee(look.frame.detections, round(look.time_s * 1e9))
        tracks = tracker.update(look.frame.detections, round(look.time_s * 1e9), descriptors=rows)
        spent_ms.append(1000 * (time.process_time() - start_s))
        seen = [track for track in tracks if track.state == "confirmed"]
        told.append(_tracked((track.id, *track.box) for track in seen))
    return told, float(np.median(spent_ms))


def _tracked(rows: Iterable[Iterable[float]]) -> TrackedFrame:
    """rows: id, left, top, right, bottom."""
    values = np.array([list(row) for row in rows], np.float64).reshape(-1, 5)
    return TrackedFrame(values[:, 0].astype(np.int64), values[:, 1:])


@dataclass(frozen=True)
class PeerRun:
    """What the other trackers made of the sequences. check: compares our scores with those of TrackEval."""

    told: dict[str, Told]
    ms: dict[str, dict[int, float]]
    versions: dict[str, str]
    check: Callable[[Told, Sequence[LookSequence]], float]


def run_peers(
    sequences: Sequence[LookSequence], timed: Sequence[LookSequence], *, sure_score: float, python: Path
) -> PeerRun:
    """Run the other trackers in their own environment.

    Raises:
        ConfigError: that environment cannot run them.
    """
    rows: list[NDArray[np.float32]] = []
    job = {
        "sure_score": sure_score,
        "sequences": [_as_job(one, rows) for one in sequences],
        "timed": [_as_job(one, rows) for one in timed],
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("job.json", "descriptors.npy", "result.json")]
        paths[0].write_text(json.dumps(job))
        np.save(paths[1], np.concatenate(rows).astype(np.float16))
        _run_worker(python, "track", *paths)
        result = json.loads(paths[2].read_text())
    told = {
        name: [[_tracked(look) for look in sequence] for sequence in tracked]
        for name, tracked in result["told"].items()
    }
    ms = {name: {int(count): value for count, value in found.items()} for name, found in result["ms"].items()}
    return PeerRun(told, ms, result["versions"], lambda ours, looked: _check(ours, looked, python=python))


def _as_job(sequence: LookSequence, rows: list[NDArray[np.float32]]) -> dict[str, Any]:
    """A sequence as the worker reads it; its descriptors are appended to `rows`."""
    looks: list[dict[str, Any]] = []
    last = sum(map(len, rows))
    for look in sequence.looks:
        first, last = last, last + len(look.frame.descriptors)
        rows.append(look.frame.descriptors)
        boxes = [[*one.box, one.score] for one in look.frame.detections]
        looks.append({"time_s": look.time_s, "rows": boxes, "descriptors": [first, last]})
    return {"name": sequence.name, "rate": sequence.rate, "looks": looks}


def _run_worker(python: Path, *arguments: str | Path) -> str:
    try:
        done = subprocess.run([python, _WORKER, *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise ConfigError(
            f"cannot run {python}: {error.strerror}; see --help for how to make that environment"
        ) from error
    if done.returncode:
        last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
        raise ConfigError(f"the other trackers failed: {last}; see --help for the environment that {python} needs")
    return done.stdout


def score_tracker(name: str, tracked: Told, *, sequences: Sequence[LookSequence]) -> list[TrackerScores]:
    """Score a tracker on every clip at every rate, all sequences of both together."""
    counts: dict[tuple[str, float], list[TrackingCounts]] = {}
    for sequence, told in zip(sequences, tracked, strict=True):
        part = count_tracking([look.frame.truth for look in sequence.looks], told)
        counts.setdefault((sequence.name, sequence.rate), []).append(part)
    scored = {key: score_tracking(parts) for key, parts in counts.items()}
    return [TrackerScores(name, *key, round(one.hota, 1), round(one.idf1, 1)) for key, one in scored.items()]


def _check(tracked: Told, sequences: Sequence[LookSequence], *, python: Path) -> float:
    """The greatest difference of our scores of single sequences to TrackEval's, one sequence of each clip and rate."""
    chosen = {(one.name, one.rate): (one, told) for one, told in zip(sequences, tracked, strict=True)}
    differences = [0.0]
    for sequence, told in chosen.values():
        truth = [look.frame.truth for look in sequence.looks]
        ours = score_tracking([count_tracking(truth, told)])
        with tempfile.TemporaryDirectory() as folder:
            job = Path(folder) / "job.json"
            job.write_text(json.dumps(_for_trackeval(truth, told)))
            theirs = json.loads(_run_worker(python, "score", job).splitlines()[-1])
        differences += [abs(ours.hota - theirs["hota"]), abs(ours.idf1 - theirs["idf1"])]
    return max(differences)


def _for_trackeval(truth: Sequence[TrackedFrame], told: Sequence[TrackedFrame]) -> dict[str, Any]:
    """What TrackEval's metrics take: ids from 0 without gaps."""
    data: dict[str, Any] = {"num_timesteps": len(truth)}
    for side, frames in (("gt", truth), ("tracker", told)):
        ids = np.unique(np.concatenate([frame.ids for frame in frames]))
        data[f"{side}_ids"] = [np.searchsorted(ids, frame.ids).tolist() for frame in frames]
        data[f"num_{side}_ids"], data[f"num_{side}_dets"] = len(ids), sum(len(frame.ids) for frame in frames)
    data["similarity_scores"] = [
        box_overlaps(one.boxes, other.boxes).tolist() for one, other in zip(truth, told, strict=True)
    ]
    return data


def _timings(ms: dict[str, dict[int, float]]) -> list[UpdateTiming]:
    return [
        UpdateTiming(name, count, round(value, 3), round(value / ms[OURS_WITHOUT][count], 2))
        for name, found in ms.items()
        for count, value in found.items()
    ]


def _table(scores: Sequence[TrackerScores]) -> str:
    """One line per tracker and clip, HOTA / IDF1 per rate."""
    lines = []
    for clip in dict.fromkeys(one.clip for one in scores):
        rates = list(dict.fromkeys(one.rate for one in scores if one.clip == clip))
        lines.append(f"{clip:42}" + "".join(f"{f'{rate:g} looks/s':>14}" for rate in rates))
        for name in dict.fromkeys(one.tracker for one in scores):
            found = [one for one in scores if (one.tracker, one.clip) == (name, clip)]
            lines.append(f"{name:42}" + "".join(f"{f'{one.hota:.1f} / {one.idf1:.1f}':>14}" for one in found))
    return "\n".join(lines)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--clips CLIPS --detector yolox_nano.onnx --peer-python /tmp/peers/bin/python",
        next_step="benchmarks/README.md shows the records as tables",
        examples=_EXAMPLES,
    )
    parser.add_argument("--clips", type=Path, required=True, help="folder of NAME.webm beside NAME.gt.txt")
    parser.add_argument("--detector", type=Path, required=True, help="person detector, see edge_runtime/README.md")
    parser.add_argument(
        "--peer-python", type=Path, required=True, help="interpreter of the other trackers' environment"
    )
    parser.add_argument(
        "--rates", type=float, nargs="+", default=[30, 10, 5, 3, 2], help="looks per second (default: 30 10 5 3 2)"
    )
    parser.add_argument("--boxes", type=int, nargs="+", default=[20, 100], help="people to time (default: 20 100)")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/tracking.json)")
    return parser


if __name__ == "__main__":
    import sys

    sys.exit(run(main))
