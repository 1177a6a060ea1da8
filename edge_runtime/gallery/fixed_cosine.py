"""What joins tracks into people: the protocol, and the simplest way: one cosine for all cameras, in a time window."""

import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

_MOST_TRACKS = 50_000
_REMEMBERED_NS = 24 * 3_600_000_000_000


@dataclass(frozen=True)
class EndedTrack:
    """A track that is complete. vector: (D,) float32 of length 1. Times are UTC nanoseconds."""

    space: str
    site: str
    node: str
    camera: str
    track: str
    start_ns: int
    end_ns: int
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Assignment:
    """A track belongs to a person. A later assignment of the same track replaces the earlier one.

    score: what the decision was made by, None where there was nothing to compare. probability: that the join is right;
    None where nobody can say, or the track is the person's first.
    """

    track: str
    person: str
    score: float | None
    probability: float | None


class Associate(Protocol):
    """Joins tracks into people. Not thread-safe: one call at a time."""

    @property
    def explanation(self) -> str:
        """How it decides, in one sentence for the people who read the page."""

    def restore(self, track: EndedTrack, person: str | None) -> None:
        """Take back what was decided before a restart; None: nothing was decided yet."""

    def add(self, tracks: Sequence[EndedTrack]) -> list[Assignment]:
        """Give each track to a person; a track that is known already keeps its person. May also move earlier tracks."""

    def settle(self, now_ns: int) -> list[Assignment]:
        """Make decisions that waited for more tracks, and better ones of earlier tracks. Called about every second."""

    def move(self, track: str, person: str) -> None:
        """Take a correction by hand."""

    def forget(self, tracks: Collection[str]) -> None:
        """Forget erased tracks."""

    def is_open(self, end_ns: int, now_ns: int) -> bool:
        """Whether a track that begins now may still be joined to a person who was last seen at `end_ns`."""


def new_person() -> str:
    """A random id, which says nothing about anybody."""
    return f"p-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class AssociationSettings:
    """A track joins the person whose track is most alike, if the cosine is at least `cosine`.

    window_min: how many minutes may lie between the two. The default cosine is a guess: it was not measured on your
    cameras, and how often it is wrong is not known.
    """

    cosine: Annotated[float, Field(gt=-1, le=1)] = 0.7
    window_min: Annotated[float, Field(gt=0, le=1440)] = 30.0


class FixedCosine:
    """An `Associate` with one threshold for all cameras."""

    def __init__(self, settings: AssociationSettings) -> None:
        self._settings = settings
        self._window_ns = int(settings.window_min * 60e9)
        self._spaces: dict[str, OrderedDict[str, EndedTrack]] = {}
        self._people: dict[str, str] = {}
        self._first: dict[str, Assignment] = {}

    @property
    def explanation(self) -> str:
        """See `Associate`."""
        return (
            f"Two tracks are joined if the cosine of their descriptors is at least {self._settings.cosine:g} and at "
            f"most {self._settings.window_min:g} minutes lie between them. This threshold is a guess that was not "
            "measured on these cameras: nobody can say how probable a join is, so look at each."
        )

    def restore(self, track: EndedTrack, person: str | None) -> None:
        """See `Associate`."""
        if person is not None:
            self._keep(track, Assignment(track.track, person, None, None))

    def add(self, tracks: Sequence[EndedTrack]) -> list[Assignment]:
        """See `Associate`."""
        made = list[Assignment]()
        for track in tracks:
            if track.track not in self._first:
                self._keep(track, self._decide(track))
            made.append(self._first[track.track])
        return made

    def settle(self, now_ns: int) -> list[Assignment]:
        """See `Associate`. Nothing waits here."""
        return []

    def move(self, track: str, person: str) -> None:
        """See `Associate`."""
        if track in self._people:
            self._people[track] = person

    def forget(self, tracks: Collection[str]) -> None:
        """See `Associate`."""
        for track in tracks:
            self._drop(track)

    def is_open(self, end_ns: int, now_ns: int) -> bool:
        """See `Associate`."""
        return now_ns - end_ns <= self._window_ns

    def _decide(self, track: EndedTrack) -> Assignment:
        known = list(self._candidates(track))
        if known:
            cosines = np.stack([other.vector for other in known]) @ track.vector
            best = int(np.argmax(cosines))
            if cosines[best] >= self._settings.cosine:
                return Assignment(track.track, self._people[known[best].track], round(float(cosines[best]), 4), None)
        return Assignment(track.track, new_person(), None, None)

    def _candidates(self, track: EndedTrack) -> Iterator[EndedTrack]:
        """Tracks within the window; without those of people whom the same camera sees at this very moment."""
        near = [
            other
            for other in self._spaces.get(track.space, {}).values()
            if other.start_ns - self._window_ns <= track.end_ns and track.start_ns <= other.end_ns + self._window_ns
        ]
        camera = (track.site, track.node, track.camera)
        busy = {
            self._people[other.track]
            for other in near
            if (other.site, other.node, other.camera) == camera
            and other.start_ns < track.end_ns
            and track.start_ns < other.end_ns
        }
        yield from (
            other
            for other in near
            if self._people[other.track] not in busy and other.vector.shape == track.vector.shape
        )

    def _keep(self, track: EndedTrack, made: Assignment) -> None:
        tracks = self._spaces.setdefault(track.space, OrderedDict())
        tracks[track.track] = track
        self._people[track.track], self._first[track.track] = made.person, made
        while tracks:
            oldest = next(iter(tracks.values()))
            if len(tracks) <= _MOST_TRACKS and track.end_ns - oldest.end_ns <= _REMEMBERED_NS:
                return
            self._drop(oldest.track)

    def _drop(self, track: str) -> None:
        self._people.pop(track, None)
        self._first.pop(track, None)
        for tracks in self._spaces.values():
            tracks.pop(track, None)
