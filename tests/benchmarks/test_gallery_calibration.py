"""Promises on watched clips: nobody is learnt from and judged on at once, and what passes is what is counted."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.gallery_association import join_clip
from benchmarks.gallery_calibration import Watched, as_site_set, find_right, halve_in_time, judge_promises
from benchmarks.measuring.halved_clips import WatchedClip, WatchedTrack
from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import shipped_model
from edge_runtime.gallery.prototypes import FinishedTrack, halve

LENGTH, SECOND_NS = 32, 1_000_000_000


def walk_past(person: int, camera: str, *, start_s: float, crops: int = 4) -> WatchedTrack:
    """A track of three seconds of somebody who looks much the same in both cameras."""
    rng = np.random.default_rng([person, camera == "right"])
    look = np.random.default_rng(person).standard_normal(LENGTH)
    vectors = normalise(1.0 + look + 0.4 * rng.standard_normal((crops, LENGTH)))
    start_ns = int(start_s * SECOND_NS)
    finished = FinishedTrack(
        f"{person}-{camera}",
        camera,
        start_ns,
        start_ns + 3 * SECOND_NS,
        normalise(vectors.mean(0)[None])[0],
        halve(vectors),
        dispersion=0.1,
        crops=crops,
    )
    return WatchedTrack(
        finished, person, vectors, np.array([start_s + 0.7 * one for one in range(crops)]), np.full(crops, person)
    )


def street(people: int) -> tuple[WatchedTrack, ...]:
    """People who pass the left camera and then the right one, a second apart."""
    tracks = [walk_past(one, "left", start_s=one) for one in range(1, people + 1)]
    tracks += [walk_past(one, "right", start_s=one + 4) for one in range(1, people + 1)]
    return tuple(sorted(tracks, key=lambda one: one.finished.end_ns))


def test_the_halves_of_a_clip_share_no_moment() -> None:
    """Tracks that reach over the middle are in neither."""
    tracks = street(30)
    first, second = halve_in_time(Watched("clip", tracks, tracks, has_truth=True))
    last_ns = max(one.finished.end_ns for one in first.once)
    assert last_ns < min(one.finished.start_ns for one in second.once)
    assert 0 < len(first.once) + len(second.once) < len(tracks)


def test_every_promise_is_counted_on_other_video() -> None:
    """The limit of a site set lets about its share through; that of another network's manifest is only counted."""
    tracks = street(40)
    watched = [Watched(name, tracks, tracks, has_truth=name == "truth") for name in ("truth", "long")]
    kept = list(judge_promises(watched, read_manifest(Path(shipped_model()))))
    assert {one.promise.way for one in kept} == {"manifest", "site set", "site set, mean off"}
    assert all(one.promise.learnt_from != one.counted_on for one in kept)
    on_truth = [one for one in kept if one.counted_on == "truth" and one.promise.way == "site set"]
    assert {(one.compared, one.promised) for one in on_truth} == {
        (compared, share) for compared in ("crops", "tracks") for share in (0.01, 0.001)
    }
    for one in on_truth:
        assert one.real.low <= one.real.value <= one.real.high
        assert one.real.value < 5 * one.promised or one.promised < 0.01
        assert one.people == 40


def test_a_track_without_a_good_crop_is_in_no_site_set() -> None:
    """As on the device, which keeps good crops only."""
    site = as_site_set([walk_past(1, "left", start_s=0), walk_past(2, "left", start_s=0, crops=4)])
    assert len(site.tracks) == 2
    empty = walk_past(3, "left", start_s=0)
    bare = WatchedTrack(empty.finished, 3, empty.vectors[:0], empty.crop_s[:0], empty.crop_people[:0])
    assert len(as_site_set([empty, bare]).tracks) == 1


@pytest.mark.parametrize("of_tracks", [False, True])
def test_clear_people_are_found_either_way(of_tracks: bool) -> None:
    """All right pairs of people who look unlike each other, by cosine and as the gallery compares."""
    tracks = street(20)
    found = find_right(Watched("clip", tracks, tracks, has_truth=True), of_tracks=of_tracks)
    assert found.by_cosine.value > 0.9
    assert found.by_log_ratio.value > 0.9
    assert found.difference.low <= 0 <= found.difference.high


def test_a_clip_is_joined_by_all_ways_and_unknown_people_are_not_scored() -> None:
    """Twenty people past two cameras, and a box that shows nobody."""
    nobody = walk_past(99, "left", start_s=2)
    unknown = WatchedTrack(nobody.finished, 0, nobody.vectors, nobody.crop_s, np.zeros(4, np.int64))
    tracks = tuple(sorted([*street(20), unknown], key=lambda one: one.finished.end_ns))
    joined = join_clip(WatchedClip("clip", has_truth=True, sequences=(tracks, tracks)))
    assert (joined["people"], joined["tracks"]) == (20, [41, 41])
    assert joined["ours"]["idf1"] > 0.6
    assert set(joined["peers"]) == {"fixed cosine, greedy", "agglomerative per window", "nearest neighbour"}
