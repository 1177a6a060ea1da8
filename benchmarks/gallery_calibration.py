"""Promise a share of wrong pairs on real video, without labels, and count the real one; write a record.

Each clip is cut into two cameras, which go through the daemon's own stream. What is promised was learnt from other
video, another street or the other half of the same clip, or is stated by the network's manifest. On clips with ground
truth all pairs are judged; otherwise those whom one camera sees at one moment. It holds no timing.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.halved_clips import RATE, WatchedTrack, add_halved_options, watch_clips
from benchmarks.measuring.known_pairs import KnownPairs, find_known_pairs
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.tracked_clips import find_clips
from calibration.site_figures import SHARES
from calibration.site_pairs import DescribedTracks
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.script import SAMPLE_CLIP, ScriptParser, run, shipped_model
from edge_runtime.contract.site_set import SiteCrop, SiteTrack
from edge_runtime.engine.catalog import open_engine
from edge_runtime.gallery.association import Association
from edge_runtime.gallery.calibration import CosineCalibration
from edge_runtime.gallery.prototypes import Centre
from edge_runtime.people.catalog import DetectorSettings, open_detector
from train.scoring.metrics import Interval

_FALSE_SHARE = 0.01
_Tracks = Sequence[WatchedTrack]


@dataclass(frozen=True)
class Watched:
    """A clip, or a part of it. once: the tracks of one sequence of looks. tracks: of all that start at other frames."""

    name: str
    once: _Tracks
    tracks: _Tracks
    has_truth: bool


@dataclass(frozen=True)
class Promise:
    """A limit. stated_low, stated_high: 95 % interval of the share that passes, as the way itself states it."""

    way: str
    learnt_from: str
    learnt_tracks: int
    cosine: float
    stated_low: float
    stated_high: float


@dataclass(frozen=True)
class KeptPromise:
    """What became of it. people: of the wrong pairs that were judged; tracks where people are not known."""

    promise: Promise
    counted_on: str
    compared: str
    promised: float
    real: Interval
    pairs: int
    people: int

    @property
    def is_within_two(self) -> bool:
        """Whether the bar is met: at most twice, and at least half of what was promised."""
        return 0.5 <= self.real.value / self.promised <= 2


@dataclass(frozen=True)
class FoundPairs:
    """Right pairs found where 1 % of the wrong ones pass, the limit chosen afterwards: of raw cosines, of log ratios.

    difference: found by log ratios minus found by cosines, the interval over people.
    """

    counted_on: str
    compared: str
    right_pairs: int
    by_cosine: Interval
    by_log_ratio: Interval
    difference: Interval


def main(argv: list[str] | None = None) -> int:
    """Print a line for each row and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    detector = open_detector(DetectorSettings(arguments.detector))
    clips = [*find_clips(arguments.clips), (arguments.long_clip, None)]
    with open_engine(arguments.engine, threads=1) as engine:
        watched = [
            Watched(clip.name, clip.sequences[0], [one for some in clip.sequences for one in some], clip.has_truth)
            for clip in watch_clips(clips, detector=detector, engine=engine)
        ]
        manifest = engine.manifest
    kept = list(judge_promises(watched, manifest))
    found = [find_right(one, of_tracks=of_tracks) for one in watched if one.has_truth for of_tracks in (False, True)]
    for row in kept:
        print(_line(row))
    for one in found:
        print(
            f"{one.counted_on} {one.compared}: {one.by_cosine.value:.3f} of {one.right_pairs} right pairs by cosine, "
            f"{one.by_log_ratio.value:.3f} by log ratio ({one.difference.low:+.3f} to {one.difference.high:+.3f})"
        )
    record = record_head("gallery_calibration", libraries=("numpy", "onnxruntime", "opencv-python-headless")) | {
        "detector": arguments.detector.name,
        "model": manifest.model_id,
        "rate": RATE,
        "promises": [asdict(row) | {"is_within_two": row.is_within_two} for row in kept],
        "found": [asdict(one) for one in found],
    }
    output = arguments.output or record_folder() / "gallery_calibration.json"
    write_record(output, record)
    print(f"record: {output}")
    return 0


def judge_promises(watched: Sequence[Watched], manifest: Manifest) -> Iterator[KeptPromise]:
    """Every promise on video that it was not learnt from."""
    for one in watched:
        for of_tracks in (False, True):
            pairs = find_known_pairs(one.tracks, of_tracks=of_tracks, has_truth=one.has_truth)
            for limit in manifest.evidence.verification if manifest.evidence else ():
                if any(np.isclose(limit.false_positive_rate, share) for share in SHARES):
                    promise = Promise("manifest", "its test images", 0, limit.threshold, 0.0, 1.0)
                    yield _keep(
                        promise, pairs, counted_on=one.name, share=limit.false_positive_rate, of_tracks=of_tracks
                    )
        learnt_from = [other for other in watched if other is not one]
        for other in learnt_from if one.has_truth else ():
            yield from _keep_site_limits(other, one, is_same_place=False)
    for one in watched:
        if not one.has_truth:
            first, second = halve_in_time(one)
            yield from _keep_site_limits(first, second, is_same_place=True)
            yield from _keep_site_limits(second, first, is_same_place=True)


def halve_in_time(one: Watched) -> tuple[Watched, Watched]:
    """The tracks that end before the middle of a clip, and those that begin after it."""
    middle_ns = max(track.finished.end_ns for track in one.once) // 2
    first = [track for track in one.once if track.finished.end_ns <= middle_ns]
    second = [track for track in one.once if track.finished.start_ns > middle_ns]
    return (
        Watched(f"{one.name}, first half", first, first, one.has_truth),
        Watched(f"{one.name}, second half", second, second, one.has_truth),
    )


def as_site_set(tracks: _Tracks) -> DescribedTracks:
    """Tracks as a site set has them; those without a good crop are not in one."""
    described = [track for track in tracks if len(track.vectors)]
    sites = []
    for track in described:
        name, camera = track.finished.track_id, track.finished.camera
        crops = [SiteCrop(Path(f"{name}-{time_s}"), camera, name, int(time_s * 1e9)) for time_s in track.crop_s]
        sites.append(SiteTrack(name, camera, tuple(crops)))
    return DescribedTracks(tuple(sites), tuple(track.vectors for track in described))


def find_right(one: Watched, *, of_tracks: bool) -> FoundPairs:
    """Right pairs at a true 1 % of wrong ones: by cosine, and as the gallery compares, having learnt there."""
    pairs = find_known_pairs(one.tracks, of_tracks=of_tracks, has_truth=True)
    calibration, centre = learn(one.once)
    centred = centre.take_off(pairs.vectors, pairs.cameras)
    ratios = calibration.log_ratios(centred @ centred.T, pairs.cameras, second=pairs.cameras)
    cosines = pairs.vectors @ pairs.vectors.T
    by_cosine, by_ratio = (_passing(scores, pairs) for scores in (cosines, ratios + 1e-3 * (centred @ centred.T)))
    return FoundPairs(
        counted_on=one.name,
        compared=_compared(of_tracks),
        right_pairs=int(pairs.right.sum()),
        by_cosine=pairs.share(by_cosine, pairs.right),
        by_log_ratio=pairs.share(by_ratio, pairs.right),
        difference=pairs.share(by_ratio - by_cosine, pairs.right),
    )


def learn(tracks: _Tracks) -> tuple[CosineCalibration, Centre]:
    """What a gallery has learnt of looks when these tracks have ended. Cameras: 0 left, 1 right."""
    association = Association(len(tracks[0].finished.mean))
    association.add([track.finished for track in sorted(tracks, key=lambda one: one.finished.camera)])
    return association.calibration, association.centre


def _keep_site_limits(learnt: Watched, judged: Watched, *, is_same_place: bool) -> Iterator[KeptPromise]:
    """By the limits that a site set gives (calibration/measure_site.py), also with its mean descriptor taken off."""
    site = as_site_set(learnt.once)
    for of_tracks in (False, True):
        pairs = find_known_pairs(judged.tracks, of_tracks=of_tracks, has_truth=judged.has_truth)
        for mean_off in (False, True) if is_same_place else (False,):
            wrong = site.wrong_pairs(of_tracks=of_tracks, mean_off=mean_off)
            vectors = normalise(pairs.vectors - site.means.mean(0)) if mean_off else pairs.vectors
            for share in SHARES:
                limit = wrong.limit(share)
                if limit is not None:
                    way = "site set, mean off" if mean_off else "site set"
                    promise = Promise(way, learnt.name, wrong.tracks, limit.cosine, limit.low, limit.high)
                    compared = replace(pairs, vectors=vectors)
                    yield _keep(promise, compared, counted_on=judged.name, share=share, of_tracks=of_tracks)


def _keep(promise: Promise, pairs: KnownPairs, *, counted_on: str, share: float, of_tracks: bool) -> KeptPromise:
    return KeptPromise(
        promise=promise,
        counted_on=counted_on,
        compared=_compared(of_tracks),
        promised=share,
        real=pairs.share(pairs.vectors @ pairs.vectors.T > promise.cosine, pairs.wrong),
        pairs=int(pairs.wrong.sum()),
        people=pairs.people,
    )


def _passing(scores: NDArray[np.float32], pairs: KnownPairs) -> NDArray[np.float64]:
    """(N, N): 1 where a score is above that of 99 % of the wrong pairs."""
    return (scores > np.quantile(scores[pairs.wrong], 1 - _FALSE_SHARE)).astype(np.float64)


def _compared(of_tracks: bool) -> str:
    return "tracks" if of_tracks else "crops"


def _line(row: KeptPromise) -> str:
    real = f"{100 * row.real.value:.2f} % ({100 * row.real.low:.2f} to {100 * row.real.high:.2f})"
    return (
        f"{row.promise.way:18} {row.promise.learnt_from:20} on {row.counted_on:20} {row.compared:6} promised "
        f"{100 * row.promised:4g} %: {real} of {row.pairs} pairs of {row.people}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--clips CLIPS --detector yolox_nano.onnx",
        next_step="python benchmarks/readme_tables.py makes a table of the record",
        examples="example: python benchmarks/gallery_calibration.py --clips /data/tud --detector yolox_nano.onnx",
    )
    add_halved_options(parser, required=True)
    parser.add_argument(
        "--long-clip", type=Path, default=SAMPLE_CLIP, help="a longer one without truth (default: OpenCV's sample)"
    )
    parser.add_argument("--engine", type=Path, default=Path(shipped_model()), help="describes (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))
