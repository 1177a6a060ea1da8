"""Join tracks of a simulated floor into people, beside three other ways to do it; writes a record and a picture."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.bars import Bar, at_least, at_most
from benchmarks.measuring.floor_plan import Floor, Walked, draw_looks, walk
from benchmarks.measuring.joining import JoiningScores, score_joining
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.measured_looks import measure_looks
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.peers.track_joining import PEERS, JoinedTracks
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from edge_runtime.gallery.association import Association
from edge_runtime.gallery.prototypes import FinishedTrack

_BATCH_S, _BATCHES_PER_LOOK = 10.0, 6
_THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
_DATA_SET = "cuhk03_np_detected"
_NS = 1_000_000_000


def batches_of_tracks(tracks: tuple[FinishedTrack, ...]) -> Iterator[tuple[float, list[FinishedTrack]]]:
    """Tracks as they end, every ten seconds, with the time."""
    ends_s = np.array([track.end_ns for track in tracks]) / _NS
    first = 0
    for number in range(1, int(ends_s[-1] // _BATCH_S) + 2):
        last = int(np.searchsorted(ends_s, number * _BATCH_S))
        yield number * _BATCH_S, list(tracks[first:last])
        first = last


def join(walked: Walked) -> tuple[NDArray[np.intp], float, int]:
    """Our own way. Returns a number of a person per track, seconds of the CPU, and how many tracks were renamed."""
    association = Association(len(walked.tracks[0].mean))
    names: dict[str, str] = {}
    renames, start_s = 0, time.process_time()
    for number, (now_s, tracks) in enumerate(batches_of_tracks(walked.tracks), 1):
        names |= {one.track_id: one.person for one in association.add(tracks)}
        if number % _BATCHES_PER_LOOK == 0:
            changed = association.revise(int(now_s * _NS))
            names |= {one.track_id: one.person for one in changed}
            renames += len(changed)
    cpu_s = time.process_time() - start_s
    return np.unique([names[track.track_id] for track in walked.tracks], return_inverse=True)[1], cpu_s, renames


def join_like_peers(walked: Walked) -> dict[str, dict[float, JoiningScores]]:
    """Each peer at each threshold, with the mean descriptor taken off for it as well: without, all are worse."""
    vectors = np.stack([track.mean for track in walked.tracks])
    cameras = np.unique([track.camera for track in walked.tracks], return_inverse=True)[1]
    start_s, end_s = (np.array([getattr(one, f"{end}_ns") for one in walked.tracks]) / _NS for end in ("start", "end"))
    tracks = JoinedTracks(normalise(vectors - vectors.mean(0)), cameras, start_s, end_s)
    return {
        name: {threshold: score_joining(peer(tracks, threshold), walked.people) for threshold in _THRESHOLDS}
        for name, peer in PEERS.items()
    }


def joining_bars(
    ours: JoiningScores, peers: dict[str, dict[float, JoiningScores]], *, tracks_per_s: float
) -> list[Bar]:
    """Each bar, what was measured, and whether it is met. Each figure of the peers is their best over all thresholds.

    False joins are compared at a recall that is at least that of the peer whose IDF1 is best.
    """
    every = [score for by_threshold in peers.values() for score in by_threshold.values()]
    best = max(every, key=lambda one: one.idf1)
    return [
        at_least("IDF1", limit=round(best.idf1 + 0.05, 3), measured=round(ours.idf1, 3)),
        at_least("AssA", limit=round(max(one.ass_a for one in every) + 0.05, 3), measured=round(ours.ass_a, 3)),
        at_least("recall", limit=round(best.recall, 3), measured=round(ours.recall, 3)),
        at_least("tracks per second of one core", limit=200.0, measured=round(tracks_per_s, 3)),
        at_most(
            "false joins per 1,000 tracks", limit=round(best.false_joins / 2, 1), measured=round(ours.false_joins, 1)
        ),
    ]


def draw_scores(path: Path, ours: JoiningScores, *, peers: dict[str, dict[float, JoiningScores]]) -> None:
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
    if arguments.people < 2 or arguments.seconds < 600:
        raise ConfigError("expected --people of at least 2 and --seconds of at least 600; give larger numbers")
    floor = Floor(people=arguments.people, seconds=arguments.seconds, seed=arguments.seed)
    looks = (
        measure_looks(_DATA_SET, arguments.data, engine=arguments.engine, people=floor.people, seed=floor.seed)
        if arguments.data
        else draw_looks(floor.people, seed=floor.seed)
    )
    walked = walk(floor, looks)
    labels, cpu_s, renames = join(walked)
    ours, peers = score_joining(labels, walked.people), join_like_peers(walked)
    bars = joining_bars(ours, peers, tracks_per_s=len(labels) / cpu_s)
    record = record_head("association", libraries=("numpy", "scipy")) | {
        "floor": asdict(floor),
        "looks": f"measured on {_DATA_SET}" if arguments.data else "drawn",
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "tracks": len(labels),
        "renames": renames,
        "decision_s": _BATCH_S,
        "bars": bars,
        "ours": asdict(ours),
        "peers": {name: {str(at): asdict(one) for at, one in scores.items()} for name, scores in peers.items()},
    }
    output = arguments.output or record_folder() / f"association{'' if arguments.data else '_drawn'}.json"
    write_record(output, record)
    draw_scores(output.with_suffix(".png"), ours, peers=peers)
    for bar in bars:
        print(f"{bar['bar']:34}{bar['measured']:>10} of {bar['limit']:<8}{'met' if bar['is_met'] else 'NOT met'}")
    print(f"{record['device']}, load {record['load_average']}; record: {output}")
    return 0


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
    parser.add_argument(
        "--engine", type=Path, default=Path(shipped_model()), help="describes them (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
