"""What an association is told and what it answers: settings, decisions, and what was decided before a restart."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.gallery.prototypes import FinishedTrack


@dataclass(frozen=True)
class JoiningSettings:
    """How people are joined.

    join_from: least probability of a join; below it a track becomes a person of its own. window_s: how long a track
    may still be joined or split. memory_s: people who were not seen for so long are not compared any more.
    """

    join_from: Annotated[float, Field(gt=0, lt=1)] = 0.5
    window_s: Annotated[float, Field(gt=0, le=3600)] = 300.0
    memory_s: Annotated[float, Field(gt=0, le=86400)] = 3600.0


USUAL_SETTINGS = JoiningSettings()


@dataclass(frozen=True)
class PersonDecision:
    """A track's person, when it is first decided (`start`, `join`) or changed (`rename`).

    probability: that the track is of this person and of no other one. previous: the person before a `rename`.
    borrowed: how much of the figures behind the probability comes from another site, from 1 to 0.
    """

    event: Literal["start", "join", "rename"]
    track_id: str
    person: str
    probability: float
    previous: str | None
    borrowed: float


@dataclass(frozen=True)
class DecidedTracks:
    """Tracks that were decided before a restart, and the names of their people, one for each.

    by_hand: the tracks whose person somebody has corrected or confirmed. now_ns: UTC, of the restart.
    """

    tracks: Sequence[FinishedTrack]
    people: Sequence[str]
    by_hand: Collection[str]
    now_ns: int


def new_person() -> str:
    """A random name, which says nothing about anybody."""
    return f"p-{secrets.token_hex(8)}"
