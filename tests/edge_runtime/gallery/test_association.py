"""Finished tracks become people."""

from dataclasses import replace

import numpy as np
import pytest

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.association import Association
from edge_runtime.gallery.calibration import Figures
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


def test_clear_tracks_of_one_person_get_one_name() -> None:
    """Sixty people past three cameras, and nothing to tell how the cameras lie."""
    names = join(Association(LENGTH, b"key", borrowed=FITTING), walkers(60))
    of_person = [{name for track, name in names.items() if track.split("-")[0] == str(one)} for one in range(60)]
    assert len(set(names.values())) == 60
    assert all(len(some) == 1 for some in of_person)


def test_two_tracks_at_one_moment_in_one_camera_are_two_people() -> None:
    """However alike they look."""
    association = Association(LENGTH, b"key")
    join(association, walkers(30))
    twin = make_track(100, "camera-0", start_s=1000.0)
    other = replace(twin, track_id="twin", start_ns=twin.start_ns + SECOND_NS)
    one, two = association.add([twin, other])
    assert one.person != two.person


def test_a_known_track_is_left_out() -> None:
    """At-least-once delivery makes no second decision."""
    association = Association(LENGTH, b"key")
    track = make_track(0, "camera-0", start_s=0.0)
    assert len(association.add([track, track])) == 1
    assert association.add([track]) == []


def test_after_a_restart_the_people_are_the_same() -> None:
    """Saved at any moment and restored, the rest of the tracks gives the same decisions with the same probabilities."""
    tracks = walkers(40)
    whole, first = Association(LENGTH, b"key"), Association(LENGTH, b"key")
    for association in (whole, first):
        join(association, tracks[:60])
    second = Association(LENGTH, b"key")
    second.restore(first.save())
    for start in range(60, 120, 10):
        some = tracks[start : start + 10]
        assert second.add(some) == whole.add(some)
        assert second.revise(some[-1].end_ns) == whole.revise(some[-1].end_ns)


@pytest.mark.parametrize("saved", [b"", b"PK\x03\x04 damaged", b"not a state"])
def test_damaged_state_is_refused(saved: bytes) -> None:
    """With one sentence."""
    with pytest.raises(GalleryError, match="expected the saved state of an association"):
        Association(LENGTH, b"key").restore(saved)


def test_state_of_another_space_is_refused() -> None:
    """Descriptors of another length cannot be compared."""
    association = Association(LENGTH, b"key")
    association.add([make_track(0, "camera-0", start_s=0.0)])
    with pytest.raises(GalleryError, match="expected saved tracks of 32 numbers each, found 64"):
        Association(32, b"key").restore(association.save())


def test_a_later_look_renames() -> None:
    """A track that was taken for somebody new is joined once later tracks have taught how people look alike."""
    association = Association(LENGTH, b"key")
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


def test_names_depend_on_the_key() -> None:
    """People of two sites cannot be linked by their names."""
    track = make_track(0, "camera-0", start_s=0.0)
    one, other = (Association(LENGTH, key).add([track])[0].person for key in (b"one", b"other"))
    assert one != other


def test_at_first_all_figures_are_borrowed() -> None:
    """And the answer says so; with more tracks the share falls."""
    association = Association(LENGTH, b"key")
    [first] = association.add([make_track(0, "camera-0", start_s=0.0)])
    assert first.borrowed == 1.0
    join(association, walkers(150))
    [last] = association.add([make_track(180, "camera-0", start_s=5000.0)])
    assert last.borrowed < 0.5


def test_a_correction_by_hand_is_not_changed_again() -> None:
    """To a new person, though the track looks like its old one; unknown tracks and people are told."""
    association = Association(LENGTH, b"key", borrowed=FITTING)
    tracks = walkers(30)
    names = join(association, tracks)
    moved = association.move(tracks[-1].track_id, None)
    assert moved not in (None, names[tracks[-1].track_id])
    assert association.revise(tracks[-1].end_ns + SECOND_NS) == []
    assert association.move("nobody", None) is None
    assert association.move(tracks[-1].track_id, "nobody") is None


def test_no_vector_of_an_erased_track_is_left() -> None:
    """Searched in the saved bytes, which are all that outlives the process."""
    association = Association(LENGTH, b"key")
    tracks = walkers(10)
    association.add(tracks)
    vector = tracks[3].mean.tobytes()
    assert vector in association.save()
    association.erase([tracks[3].track_id])
    assert vector not in association.save()
    assert tracks[3].track_id.encode() not in association.save()
    association.add([make_track(50, "lonely", start_s=99.0)])
    lonely = make_track(50, "lonely", start_s=99.0).mean.astype(np.float64).tobytes()
    assert lonely in association.save()
    association.erase(["50-lonely-99.0"])
    assert lonely not in association.save()
