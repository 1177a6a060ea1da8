"""The gallery as a whole, against both stores: joining, correcting, erasing, expiring, and starting again."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime.contract.errors import GalleryError
from edge_runtime.gallery.associate import Assignment
from edge_runtime.gallery.descriptor_store import Camera, Row, Where
from edge_runtime.gallery.erasure import AuditLog, find_remains
from edge_runtime.gallery.gallery import Gallery
from edge_runtime.gallery.identity import IdentityMessage
from edge_runtime.gallery.sightings import Sightings
from edge_runtime.link.messages import Vector
from edge_runtime.link.topics import Topic
from edge_runtime.link.wire_format import decode_message
from edge_runtime.receiver.receiver import Accepted
from tests.edge_runtime.gallery.conftest import Place
from tests.support.fixed_cosine import FixedCosine
from tests.support.gallery_rows import track_id
from tests.support.gallery_site import Walk, walks

OpenGallery = Callable[[], Gallery]
KEEP_S = 3600.0


@pytest.fixture
def open_gallery(place: Place, tmp_path: Path) -> Iterator[OpenGallery]:
    """Open the same gallery again and again; closed with the test."""
    opened: list[Gallery] = []

    def open_one() -> Gallery:
        for one in opened:
            one.close()
        opened[:] = [
            Gallery(
                place.open(),
                Sightings(tmp_path / "people.sqlite", busy_timeout_s=0.1),
                associate=FixedCosine(),
                log=AuditLog(tmp_path / "erasures.jsonl"),
                keep_s=KEEP_S,
            )
        ]
        return opened[0]

    yield open_one
    for one in opened:
        one.close()


def accepted(walk: Walk) -> list[Accepted]:
    """The messages of a walk, as the receiver gives them."""
    topic = Topic("shop", "gate", walk.camera, "track")
    found = []
    for payload in walk.payloads():
        message = decode_message(payload, leaf="track")
        found.append(Accepted(topic, message, len(payload)))  # type: ignore[arg-type]
    return found


def take(gallery: Gallery, many: list[Walk]) -> int:
    """Give walks to the gallery, one after the other."""
    return sum(gallery.take(accepted(walk)) for walk in many)


def people(gallery: Gallery) -> dict[str, str | None]:
    """Who each track is, by the sightings."""
    return {one.track: one.person for one in gallery.sightings.since(0)}


def stored(gallery: Gallery) -> list[Row]:
    """All rows."""
    return list(gallery.store.rows(Where()))


def events(gallery: Gallery) -> list[tuple[str, str]]:
    """Event and track of the messages that are to be sent."""
    sent = gallery.sightings.unsent(after=0, count=1000)
    found = [IdentityMessage.model_validate_json(one.payload) for one in sent]
    return [(one.event, one.track) for one in found]


def test_the_same_messages_again_change_nothing(open_gallery: OpenGallery) -> None:
    """Also after a restart: rows, people, and no second identity message."""
    gallery, many = open_gallery(), walks(12, people=3)
    assert take(gallery, many) == 12
    before = (people(gallery), stored(gallery), events(gallery))
    assert len(set(before[0].values())) == 3
    assert [event for event, _ in before[2]] == ["start"] * 3 + ["join"] * 9
    assert all(row.person == before[0][row.track] for row in before[1])
    assert take(gallery, many) == 0
    gallery = open_gallery()
    assert take(gallery, many) == 0
    assert (people(gallery), stored(gallery), events(gallery)) == before


def test_people_go_on_after_a_restart(open_gallery: OpenGallery) -> None:
    """A track after it joins the person from before it."""
    many = walks(12, people=3)
    take(open_gallery(), many[:6])
    gallery = open_gallery()
    take(gallery, many[6:])
    assert len(set(people(gallery).values())) == 3


def test_a_row_that_was_stored_but_not_joined_is_joined_at_the_start(open_gallery: OpenGallery) -> None:
    """A process may be killed between the two."""
    gallery, many = open_gallery(), walks(4, people=2)
    take(gallery, many)
    joined = people(gallery)
    gallery.sightings.erase(Where(tracks=(many[3].track,)))
    gallery = open_gallery()
    assert people(gallery) == joined


def fail_once(monkeypatch: pytest.MonkeyPatch, gallery: Gallery, *, step: str) -> None:
    """The next time that people are written down, end before this step, as a kill or a fault of the disk does."""
    part, name = {"rows": (gallery.store, "assign"), "sightings": (gallery.sightings, "record")}[step]
    real = getattr(part, name)

    def fail(*_: object, **__: object) -> None:
        monkeypatch.setattr(part, name, real)
        raise GalleryError("stopped in between")

    monkeypatch.setattr(part, name, fail)


def assert_rows_agree(gallery: Gallery) -> None:
    """Each stored row has the person that was published last of its track."""
    sent = [IdentityMessage.model_validate_json(one.payload) for one in gallery.sightings.unsent(after=0, count=1000)]
    published = {one.track: one.person for one in sent if one.event != "end"}
    assert {row.track: row.person for row in stored(gallery)} == published == people(gallery)


@pytest.mark.parametrize("step", ["rows", "sightings"])
@pytest.mark.parametrize("is_killed", [True, False])
def test_a_stop_between_two_steps_leaves_no_row_without_the_person_who_was_published(
    open_gallery: OpenGallery, monkeypatch: pytest.MonkeyPatch, step: str, is_killed: bool
) -> None:
    """The broker sends the messages again, to the same process or to the next one; an undone join holds too."""
    gallery, many = open_gallery(), walks(6, people=2)
    take(gallery, many[:4])
    fail_once(monkeypatch, gallery, step=step)
    with pytest.raises(GalleryError, match="in between"):
        take(gallery, many[4:])
    gallery = open_gallery() if is_killed else gallery
    take(gallery, many[4:])
    assert_rows_agree(gallery)
    assert len(set(people(gallery).values())) == 2
    fail_once(monkeypatch, gallery, step=step)
    with pytest.raises(GalleryError, match="in between"):
        gallery.undo(many[3].track)
    if is_killed:
        gallery = open_gallery()
        assert_rows_agree(gallery)
    gallery.undo(many[3].track)
    assert_rows_agree(gallery)
    assert len(set(people(gallery).values())) == 3


def test_a_decision_that_could_not_be_written_is_written_later(
    open_gallery: OpenGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the association has changed its mind about is told once; a correction by hand in between comes first."""
    gallery, many = open_gallery(), walks(4, people=2)
    take(gallery, many)
    who, other = (people(gallery)[walk.track] for walk in many[:2])
    assert who
    assert other
    changed = [Assignment(many[2].track, other, 0.8, 1.0), Assignment(many[3].track, who, 0.7, 1.0)]
    monkeypatch.setattr(FixedCosine, "settle", lambda *_: [changed.pop(0), changed.pop(0)] if changed else [])
    fail_once(monkeypatch, gallery, step="sightings")
    with pytest.raises(GalleryError, match="in between"):
        gallery.settle(time.time_ns())
    alone = gallery.undo(many[3].track).person
    gallery.settle(time.time_ns())
    assert_rows_agree(gallery)
    assert (people(gallery)[many[2].track], people(gallery)[many[3].track]) == (other, alone)
    assert events(gallery).count(("rename", many[2].track)) == 1


def test_an_erased_person_stays_erased_when_the_messages_come_again(
    open_gallery: OpenGallery, place: Place, tmp_path: Path
) -> None:
    """No row, no sighting, no message about her, no byte of a vector; the receipt names her."""
    gallery, many = open_gallery(), walks(8, people=2)
    take(gallery, many)
    who = people(gallery)[many[0].track]
    vectors = [row.vector for row in stored(gallery) if row.person == who]
    receipt = gallery.erase(Where(person=who))
    assert (receipt.rows, receipt.what) == (4, {"person": who})
    take(gallery, many)
    take(open_gallery(), many)
    gallery = open_gallery()
    assert set(people(gallery)) == {walk.track for walk in many if walk.person == 1}
    assert {track for _, track in events(gallery)} == set(people(gallery))
    assert len(stored(gallery)) == 4
    # Eight numbers are too short to be searched for; the store's own tests do it with 512.
    assert find_remains([tmp_path / "people.sqlite"], vectors) == []


@pytest.mark.parametrize("what", ["camera", "time", "track"])
def test_erasing_takes_sightings_with_the_rows(open_gallery: OpenGallery, what: str) -> None:
    """By camera, by time and by track."""
    gallery, many = open_gallery(), walks(8, people=2)
    take(gallery, many)
    where = {
        "camera": Where(cameras=(Camera("shop", "gate", "door"),)),
        "time": Where(since_ns=many[4].start_ns),
        "track": Where(tracks=(many[5].track,)),
    }[what]
    receipt = gallery.erase(where)
    left = {row.track for row in stored(gallery)}
    assert set(people(gallery)) == left
    assert receipt.rows == 8 - len(left) > 0


def test_a_correction_by_hand_holds(open_gallery: OpenGallery) -> None:
    """An undone join stays undone when the track comes again and after a restart; the rows follow."""
    gallery, many = open_gallery(), walks(6, people=1)
    take(gallery, many)
    track = many[4].track
    before = people(gallery)[track]
    alone = gallery.undo(track).person
    assert alone != before
    assert gallery.confirm(many[3].track).state == "confirmed"
    take(gallery, many)
    gallery = open_gallery()
    assert people(gallery)[track] == alone
    assert {row.person for row in stored(gallery) if row.track == track} == {alone}
    assert ("rename", track) in events(gallery)
    with pytest.raises(ValueError, match="nothing to undo"):
        gallery.undo(track)
    with pytest.raises(LookupError, match="no track"):
        gallery.undo(track_id(99))


def carrying_on(walk: Walk, earlier: Walk) -> list[Accepted]:
    """The messages of a walk whose node found out that it is the rest of an earlier one."""
    return [
        dataclasses.replace(one, message=one.message.model_copy(update={"continues": earlier.track}))
        for one in accepted(walk)
    ]


def test_a_track_that_carries_on_another_one_is_of_the_same_person(open_gallery: OpenGallery) -> None:
    """Though they do not look alike, and once, however often the messages come; unless somebody said otherwise."""
    gallery, many = open_gallery(), walks(2, people=2)
    take(gallery, many[:1])
    ann = people(gallery)[many[0].track]
    for _ in range(2):
        gallery.take(carrying_on(many[1], many[0]))
    assert people(gallery) == {many[0].track: ann, many[1].track: ann}
    assert {row.person for row in stored(gallery)} == {ann}
    assert events(gallery).count(("rename", many[1].track)) == 1
    alone = gallery.undo(many[1].track).person
    gallery.take(carrying_on(many[1], many[0]))
    assert people(gallery)[many[1].track] == alone != ann


def test_a_track_that_carries_on_an_unknown_one_is_a_track_like_others(open_gallery: OpenGallery) -> None:
    """The earlier one may have ended before anything was kept, or without a descriptor."""
    gallery, many = open_gallery(), walks(2, people=2)
    gallery.take(carrying_on(many[1], many[0]))
    assert list(people(gallery)) == [many[1].track]


def test_rows_are_erased_after_their_time(open_gallery: OpenGallery) -> None:
    """Row by row, with their sightings; a clock that is ahead does not make them stay longer."""
    gallery, now_ns = open_gallery(), time.time_ns()
    many = walks(4, people=2, now_ns=now_ns - 1800 * 10**9)
    ahead = [dataclasses.replace(walk, end_ns=now_ns + 10**9 * 86_400 * 400) for walk in walks(5, people=2)[4:]]
    take(gallery, many + ahead)
    assert set(people(gallery)) == {walk.track for walk in many}
    assert gallery.expire(now_ns) is None
    receipt = gallery.expire(now_ns + int(1801 * 1e9))
    assert receipt is not None
    assert receipt.rows == 4
    assert people(gallery) == {}
    gallery.expire(now_ns + int((KEEP_S + 60) * 1e9))
    assert stored(gallery) == []


def test_a_clock_that_is_set_far_ahead_erases_nothing(
    open_gallery: OpenGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither stored rows nor new ones, also after a restart; erasing by hand works, and nobody counts as gone."""
    gallery, many, now_ns = open_gallery(), walks(6, people=2), time.time_ns
    take(gallery, many[:4])
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + 10**9 * 86_400 * 3650)
    for _ in range(2):
        gallery.settle(gallery.clock.now_ns())
        assert gallery.expire(gallery.clock.now_ns()) is None
        gallery = open_gallery()
    assert take(gallery, many[4:]) == 2
    assert "87600.0 h ahead" in str(gallery.clock.fault())
    assert len(set(people(gallery).values())) == 2
    assert not [event for event, _ in events(gallery) if event == "end"]
    assert gallery.erase(Where(tracks=(many[0].track,))).rows == 1


def test_a_gallery_that_is_started_every_night_erases_though_no_camera_is_left(
    open_gallery: OpenGallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has passed while it ran is remembered, so that retention does not begin again at each start."""
    gallery, many, steady_ns = open_gallery(), walks(2, people=2), time.monotonic_ns
    take(gallery, many)
    for hours in (1, 2):
        passed_ns = int(hours * 0.6 * KEEP_S * 1e9)
        monkeypatch.setattr(time, "monotonic_ns", lambda passed_ns=passed_ns: steady_ns() + passed_ns)
        monkeypatch.setattr(time, "time_ns", lambda now_ns=time.time_ns: now_ns() + int(0.6 * KEEP_S * 1e9))
        gallery.expire(gallery.clock.now_ns())
        assert bool(stored(gallery)) == (hours == 1)
        gallery = open_gallery()


def test_a_person_who_was_not_seen_for_long_ends(open_gallery: OpenGallery) -> None:
    """One message, with the last track; not again after a restart."""
    gallery, many = open_gallery(), walks(4, people=2)
    take(gallery, many)
    gallery.settle(time.time_ns())
    later_ns = time.time_ns() + 1801 * 10**9
    gallery.settle(later_ns)
    assert sorted(events(gallery)[-2:]) == [("end", many[2].track), ("end", many[3].track)]
    gallery = open_gallery()
    gallery.settle(later_ns)
    assert len(events(gallery)) == 6


def test_a_vector_of_another_length_is_left_out_and_the_rest_is_stored(
    open_gallery: OpenGallery, caplog: pytest.LogCaptureFixture
) -> None:
    """One faulty node must not stop the others."""
    gallery, many = open_gallery(), walks(4, people=2)
    take(gallery, many[:2])
    messages = [one for walk in many[2:] for one in accepted(walk)]
    short = Vector(codec="i8", scale=0.1, length=4, data=b"\1\2\3\4")
    messages[1] = dataclasses.replace(messages[1], message=messages[1].message.model_copy(update={"descriptor": short}))
    assert gallery.take(messages) == 1
    assert "expected 8 numbers" in caplog.text


def test_a_locked_sightings_file_is_an_error_and_the_batch_can_be_repeated(
    open_gallery: OpenGallery, tmp_path: Path
) -> None:
    """The rows are there already; the second try joins them, and each is announced once."""
    import sqlite3

    gallery, many = open_gallery(), walks(4, people=2)
    holder = sqlite3.connect(tmp_path / "people.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    messages = [one for walk in many for one in accepted(walk)]
    with pytest.raises(GalleryError, match="cannot be used"):
        gallery.take(messages)
    holder.execute("ROLLBACK")
    holder.close()
    gallery.take(messages)
    assert len(people(gallery)) == len(events(gallery)) == 4
    assert {row.person for row in stored(gallery)} == set(people(gallery).values())
