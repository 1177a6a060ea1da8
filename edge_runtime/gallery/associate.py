"""What joins tracks into people, as the gallery sees it: tracks of many spaces in, persons of tracks out."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_runtime.contract.errors import GalleryError
from edge_runtime.contract.script import replace_file
from edge_runtime.gallery.association import Association
from edge_runtime.gallery.bridge import NO_BRIDGES, Bridges, move_along
from edge_runtime.gallery.decisions import DecidedTracks, JoiningSettings, PersonDecision
from edge_runtime.gallery.prototypes import FinishedTrack

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_REVISED_EVERY_NS = 5 * _SECOND_NS
_SAVED_EVERY_NS = 600 * _SECOND_NS


@dataclass(frozen=True)
class Assignment:
    """A track belongs to a person. A later assignment of the same track replaces the earlier one.

    probability: that the track is of this person and of no other one. borrowed: how much of the figures behind it comes
    from another site, from 1 to 0.
    """

    track: str
    person: str
    probability: float
    borrowed: float


class Associate(Protocol):
    """Joins tracks into people. Not thread-safe: one call at a time."""

    @property
    def explanation(self) -> str:
        """How it decides, in one sentence for the people who read the page."""

    def restore(self, space: str, decided: DecidedTracks) -> None:
        """Take back what was decided before a restart."""

    def add(self, space: str, tracks: Sequence[FinishedTrack]) -> list[Assignment]:
        """Give each track to a person; a known one keeps its person."""

    def settle(self, now_ns: int) -> list[Assignment]:
        """Decide anew on earlier tracks; returns the decisions that changed. Called about every second."""

    def move(self, track: str, person: str) -> None:
        """Take a correction by hand."""

    def forget(self, tracks: Collection[str]) -> None:
        """Forget erased tracks."""

    def is_open(self, end_ns: int, now_ns: int) -> bool:
        """Whether a track that begins now may still be joined to a person who was last seen at `end_ns`."""

    def close(self) -> None:
        """Keep what was learnt."""


class AssociationBySpace:
    """An `Associate` with an `Association` for each space: descriptors of two spaces are never compared as they are.

    folder: where what was learnt is kept, a file for each space. bridges: tracks of a space that a bridge leads out of
    are joined in the space it leads to. clock: UTC nanoseconds, by which bridges expire.
    """

    def __init__(
        self,
        settings: JoiningSettings,
        *,
        folder: Path,
        bridges: Bridges = NO_BRIDGES,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings, self._folder = settings, folder
        self._bridges, self._clock = bridges, clock
        self._spaces: dict[str, Association] = {}
        self._revised_ns = self._saved_ns = 0

    @property
    def explanation(self) -> str:
        """See `Associate`."""
        shares = [one.calibration.borrowed_share for one in self._spaces.values()] or [1.0]
        own = (
            "All figures behind it are still borrowed from another site."
            if min(shares) >= 1
            else f"{1 - min(shares):.0%} of the figures behind it were learnt from these cameras, the rest is borrowed."
        )
        return (
            "A track joins a person if that is more probable than that it is of anybody else: by how alike they look, "
            f"and by which camera usually follows which, and when. Each join shows its probability. {own} Joins may "
            f"change for {self._settings.window_s / 60:g} minutes."
        )

    def restore(self, space: str, decided: DecidedTracks) -> None:
        """See `Associate`."""
        if decided.tracks:
            space, tracks = self._carry(space, decided.tracks)
            self._of(space, length=len(tracks[0].mean)).take_back(replace(decided, tracks=tracks))

    def add(self, space: str, tracks: Sequence[FinishedTrack]) -> list[Assignment]:
        """See `Associate`."""
        if not tracks:
            return []
        space, tracks = self._carry(space, tracks)
        association = self._of(space, length=len(tracks[0].mean))
        made = {one.track_id: one for one in association.add(tracks)}
        decided = [made.get(track.track_id) or association.find(track.track_id) for track in tracks]
        return [_assignment(one) for one in decided if one is not None]

    def settle(self, now_ns: int) -> list[Assignment]:
        """See `Associate`. Looks again every five seconds."""
        # A clock may have been set back.
        if 0 <= now_ns - self._revised_ns < _REVISED_EVERY_NS:
            return []
        self._revised_ns = now_ns
        changed = [_assignment(one) for association in self._spaces.values() for one in association.revise(now_ns)]
        if not 0 <= now_ns - self._saved_ns < _SAVED_EVERY_NS:
            self._saved_ns = now_ns
            self._save()
        return changed

    def move(self, track: str, person: str) -> None:
        """See `Associate`."""
        for association in self._spaces.values():
            association.move(track, person)

    def forget(self, tracks: Collection[str]) -> None:
        """See `Associate`."""
        for association in self._spaces.values():
            association.erase(tracks)

    def is_open(self, end_ns: int, now_ns: int) -> bool:
        """See `Associate`."""
        return now_ns - end_ns <= self._settings.memory_s * _SECOND_NS

    def close(self) -> None:
        """See `Associate`."""
        self._save()

    def _carry(self, space: str, tracks: Sequence[FinishedTrack]) -> tuple[str, Sequence[FinishedTrack]]:
        """The space in which tracks are joined, and the tracks there.

        Moved descriptors of a camera share other things than its native ones: they count as another camera's.
        """
        path = self._bridges.path(space, self._clock())
        if not path:
            return space, tracks
        means = move_along(path, np.stack([track.mean for track in tracks]))
        moved = [
            replace(
                track,
                camera=f"{track.camera} ({space})",
                mean=mean,
                prototypes=move_along(path, track.prototypes) if len(track.prototypes) else mean[None][:0],
            )
            for track, mean in zip(tracks, means, strict=True)
        ]
        return path[-1].manifest.to_space, moved

    def _of(self, space: str, *, length: int) -> Association:
        if space not in self._spaces:
            association = Association(length, settings=self._settings)
            try:
                association.restore_learnt(self._file(space).read_bytes())
            except FileNotFoundError:
                pass
            except (OSError, GalleryError) as error:
                logger.error("%s is left out, the association learns anew: %s", self._file(space), error)
            self._spaces[space] = association
        return self._spaces[space]

    def _save(self) -> None:
        for space, association in self._spaces.items():
            try:
                replace_file(self._file(space), association.save_learnt())
            except OSError as error:
                logger.error("what was learnt of space %s cannot be kept: %s", space, error)

    def _file(self, space: str) -> Path:
        return self._folder / f"learnt-{space}.npz"


def _assignment(made: PersonDecision) -> Assignment:
    return Assignment(made.track_id, made.person, made.probability, made.borrowed)
