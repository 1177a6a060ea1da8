"""Finished tracks become people."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.association import Association
from edge_runtime.gallery.calibration import Figures
from edge_runtime.gallery.camera_links import CameraLinks
from edge_runtime.gallery.decisions import DecidedTracks
from edge_runtime.gallery.merging import ComparedRows, find_merges
from edge_runtime.gallery.open_tracks import OpenTracks
from edge_runtime.gallery.prototypes import FinishedTrack

LENGTH, SECOND_NS = 64, 1_000_000_000
RNG = np.random.default_rng(0)
COMMON = RNG.standard_normal(LENGTH)
FITTING = Figures(same_mean=0.9, same_deviation=0.05, other_mean=0.0, other_deviation=0.13)
LOOKS = RNG.standard_normal((200, LENGTH))


def make_track(person: int, camera: str, *, start_s: float, noise: float = 0.3, seed: int = 0) -> FinishedTrack:
    """A track of four seconds."""
    rng = np.random.default_rng([person, int(start_s), seed])
    vector = COMMON + LOOKS[person] + noise * rng.standard_normal(LENGTH)
    mean = (vector / np.linalg.norm(vector)).astype(np.float32)
    start_ns = int(start_s * SECOND_NS)
    end_ns = start_ns + 4 * SECOND_NS
    return FinishedTrack(f"{person}-{camera}-{start_s}", camera, start_ns, end_ns, mean, mean[None], 0.02, 4)


def walkers(count: int) -> list[FinishedTrack]:
    """People who come in one after another and pass three cameras, twenty seconds apart."""
    tracks = [
        make_track(person, f"camera-{camera}", start_s=5.0 * person + 20.0 * camera)
        for person in range(count)
        for camera in range(3)
    ]
    return sorted(tracks, key=lambda track: track.end_ns)


def join(association: Association, tracks: list[FinishedTrack], *, batch: int = 5) -> dict[str, str]:
    """Names of tracks after batches of some, with a later look after each."""
    names: dict[str, str] = {}
    for first in range(0, len(tracks), batch):
        some = tracks[first : first + batch]
        names |= {one.track_id: one.person for one in association.add(some)}
        names |= {one.track_id: one.person for one in association.revise(some[-1].end_ns)}
    return names


def take_back(
    association: Association,
    tracks: list[FinishedTrack],
    people: dict[str, str],
    *,
    by_hand: Sequence[str] = (),
    now_ns: int | None = None,
) -> None:
    """Give the tracks back as after a restart. now_ns: when; by default the end of the last track."""
    names = [people[track.track_id] for track in tracks]
    association.take_back(DecidedTracks(tracks, names, by_hand, now_ns or tracks[-1].end_ns))


def test_clear_tracks_of_one_person_get_one_name() -> None:
    """Sixty people past three cameras, and nothing to tell how the cameras lie."""
    names = join(Association(LENGTH, borrowed=FITTING), walkers(60))
    of_person = [{name for track, name in names.items() if track.split("-")[0] == str(one)} for one in range(60)]
    assert len(set(names.values())) == 60
    assert all(len(some) == 1 for some in of_person)


@pytest.mark.parametrize(("batch", "gap_s"), [(10, 5.0), (50, 5.0), (50, 30.0)])
def test_many_tracks_of_few_people_at_once_are_few_people(batch: int, gap_s: float) -> None:
    """In any number at a time: they form many small chains at first, which have to become one for each person."""
    tracks = [
        make_track(number % 4, f"camera-{number // 4 % 2}", start_s=1000 + gap_s * number, seed=number)
        for number in range(150)
    ]
    names = join(Association(LENGTH), tracks, batch=batch)
    of_person = [{name for track, name in names.items() if track.split("-")[0] == str(one)} for one in range(4)]
    assert [len(some) for some in of_person] == [1] * 4
    assert len(set(names.values())) == 4


def test_two_tracks_at_one_moment_in_one_camera_are_two_people() -> None:
    """However alike they look."""
    association = Association(LENGTH)
    join(association, walkers(30))
    twin = make_track(100, "camera-0", start_s=1000.0)
    other = replace(twin, track_id="twin", start_ns=twin.start_ns + SECOND_NS)
    one, two = association.add([twin, other])
    assert one.person != two.person


def test_one_person_in_two_overlapping_views_is_not_taken_for_two() -> None:
    """Otherwise a site whose cameras overlap learns that two people look as alike as one person."""
    association = Association(LENGTH, borrowed=FITTING)
    tracks = [make_track(one % 60, f"camera-{one // 60}", start_s=10.0 * (one % 60) + one // 60) for one in range(120)]
    tracks.sort(key=lambda track: track.end_ns)
    join(association, tracks)
    mean, _ = association.calibration.other.estimate(mean=FITTING.other_mean, deviation=FITTING.other_deviation)
    assert abs(mean[0, 1]) < 0.1


def test_what_all_pairs_of_tracks_have_in_common_counts_once() -> None:
    """Two people who look alike do so however often they are seen: many pairs tell little more than one."""
    known, counts, correlation = OpenTracks(LENGTH), 6, 0.5
    known.append([make_track(0, "camera-0", start_s=100.0 * number) for number in range(2 * counts)])
    known.person = np.repeat([0, 1], counts)
    links = CameraLinks()
    links.grow(1)
    links.refresh(3600.0)
    gains = []
    for ratio in (1.0, 2.0):
        looks = np.full((2 * counts, 2 * counts), ratio, np.float32)
        compared = ComparedRows(np.arange(2 * counts), looks, np.zeros(looks.shape, np.bool_))
        [merge] = find_merges(known, compared, links=links, correlation=correlation, join_from=0.5)
        gains.append(merge.gain)
    assert 1 < gains[1] - gains[0] < 1 / correlation


def test_a_known_track_is_left_out() -> None:
    """At-least-once delivery makes no second decision."""
    association = Association(LENGTH)
    track = make_track(0, "camera-0", start_s=0.0)
    assert len(association.add([track, track])) == 1
    assert association.add([track]) == []


def test_after_a_restart_the_people_are_the_same() -> None:
    """What was learnt, the tracks and the names of their people are enough to go on as without a restart."""
    tracks, names = walkers(40), (f"person {number}" for number in range(1000))
    whole = Association(LENGTH, borrowed=FITTING, new_name=lambda: next(names))
    people = join(whole, tracks[:60])
    second = Association(LENGTH, borrowed=FITTING)
    second.restore_learnt(whole.save_learnt())
    take_back(second, tracks[:60], people)
    for start in range(60, 120, 10):
        some = tracks[start : start + 10]
        mine, theirs = second.add(some), whole.add(some)
        for one, other in zip(mine, theirs, strict=True):
            assert (one.track_id, one.event == "start") == (other.track_id, other.event == "start")
            assert one.person == other.person or one.person not in people.values()


@pytest.mark.parametrize("saved", [b"", b"PK\x03\x04 damaged", b"not a state"])
def test_damaged_figures_are_refused(saved: bytes) -> None:
    """With one sentence."""
    with pytest.raises(GalleryError, match="expected what an association has learnt"):
        Association(LENGTH).restore_learnt(saved)


def test_a_later_look_renames() -> None:
    """A track that was taken for somebody new is joined once later tracks have taught how people look alike."""
    association = Association(LENGTH)
    tracks = walkers(40)
    starts = {one.track_id: one.person for one in association.add(tracks[:4])}
    renamed = []
    for first in range(4, len(tracks), 4):
        association.add(tracks[first : first + 4])
        renamed += association.revise(tracks[min(first + 3, len(tracks) - 1)].end_ns)
    assert starts
    for one in renamed:
        assert one.event == "rename"
        assert one.previous not in (None, one.person)


def test_names_say_nothing() -> None:
    """The same track has another name each time, so that people of two sites or days cannot be linked by theirs."""
    track = make_track(0, "camera-0", start_s=0.0)
    one, other = (Association(LENGTH).add([track])[0].person for _ in range(2))
    assert one != other


def test_at_first_all_figures_are_borrowed() -> None:
    """And the answer says so; with more tracks the share falls."""
    association = Association(LENGTH)
    [first] = association.add([make_track(0, "camera-0", start_s=0.0)])
    assert first.borrowed == 1.0
    join(association, walkers(150))
    [last] = association.add([make_track(180, "camera-0", start_s=5000.0)])
    assert last.borrowed < 0.5


def test_a_correction_by_hand_is_not_changed_again() -> None:
    """To a new person, though the track looks like its old one; a track that is not known is left alone."""
    association = Association(LENGTH, borrowed=FITTING)
    tracks = walkers(30)
    join(association, tracks)
    association.move(tracks[-1].track_id, "by hand")
    association.move("nobody", "by hand")
    assert association.revise(tracks[-1].end_ns + SECOND_NS) == []


@pytest.mark.parametrize("rest", [1, 2])
def test_nobody_follows_a_track_that_was_taken_away_by_hand(rest: int) -> None:
    """Neither one track that is left of the person nor all of them together, though they look alike."""
    association = Association(LENGTH, borrowed=FITTING)
    tracks = [track for track in walkers(30) if not track.track_id.startswith("29-")] + [
        make_track(29, f"camera-{camera}", start_s=145.0 + 20.0 * camera) for camera in range(rest + 1)
    ]
    names = join(association, tracks)
    kept = [names[track.track_id] for track in tracks[-rest - 1 :]]
    assert len(set(kept)) == 1
    association.move(tracks[-1].track_id, "by hand")
    association.revise(tracks[-1].end_ns + SECOND_NS)
    found = [association.find(track.track_id) for track in tracks[-rest - 1 :]]
    assert [one.person for one in found if one] == [*kept[:-1], "by hand"]


def test_a_correction_by_hand_outlives_a_restart() -> None:
    """Though the track looks like the person that it was taken from."""
    tracks = walkers(30)
    first = Association(LENGTH, borrowed=FITTING)
    people = join(first, tracks) | {tracks[-1].track_id: "by hand"}
    second = Association(LENGTH, borrowed=FITTING)
    second.restore_learnt(first.save_learnt())
    take_back(second, tracks, people, by_hand=[tracks[-1].track_id])
    changed = second.revise(tracks[-1].end_ns + SECOND_NS)
    assert tracks[-1].track_id not in {one.track_id for one in changed}


def test_after_a_quiet_night_the_next_person_is_somebody_new() -> None:
    """Nobody is compared any more, and looking again at nobody is no fault."""
    association = Association(LENGTH, borrowed=FITTING)
    tracks = walkers(30)
    join(association, tracks)
    for hours in (2, 3):
        assert association.revise(tracks[-1].end_ns + hours * 3600 * SECOND_NS) == []
    [made] = association.add([make_track(3, "camera-1", start_s=20_000.0)])
    assert made.event == "start"


def test_a_restart_takes_back_only_who_may_be_seen_again() -> None:
    """However many tracks of the day are stored: nobody is compared with people of the morning."""
    tracks = walkers(30)
    people = {track.track_id: f"person {number % 7}" for number, track in enumerate(tracks)}
    association = Association(LENGTH, borrowed=FITTING)
    take_back(association, tracks, people, now_ns=tracks[-1].end_ns + 4000 * SECOND_NS)
    assert association.find(tracks[-1].track_id) is None
    take_back(association, tracks, people)
    found = [association.find(track.track_id) for track in tracks]
    assert [one.person for one in found if one] == [people[track.track_id] for track in tracks]


def test_a_restart_after_a_quiet_night_learns_nothing_twice() -> None:
    """The last tracks of the evening were learnt before it."""
    tracks = walkers(30)
    first = Association(LENGTH, borrowed=FITTING)
    people = join(first, tracks)
    morning_ns = tracks[-1].end_ns + 3000 * SECOND_NS
    first.revise(morning_ns)
    second = Association(LENGTH, borrowed=FITTING)
    second.restore_learnt(first.save_learnt())
    take_back(second, tracks, people, now_ns=morning_ns)
    second.revise(morning_ns + 5 * SECOND_NS)
    np.testing.assert_array_equal(second.calibration.same.sums, first.calibration.same.sums)


def test_what_outlives_the_process_holds_no_descriptor_and_no_track() -> None:
    """Of tracks only figures about all of them are kept; the mean descriptor is made anew from the stored tracks."""
    association = Association(LENGTH)
    tracks = walkers(10)
    join(association, tracks)
    saved = association.save_learnt()
    for track in tracks:
        assert track.track_id.encode() not in saved
        assert track.mean[:2].tobytes() not in saved
        assert track.mean[:2].astype(np.float64).tobytes() not in saved


def test_an_erased_track_is_not_compared_any_more() -> None:
    """The next track of the person starts a new one."""
    association = Association(LENGTH, borrowed=FITTING)
    names = join(association, walkers(30))
    association.erase([name for name in names if name.startswith("3-")])
    [made] = association.add([make_track(3, "camera-1", start_s=300.0)])
    assert made.event == "start"
