"""Runs other people's trackers on boxes that were found before. Needs their environment, and nothing of this project.

The camera stands still, so what compensates for its motion is switched off, and no tracker needs the pictures. Trackers
that look at people get our descriptors. Each is told the rate of looks where it can be.

example: python benchmarks/peers/tracking_worker.py track job.json descriptors.npy result.json
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


class PeerLook(NamedTuple):
    """rows: (N, 5) boxes and scores. descriptors: (N, D)."""

    rows: Rows
    descriptors: NDArray[np.float32]
    time_s: float


Update = Callable[[PeerLook], Rows]
"""Gives (M, 5): ids and boxes of the tracks that the tracker tells."""

_LIBRARIES = ("trackers", "supervision", "norfair", "boxmot", "trackeval")
_PICTURE = np.zeros((480, 640, 3), np.uint8)


def of_trackers(name: str, **options: Any) -> Callable[[float], Update]:
    """A tracker of Roboflow's `trackers`; it takes time stamps."""

    def make(rate: float) -> Update:
        import supervision  # type: ignore[import-not-found]
        import trackers  # type: ignore[import-not-found]

        tracker = getattr(trackers, name)(frame_rate=rate, **options)

        def update(look: PeerLook) -> Rows:
            found = supervision.Detections(
                xyxy=look.rows[:, :4], confidence=look.rows[:, 4], class_id=np.zeros(len(look.rows), np.int64)
            )
            told = tracker.update(found, timestamp=look.time_s)
            if not len(told) or told.tracker_id is None:
                return np.zeros((0, 5))
            is_track = told.tracker_id >= 0
            return np.column_stack([told.tracker_id[is_track], told.xyxy[is_track]])

        return update

    return make


def of_norfair(*, least_score: float, distance: float, patience_s: float | None) -> Callable[[float], Update]:
    """Norfair with overlaps. patience_s: how long it remembers a person; None for its default of 15 looks."""

    def make(rate: float) -> Update:
        import norfair  # type: ignore[import-not-found]

        patience = {} if patience_s is None else {"hit_counter_max": max(2, round(patience_s * rate))}
        waits = {} if patience_s is None else {"initialization_delay": 1 if rate < 10 else 2}
        tracker = norfair.Tracker(distance_function="iou", distance_threshold=distance, **patience, **waits)

        def update(look: PeerLook) -> Rows:
            found = [
                norfair.Detection(points=row[:4].reshape(2, 2), scores=row[[4, 4]], data=row[:4])
                for row in look.rows[look.rows[:, 4] >= least_score]
            ]
            told = [one for one in tracker.update(found) if any(one.last_detection is other for other in found)]
            return np.array([[one.id, *one.last_detection.data] for one in told]).reshape(-1, 5)

        return update

    return make


def of_boxmot(build: Callable[[float], Any], *, takes_descriptors: bool = False) -> Callable[[float], Update]:
    """A tracker of BoxMOT. build: makes it for a rate of looks."""

    def make(rate: float) -> Update:
        from loguru import logger  # type: ignore[import-not-found]

        logger.remove()
        tracker = build(rate)

        def update(look: PeerLook) -> Rows:
            found = np.column_stack([look.rows, np.zeros(len(look.rows))]).astype(np.float32)
            rest = (look.descriptors,) if takes_descriptors else ()
            told = np.asarray(tracker.update(found, _PICTURE, *rest), np.float64).reshape(-1, 8)
            return told[:, [4, 0, 1, 2, 3]]

        return update

    return make


def _boxmot(module: str, name: str, **options: Any) -> Any:
    from importlib import import_module

    return getattr(import_module(f"boxmot.trackers.{module}.{module}"), name)(**options)


def _bot_sort(rate: float, *, looks_at_people: bool, **options: Any) -> Any:
    import torch

    tracker = _boxmot(
        "botsort",
        "BotSort",
        reid_weights=None,
        device=torch.device("cpu"),
        half=False,
        with_reid=False,
        cmc_method=None,
        frame_rate=rate,
        **options,
    )
    tracker.with_reid = looks_at_people  # set later, so that it does not fetch a network of its own
    return tracker


def _deep_oc_sort(rate: float, **options: Any) -> Any:
    """Its own network is left out, because it is given descriptors."""
    import boxmot.trackers.deepocsort.deepocsort as module  # type: ignore[import-not-found]
    import torch

    module.ReID = lambda **settings: argparse.Namespace(model=None)
    return module.DeepOcSort(None, torch.device("cpu"), False, cmc_off=True, max_age=_looks_of_1_s(rate), **options)


def _looks_of_1_s(rate: float) -> int:
    return max(2, round(rate))


def peers(sure: float) -> dict[str, Callable[[float], Update]]:
    """All trackers, with their defaults, and where they have such a setting with our sure score."""
    return _plain_peers(sure) | _boxmot_peers(sure)


def _plain_peers(sure: float) -> dict[str, Callable[[float], Update]]:
    high = {"high_conf_det_threshold": sure}
    both = {**high, "track_activation_threshold": sure}
    return {
        "ByteTrack (trackers)": of_trackers("ByteTrackTracker"),
        "ByteTrack (trackers), our sure score": of_trackers("ByteTrackTracker", **both),
        "C-BIoU (trackers)": of_trackers("CBIoUTracker"),
        "C-BIoU (trackers), our sure score": of_trackers("CBIoUTracker", **both),
        "OC-SORT (trackers)": of_trackers("OCSORTTracker"),
        "OC-SORT (trackers), our sure score": of_trackers("OCSORTTracker", **high),
        "BoT-SORT (trackers)": of_trackers("BoTSORTTracker", enable_cmc=False),
        "BoT-SORT (trackers), our sure score": of_trackers("BoTSORTTracker", enable_cmc=False, **both),
        "SORT (trackers)": of_trackers("SORTTracker"),
        "norfair": of_norfair(least_score=0, distance=0.7, patience_s=None),
        "norfair, patience in seconds": of_norfair(least_score=sure, distance=0.9, patience_s=1),
    }


def _boxmot_peers(sure: float) -> dict[str, Callable[[float], Update]]:
    bot = {"track_high_thresh": sure, "new_track_thresh": sure}
    oc = {"det_thresh": sure, "iou_threshold": 0.3}
    one = {"det_thresh": sure, "iou_threshold": 0.2, "min_hits": 1}
    return {
        "ByteTrack (boxmot)": of_boxmot(lambda rate: _boxmot("bytetrack", "ByteTrack", frame_rate=rate)),
        "ByteTrack (boxmot), our sure score": of_boxmot(
            lambda rate: _boxmot("bytetrack", "ByteTrack", frame_rate=rate, track_thresh=sure)
        ),
        "OC-SORT (boxmot)": of_boxmot(
            lambda rate: _boxmot("ocsort", "OcSort", min_hits=3, max_age=_looks_of_1_s(rate), **oc)
        ),
        "OC-SORT (boxmot), one hit, overlap 0.2": of_boxmot(
            lambda rate: _boxmot("ocsort", "OcSort", use_byte=True, max_age=_looks_of_1_s(rate), **one)
        ),
        "BoT-SORT (boxmot)": of_boxmot(lambda rate: _bot_sort(rate, looks_at_people=False)),
        "BoT-SORT (boxmot), our sure score": of_boxmot(lambda rate: _bot_sort(rate, looks_at_people=False, **bot)),
        "BoT-SORT (boxmot), our descriptors": of_boxmot(
            lambda rate: _bot_sort(rate, looks_at_people=True), takes_descriptors=True
        ),
        "Deep OC-SORT (boxmot), our descriptors": of_boxmot(
            lambda rate: _deep_oc_sort(rate, min_hits=1 if rate < 10 else 3, **oc), takes_descriptors=True
        ),
        "BoostTrack (boxmot)": of_boxmot(
            lambda rate: _boxmot(
                "boosttrack",
                "BoostTrack",
                use_ecc=False,
                max_age=_looks_of_1_s(rate),
                min_hits=1 if rate < 10 else 3,
                **oc,
            )
        ),
    }


def track(job: Path, descriptors: Path, *, result: Path) -> None:
    """Run all trackers over all sequences of a job. The result has, per frame looked at, rows of id and box."""
    wanted, rows = json.loads(job.read_text()), np.load(descriptors)
    told: dict[str, list[list[list[list[float]]]]] = {}
    ms: dict[str, dict[str, float]] = {}
    for name, make in peers(wanted["sure_score"]).items():
        told[name] = [_run(make(one["rate"]), one, rows=rows).told for one in wanted["sequences"]]
        ms[name] = {one["name"]: _run(make(one["rate"]), one, rows=rows).median_ms for one in wanted["timed"]}
        print(name, file=sys.stderr)
    versions = {library: version(library) for library in _LIBRARIES}
    result.write_text(json.dumps({"versions": versions, "told": told, "ms": ms}))


def _run(update: Update, sequence: dict[str, Any], *, rows: Any) -> argparse.Namespace:
    """One tracker over one sequence: what it told, and its median processor time per look."""
    told, spent_ms = [], []
    for saved in sequence["looks"]:
        first, last = saved["descriptors"]
        boxes = np.array(saved["rows"], np.float64).reshape(-1, 5)
        look = PeerLook(boxes, rows[first:last].astype(np.float32), saved["time_s"])
        start_s = time.process_time()
        tracked = update(look)
        spent_ms.append(1000 * (time.process_time() - start_s))
        told.append(np.asarray(tracked, np.float64).tolist())
    return argparse.Namespace(told=told, median_ms=float(np.median(spent_ms)))


def score_by_trackeval(job: Path) -> dict[str, float]:
    """HOTA and IDF1 in per cent by TrackEval. The job has its own input for `eval_sequence`."""
    from trackeval.metrics import HOTA, Identity  # type: ignore[import-not-found]

    data = json.loads(job.read_text())
    for key in ("gt_ids", "tracker_ids"):
        data[key] = [np.array(ids, np.int64) for ids in data[key]]
    shapes = zip(data["gt_ids"], data["tracker_ids"], data["similarity_scores"], strict=True)
    data["similarity_scores"] = [np.array(part).reshape(len(one), len(other)) for one, other, part in shapes]
    hota, identity = HOTA().eval_sequence(data), Identity({"PRINT_CONFIG": False}).eval_sequence(data)
    return {"hota": 100 * float(np.mean(hota["HOTA"])), "idf1": 100 * float(identity["IDF1"])}


def main(argv: list[str] | None = None) -> int:
    """Track or score. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("track", "score"))
    parser.add_argument("files", type=Path, nargs="+", help="track: JOB DESCRIPTORS RESULT; score: JOB")
    arguments = parser.parse_args(argv)
    if arguments.what == "track":
        job, descriptors, result = arguments.files
        track(job, descriptors, result=result)
    else:
        print(json.dumps(score_by_trackeval(arguments.files[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
