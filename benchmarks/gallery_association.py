"""Join tracks into people, beside three other ways to do it: of a simulated floor, or of clips cut into two cameras.

Writes a record, and of the floor also a picture.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.bars import Bar, at_least, at_most
from benchmarks.measuring.floor_plan import Floor, draw_looks, walk
from benchmarks.measuring.halved_clips import RATE, WatchedClip, add_halved_options, watch_clips
from benchmarks.measuring.joining import JoiningScores, mean_scores, score_joining
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.measured_looks import measure_looks
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.tracked_clips import find_clips
from benchmarks.peers.track_joining import PEERS, JoinedTracks
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from edge_runtime.engine.catalog import open_engine
from edge_runtime.gallery.association import Association
from edge_runtime.gallery.prototypes import FinishedTrack
from edge_runtime.people.catalog import DetectorSettings, open_detector

_BATCH_S, _LOOK_S = 10.0, 60.0
_LIVE_BATCH_S, _LIVE_LOOK_S = 1.0, 5.0  # as the gallery does
_THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
_DATA_SET = "cuhk03_np_detected"
_NS = 1_000_000_000
PeerScores = dict[str, dict[float, JoiningScores]]
"""Of each peer at each threshold."""


def batches_of_tracks(tracks: tuple[FinishedTrack, ...], every_s: float) -> Iterator[tuple[float, list[FinishedTrack]]]:
    """Tracks as they end, in steps of so many seconds, with the time."""
    ends_s = np.array([track.end_ns for track in tracks]) / _NS
    first = 0
    for number in range(1, int(ends_s[-1] // every_s) + 2):
        last = int(np.searchsorted(ends_s, number * every_s))
        yield number * every_s, list(tracks[first:last])
        first = last


def join(
    tracks: tuple[FinishedTrack, ...], *, every_s: float = _BATCH_S, look_s: float = _LOOK_S
) -> tuple[NDArray[np.intp], float, int]:
    """Our own way. Returns a number of a person per track, seconds of the CPU, and how many tracks were renamed.

    every_s: tracks that end within so many seconds are decided together. look_s: after so many, and when the last
    tracks have ended, all are looked at again.
    """
    association = Association(len(tracks[0].mean))
    names: dict[str, str] = {}
    renames, start_s = 0, time.process_time()
    batches = list(batches_of_tracks(tracks, every_s))
    for number, (now_s, some) in enumerate(batches, 1):
        names |= {one.track_id: one.person for one in association.add(some)}
        if number % round(look_s / every_s) == 0 or number == len(batches):
            changed = association.revise(int(now_s * _NS))
            names |= {one.track_id: one.person for one in changed}
            renames += len(changed)
    cpu_s = time.process_time() - start_s
    return np.unique([names[track.track_id] for track in tracks], return_inverse=True)[1], cpu_s, renames


def join_like_peers(tracks: tuple[FinishedTrack, ...], people: NDArray[np.intp]) -> PeerScores:
    """Each peer at each threshold, with the mean descriptor taken off for it as well. people: -1 is not scored."""
    vectors = np.stack([track.mean for track in tracks])
    cameras = np.unique([track.camera for track in tracks], return_inverse=True)[1]
    start_s, end_s = (np.array([getattr(one, f"{end}_ns") for one in tracks]) / _NS for end in ("start", "end"))
    told = JoinedTracks(normalise(vectors - vectors.mean(0)), cameras, start_s, end_s)
    is_known = people >= 0
    return {
        name: {threshold: score_joining(peer(told, threshold)[is_known], people[is_known]) for threshold in _THRESHOLDS}
        for name, peer in PEERS.items()
    }


def join_clip(clip: WatchedClip) -> dict[str, Any]:
    """All ways on a clip as two cameras, nothing learnt before: the mean scores of its sequences of looks."""
    ours, peers = [], []
    for watched in clip.sequences:
        tracks = tuple(track.finished for track in watched)
        people = np.array([track.person or -1 for track in watched])
        labels, _, _ = join(tracks, every_s=_LIVE_BATCH_S, look_s=_LIVE_LOOK_S)
        ours.append(score_joining(labels[people >= 0], people[people >= 0]))
        peers.append(join_like_peers(tracks, people))
    means = {name: {at: mean_scores([one[name][at] for one in peers]) for at in _THRESHOLDS} for name in PEERS}
    return {
        "clip": clip.name,
        "people": len({track.person for watched in clip.sequences for track in watched} - {0}),
        "tracks": [len(watched) for watched in clip.sequences],
        "bars": joining_bars(mean_scores(ours), means),
        "ours": asdict(mean_scores(ours)),
        "peers": _as_fields(means),
    }


def joining_bars(ours: JoiningScores, peers: PeerScores) -> list[Bar]:
    """Each bar, what was measured, and whether it is met. Each figure of the peers is their best over all thresholds.

    False joins are compared at a recall that is at least that of the peer whose IDF1 is best.
    """
    every = [score for by_threshold in peers.values() for score in by_threshold.values()]
    best = max(every, key=lambda one: one.idf1)
    return [
        at_least("IDF1", limit=round(best.idf1 + 0.05, 3), measured=round(ours.idf1, 3)),
        at_least("AssA", limit=round(max(one.ass_a for one in every) + 0.05, 3), measured=round(ours.ass_a, 3)),
        at_least("recall", limit=round(best.recall, 3), measured=round(ours.recall, 3)),
        at_most(
            "false joins per 1,000 tracks", limit=round(best.false_joins / 2, 1), measured=round(ours.false_joins, 1)
        ),
    ]


def draw_scores(path: Path, ours: JoiningScores, *, peers: PeerScores) -> None:
    """A picture of false joins over recall: each peer's thresholds as a line, ours as a point."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for name, by_threshold in peers.items():
        scores = list(by_threshold.values())
        axes.plot([one.recall for one in scores], [one.false_joins for one in scores], marker="o", label=name)
    axes.plot([ours.recall], [ours.false_joins], marker="*", markersize=14, linestyle="none", label="reid-edge")
    axes.set_xlabel("share of a person's tracks under one name")
    axes.set_ylabel("tracks under another person's name, per 1,000")
    axes.set_xlim(0, 1)
    axes.legend()
    axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(path)


def main(argv: list[str] | None = None) -> int:
    """Print the bars and write record and picture. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if (arguments.clips is None) != (arguments.detector is None):
        raise ConfigError(
            "expected both --clips and --detector, or neither; give both for clips, neither for the floor"
        )
    return _measure_clips(arguments) if arguments.clips else _measure_floor(arguments)


def _measure_clips(arguments: argparse.Namespace) -> int:
    detector = open_detector(DetectorSettings(arguments.detector))
    with open_engine(arguments.engine, threads=1) as engine:
        clips = list(watch_clips(find_clips(arguments.clips), detector=detector, engine=engine))
    joined = [join_clip(clip) for clip in clips]
    record = record_head("association_clips", libraries=("numpy", "scipy")) | {
        "detector": arguments.detector.name,
        "engine": arguments.engine.name,
        "rate": RATE,
        "clips": joined,
    }
    output = arguments.output or record_folder() / "association_clips.json"
    write_record(output, record)
    for clip in joined:
        print(f"{clip['clip']}, {clip['people']} people")
        _print_bars(clip["bars"])
    print(f"record: {output}")
    return 0


def _measure_floor(arguments: argparse.Namespace) -> int:
    if arguments.people < 2 or arguments.seconds < 600:
        raise ConfigError("expected --people of at least 2 and --seconds of at least 600; give larger numbers")
    floor = Floor(people=arguments.people, seconds=arguments.seconds, seed=arguments.seed)
    looks = (
        measure_looks(_DATA_SET, arguments.data, engine=arguments.engine, people=floor.people, seed=floor.seed)
        if arguments.data
        else draw_looks(floor.people, seed=floor.seed)
    )
    walked = walk(floor, looks)
    labels, cpu_s, renames = join(walked.tracks)
    ours, peers = score_joining(labels, walked.people), join_like_peers(walked.tracks, walked.people)
    tracks_per_s = round(len(labels) / cpu_s, 3)
    bars = [
        *joining_bars(ours, peers),
        at_least("tracks per second of one core", limit=200.0, measured=tracks_per_s),
    ]
    record = record_head("association", libraries=("numpy", "scipy")) | {
        "floor": asdict(floor),
        "looks": f"measured on {_DATA_SET}" if arguments.data else "drawn",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "tracks": len(labels),
        "renames": renames,
        "decision_s": _BATCH_S,
        "bars": bars,
        "ours": asdict(ours),
        "peers": _as_fields(peers),
    }
    output = arguments.output or record_folder() / f"association{'' if arguments.data else '_drawn'}.json"
    write_record(output, record)
    draw_scores(output.with_suffix(".png"), ours, peers=peers)
    _print_bars(bars)
    print(f"{record['device']}, load {record['load_average']}; record: {output}")
    return 0


def _print_bars(bars: list[Bar]) -> None:
    for bar in bars:
        print(f"{bar['bar']:34}{bar['measured']:>10} of {bar['limit']:<8}{'met' if bar['is_met'] else 'NOT met'}")


def _as_fields(peers: PeerScores) -> dict[str, dict[str, dict[str, float]]]:
    return {name: {str(at): asdict(one) for at, one in scores.items()} for name, scores in peers.items()}


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--people 60 --seconds 1800",
        next_step="python benchmarks/readme_tables.py makes a table of the record",
        examples="example: OMP_NUM_THREADS=1 python benchmarks/gallery_association.py --seed 1 --output seed1.json",
    )
    parser.add_argument("--people", type=int, default=500, help="people who walk by (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=7200.0, help="how long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of floor, walks and looks (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    parser.add_argument(
        "--data", type=Path, help=f"copy of {_DATA_SET}, whose test identities walk (default: made-up ones)"
    )
    add_halved_options(parser, required=False)
    parser.add_argument(
        "--engine", type=Path, default=Path(shipped_model()), help="describes them (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
