"""The gallery's association: a space each, and what outlives a restart."""

import logging
from pathlib import Path

import pytest

from edge_runtime.gallery.associate import Assignment, AssociationBySpace
from edge_runtime.gallery.decisions import JoiningSettings
from tests.edge_runtime.gallery.test_association import SECOND_NS, make_track, walkers


def open_at(folder: Path) -> AssociationBySpace:
    """Open the association of a folder with the default settings."""
    return AssociationBySpace(JoiningSettings(), folder=folder)


def add_all(associate: AssociationBySpace, space: str, *, first: int, last: int) -> dict[str, Assignment]:
    """Add tracks of some of fifty people, five at a time, and settle after each five."""
    made: dict[str, Assignment] = {}
    tracks = walkers(50)[first:last]
    for start in range(0, len(tracks), 5):
        some = tracks[start : start + 5]
        made |= {one.track: one for one in associate.add(space, some)}
        made |= {one.track: one for one in associate.settle(some[-1].end_ns + 20 * SECOND_NS * (1 + start))}
    return made


def test_descriptors_of_two_spaces_are_never_compared(tmp_path: Path) -> None:
    """The same track in two spaces is two people; a node may describe with two networks for a while."""
    associate, track = open_at(tmp_path), make_track(0, "camera-0", start_s=0.0)
    [one], [other] = associate.add("old", [track]), associate.add("new", [track])
    assert one.person != other.person


def test_a_track_that_comes_again_keeps_its_person(tmp_path: Path) -> None:
    """Delivery at least once; the answer is the same each time."""
    associate, track = open_at(tmp_path), make_track(0, "camera-0", start_s=0.0)
    assert associate.add("space", [track]) == associate.add("space", [track])


def test_what_was_learnt_outlives_a_restart(tmp_path: Path) -> None:
    """The share of borrowed figures does not begin at 1 again, and the page says how much was learnt."""
    first = open_at(tmp_path)
    assert "still borrowed" in first.explanation
    made = add_all(first, "space", first=0, last=120)
    first.close()
    second = open_at(tmp_path)
    [again] = second.add("space", [make_track(60, "camera-0", start_s=2000.0)])
    assert again.borrowed <= min(one.borrowed for one in made.values()) < 1
    assert "were learnt from these cameras" in second.explanation


def test_a_clock_that_is_set_back_stops_no_later_look(tmp_path: Path) -> None:
    """Tracks go on being looked at again, and what is learnt goes on being kept."""
    associate, now_ns = open_at(tmp_path), 10_000 * SECOND_NS
    associate.add("space", [make_track(0, "camera-0", start_s=6000.0)])
    associate.settle(now_ns)
    (tmp_path / "learnt-space.npz").unlink()
    associate.settle(now_ns - 3600 * SECOND_NS)
    assert (tmp_path / "learnt-space.npz").exists()


def test_a_damaged_file_is_told_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The association learns anew."""
    (tmp_path / "learnt-space.npz").write_bytes(b"half a file")
    with caplog.at_level(logging.ERROR):
        [made] = open_at(tmp_path).add("space", [make_track(0, "camera-0", start_s=0.0)])
    assert made.borrowed == 1
    assert "learnt-space.npz is left out, the association learns anew" in caplog.text


def test_a_correction_reaches_the_track_in_its_space(tmp_path: Path) -> None:
    """A later track of the moved one's person is compared with the person given by hand."""
    associate, track = open_at(tmp_path), make_track(0, "camera-0", start_s=0.0)
    associate.add("space", [track])
    associate.move(track.track_id, "by hand")
    [again] = associate.add("space", [track])
    assert again.person == "by hand"
