"""The gallery as a whole: stores what arrives, joins tracks into people, takes corrections, erases and expires."""

import dataclasses
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import decode, has_direction, normalise
from edge_runtime.contract.errors import DataError, GalleryError
from edge_runtime.gallery import erasure
from edge_runtime.gallery.associate import Assignment, Associate
from edge_runtime.gallery.bridge import NO_BRIDGES, Bridges
from edge_runtime.gallery.bridged_search import search_across
from edge_runtime.gallery.checked_clock import CheckedClock
from edge_runtime.gallery.columns import check_lengths
from edge_runtime.gallery.decisions import DecidedTracks, new_person
from edge_runtime.gallery.descriptor_store import Match, Row, Store, StoredDay, Where, day_of, make_row
from edge_runtime.gallery.identity import IdentityMessage
from edge_runtime.gallery.prototypes import FinishedTrack, halve
from edge_runtime.gallery.sightings import PersonSighting, Sightings, State
from edge_runtime.link.messages import Message, TrackMessage
from edge_runtime.link.topics import identity_topic
from edge_runtime.receiver.receiver import Accepted

logger = logging.getLogger(__name__)

_MOST_OPEN_TRACKS = 100_000
_RESTORED_NS = 24 * 3_600_000_000_000
_CLOCK_AHEAD_NS = 3_600_000_000_000


class Gallery:
    """Every method may be called from any thread.

    keep_s: how long a row is kept after its capture; after its arrival, if the node's clock is ahead. clock: None: this
    machine's, checked against messages.

    Raises:
        GalleryError: from every method: the store, the sightings or the log cannot be read or written. Asking again is
            safe, also for messages that were stored in part.
    """

    def __init__(
        self,
        store: Store,
        sightings: Sightings,
        *,
        associate: Associate,
        log: erasure.AuditLog,
        keep_s: float,
        clock: CheckedClock | None = None,
        bridges: Bridges = NO_BRIDGES,
    ) -> None:
        self.store, self.sightings, self.bridges = store, sightings, bridges
        self.clock = clock or CheckedClock(sightings.latest_ns())
        self._associate, self._log, self._keep_s = associate, log, keep_s
        self._lock = threading.RLock()
        self._lengths: dict[str, int] = {}
        self._starts: OrderedDict[str, int] = OrderedDict()
        self._finished: set[tuple[str, str]] = set()
        self._revised: list[Assignment] = []  # decisions that are not on the disk yet
        self._restore(self.clock.now_ns())

    @property
    def explanation(self) -> str:
        """How tracks are joined, in one sentence."""
        return self._associate.explanation

    def take(self, messages: Sequence[Accepted]) -> int:
        """Store messages and join the tracks that end with them; all of it is on the disk when this returns.

        Returns how many rows were new. A message that cannot be a row is logged and left out.
        """
        with self._lock:
            if messages:
                self.clock.hear(max(one.message.publish_ns for one in messages))
            now_ns = self.clock.now_ns()
            rows: list[Row] = []
            ended: list[Row] = []
            for one in messages:
                self._note_start(one)
                row = self._make_row(one, now_ns)
                if row is None:
                    continue
                rows.append(row)
                if isinstance(one.message, TrackMessage) and one.message.event == "end":
                    ended.append(row)
            if not rows:
                return 0
            known = self.sightings.of_tracks([row.track for row in rows])
            rows = [
                dataclasses.replace(row, person=known[row.track].person) if row.track in known else row for row in rows
            ]
            added = self.store.add(rows)
            new = [row for row in ended if row.track not in known and row.capture_ns <= now_ns + _CLOCK_AHEAD_NS]
            if added < len(rows):
                new = [row for row in new if not self._was_erased(row)]
            self._join(new)
            self._carry_on([one.message for one in messages])
            return added

    def settle(self, now_ns: int) -> None:
        """Make decisions that waited, and end people who were not seen for long. Call it about every second."""
        with self._lock:
            self._revised += self._associate.settle(now_ns)
            self._decide(self._revised, [])
            self._revised.clear()
            over = [
                person for person, end_ns in self.sightings.open_people() if not self._associate.is_open(end_ns, now_ns)
            ]
            last = [one for person in over for one in self.sightings.of_person(person, count=1)]
            if over:
                messages = [_message(one, event="end", previous=None) for one in last]
                self.sightings.record([], messages=messages, ended=over)

    def confirm(self, track: str) -> PersonSighting:
        """A person has looked at a join and finds it right.

        Raises:
            LookupError: there is no such track.
        """
        with self._lock:
            sighting = self._find(track)
            if sighting.state != "joined":
                return sighting
            sighting = dataclasses.replace(sighting, state="confirmed")
            self.sightings.record([sighting], messages=[])
            self._associate.move(track, sighting.person or "")
            return sighting

    def undo(self, track: str) -> PersonSighting:
        """A person has looked at a join and finds it wrong: the track becomes a new person's.

        Raises:
            LookupError: there is no such track.
            ValueError: it was not joined to anybody.
        """
        with self._lock:
            before = self._find(track)
            if before.state not in ("joined", "confirmed"):
                raise ValueError(f"track {track} was not joined to another one, so there is nothing to undo")
            return self._give(before, new_person(), state="undone")

    def erase(self, where: Where) -> erasure.Receipt:
        """Erase for good, and give the receipt. A person goes with all rows of her tracks."""
        with self._lock:
            if where.person is not None:
                tracks = {one.track: where.person for one in self.sightings.of_person(where.person, count=-1)}
                if tracks:
                    self.store.assign(tracks, where=Where(tracks=tuple(tracks)))
            receipt = erasure.erase(self.store, where, log=self._log)
            self._associate.forget(self.sightings.erase(where))
            return receipt

    def expire(self, now_ns: int) -> erasure.Receipt | None:
        """Erase what is past its time, and prepare days that are over for searching."""
        receipt = erasure.expire(self.store, now_ns=now_ns, log=self._log)
        with self._lock:
            self.sightings.keep_time(now_ns)
            self._associate.forget(self.sightings.erase(Where(expired_by_ns=now_ns)))
        today = day_of(now_ns)
        for part in self.store.days():
            if part.day < today and (part.space, part.day) not in self._finished:
                self.store.finish_day(part)
                self._finished.add((part.space, part.day))
        return receipt

    def search(self, query: NDArray[np.float32], *, where: Where, count: int) -> list[Match]:
        """The rows most like a vector, best first, also of spaces that bridges join; see `Store.search`."""
        now_ns = self.clock.now_ns()
        return search_across(self.store, query, bridges=self.bridges, where=where, count=count, now_ns=now_ns)

    def vector_of(self, track: str) -> tuple[PersonSighting, NDArray[np.float32]]:
        """Where a track was, and its mean descriptor.

        Raises:
            LookupError: there is no such track.
        """
        sighting = self._find(track)
        for row in self.store.rows(_near(sighting, tracks=(track,), kind="track")):
            return sighting, decode(row.vector)
        raise LookupError(f"there is no track {track}")

    def length_of(self, space: str) -> int | None:
        """How many numbers a vector of the space has; None if nothing is kept that it can be compared with."""
        return self._lengths.get(space) or self.bridges.length_of(space)

    def days(self) -> list[StoredDay]:
        """Spaces and days that are kept, with their size."""
        return self.store.days()

    def close(self) -> None:
        """Close the store and the sightings."""
        with self._lock:
            self._associate.close()
            self.store.close()
            self.sightings.close()

    def _restore(self, now_ns: int) -> None:
        """Give the association what it knew before a restart, join what was stored but not joined, and give rows the
        persons of their sightings: a process may be killed between the two."""
        since_ns = now_ns - _RESTORED_NS
        known = {one.track: one for one in self.sightings.since(since_ns)}
        for space in {part.space for part in self.store.days()}:
            row = next(self.store.rows(Where(space=space)), None)
            if row:
                self._lengths[space] = row.vector.length
        ends = [row for row in self.store.rows(Where(since_ns=since_ns, kind="track")) if row.quality is None]
        ends.sort(key=lambda row: row.capture_ns)
        decided = [row for row in ends if row.track in known and known[row.track].person]
        for space, rows in _by_space(decided).items():
            tracks = [_finished(row, known[row.track].start_ns) for row in rows]
            people = [known[row.track].person or "" for row in rows]
            by_hand = [row.track for row in rows if known[row.track].state in ("confirmed", "undone")]
            self._associate.restore(space, DecidedTracks(tracks, people, by_hand, now_ns))
            self._assign([known[row.track] for row in rows if row.person != known[row.track].person])
        self._join([row for row in ends if row.track not in known and row.capture_ns <= now_ns + _CLOCK_AHEAD_NS])

    def _note_start(self, one: Accepted) -> None:
        track, capture_ns = one.message.track, one.message.capture_ns
        self._starts[track] = min(self._starts.pop(track, capture_ns), capture_ns)
        if len(self._starts) > _MOST_OPEN_TRACKS:
            self._starts.popitem(last=False)

    def _make_row(self, one: Accepted, now_ns: int) -> Row | None:
        try:
            row = make_row(one.topic, one.message, keep_s=self._keep_s, now_ns=now_ns)
            if row is None:
                return None
            check_lengths([row], self._lengths)
            if not has_direction(row.vector):
                raise DataError(f"seq {row.seq} of node {row.node!r} has a vector of zeros")
        except (GalleryError, DataError) as error:
            logger.error("left out: %s", error)
            return None
        return dataclasses.replace(row, expires_at_ns=min(row.expires_at_ns, now_ns + int(self._keep_s * 1e9)))

    def _was_erased(self, row: Row) -> bool:
        where = Where(space=row.space, since_ns=row.capture_ns, until_ns=row.capture_ns + 1, tracks=(row.track,))
        return self.store.digest(where).rows == 0

    def _join(self, rows: Sequence[Row]) -> None:
        starts = {row.track: min(self._starts.get(row.track, row.capture_ns), row.capture_ns) for row in rows}
        fresh = [_sighting(row, starts[row.track]) for row in rows]
        made: list[Assignment] = []
        for space, some in _by_space(rows).items():
            crops = self._crops(space, some, since_ns=min(starts[row.track] for row in some))
            tracks = [_finished(row, starts[row.track], crops=crops.get(row.track, ())) for row in some]
            made += self._associate.add(space, tracks)
        self._decide(made, fresh)
        for row in rows:
            self._starts.pop(row.track, None)

    def _crops(self, space: str, ended: Sequence[Row], *, since_ns: int) -> dict[str, list[Row]]:
        """The stored crops of tracks, in order of time."""
        tracks = tuple(row.track for row in ended)
        until_ns = max(row.capture_ns for row in ended) + 1
        crops: dict[str, list[Row]] = {}
        where = Where(space=space, since_ns=since_ns, until_ns=until_ns, tracks=tracks, kind="crop")
        for row in self.store.rows(where):
            crops.setdefault(row.track, []).append(row)
        return {track: sorted(some, key=lambda row: row.capture_ns) for track, some in crops.items()}

    def _carry_on(self, messages: Sequence[Message]) -> None:
        """Give tracks to the person of the earlier track that their node says they carry on."""
        earlier = {
            one.track: one.continues
            for one in messages
            if isinstance(one, TrackMessage) and one.event == "end" and one.continues
        }
        known = self.sightings.of_tracks([*earlier, *earlier.values()])
        for track, previous in earlier.items():
            before, other = known.get(track), known.get(previous)
            is_open = before is not None and before.state not in ("confirmed", "undone")
            if is_open and before and other and other.person and before.person != other.person:
                known[track] = self._give(before, other.person, state="joined")

    def _give(self, before: PersonSighting, person: str, *, state: State) -> PersonSighting:
        """Give a track to another person for a reason other than its descriptors."""
        after = dataclasses.replace(before, person=person, probability=None, borrowed=None, state=state)
        self._assign([after])
        self.sightings.record([after], messages=[_message(after, event="rename", previous=before.person)])
        self._associate.move(before.track, person)
        self._revised = [one for one in self._revised if one.track != before.track]
        return after

    def _decide(self, made: Sequence[Assignment], fresh: Sequence[PersonSighting]) -> None:
        """Write down what was decided: the person of the stored rows, then sightings and messages.

        In this order, because messages that come again bring only what has no sighting to its end.
        """
        if not made and not fresh:
            return
        sightings = self.sightings.of_tracks([one.track for one in made]) | {one.track: one for one in fresh}
        messages, new_people = [], set[str]()
        for one in made:
            before = sightings.get(one.track)
            if before is None or before.person == one.person or before.state in ("confirmed", "undone"):
                continue
            is_known = one.person in new_people or self.sightings.has_person(one.person)
            new_people.add(one.person)
            event = "rename" if before.person else "join" if is_known else "start"
            after = dataclasses.replace(
                before,
                person=one.person,
                probability=one.probability,
                borrowed=one.borrowed,
                state="joined" if is_known else "first",
            )
            sightings[one.track] = after
            messages.append(_message(after, event=event, previous=before.person))
        self._assign(list(sightings.values()))
        self.sightings.record(list(sightings.values()), messages=messages)

    def _assign(self, sightings: Sequence[PersonSighting]) -> None:
        """Give stored rows the persons of their sightings."""
        for space in {one.space for one in sightings}:
            some = [one for one in sightings if one.space == space]
            people = {one.track: one.person for one in some if one.person}
            since_ns = min(one.start_ns for one in some)
            until_ns = max(one.capture_ns for one in some) + 1
            self.store.assign(people, where=Where(space=space, since_ns=since_ns, until_ns=until_ns))

    def _find(self, track: str) -> PersonSighting:
        found = self.sightings.of_tracks([track]).get(track)
        if found is None:
            raise LookupError(f"there is no track {track}")
        return found


def _near(sighting: PersonSighting, **more: object) -> Where:
    """The rows of the days of a sighting."""
    return dataclasses.replace(
        Where(space=sighting.space, since_ns=sighting.start_ns, until_ns=sighting.capture_ns + 1),
        **more,  # type: ignore[arg-type]
    )


def _by_space(rows: Sequence[Row]) -> dict[str, list[Row]]:
    spaces: dict[str, list[Row]] = {}
    for row in rows:
        spaces.setdefault(row.space, []).append(row)
    return spaces


def _finished(row: Row, start_ns: int, *, crops: Sequence[Row] = ()) -> FinishedTrack:
    mean = decode(row.vector)
    return FinishedTrack(
        track_id=row.track,
        camera=f"{row.site}/{row.node}/{row.camera}",
        start_ns=start_ns,
        end_ns=row.capture_ns,
        mean=normalise(mean[None])[0],
        prototypes=halve(np.array([decode(crop.vector) for crop in crops], np.float32).reshape(-1, len(mean))),
        dispersion=row.dispersion,
        crops=row.crops,
    )


def _sighting(row: Row, start_ns: int) -> PersonSighting:
    return PersonSighting(
        space=row.space,
        site=row.site,
        node=row.node,
        camera=row.camera,
        track=row.track,
        start_ns=start_ns,
        capture_ns=row.capture_ns,
        crops=row.crops,
        expires_at_ns=row.expires_at_ns,
    )


def _message(sighting: PersonSighting, *, event: str, previous: str | None) -> tuple[str, str, bytes]:
    """Track, topic and payload of an identity message."""
    message = IdentityMessage(
        event=event,  # type: ignore[arg-type]
        person=sighting.person or "",
        previous=previous,
        space=sighting.space,
        track=sighting.track,
        node=sighting.node,
        camera=sighting.camera,
        start_ns=sighting.start_ns,
        end_ns=sighting.capture_ns,
        probability=sighting.probability,
        borrowed=sighting.borrowed,
        by_hand=sighting.state in ("confirmed", "undone"),
        publish_ns=time.time_ns(),
    )
    return sighting.track, identity_topic(sighting.site, space=sighting.space), message.model_dump_json().encode()
