"""What the API takes and answers, as JSON. Times are ISO 8601 in UTC, with milliseconds."""

import datetime
import re
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field

from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.gallery.descriptor_store import Camera, Where
from edge_runtime.gallery.erasure import Receipt
from edge_runtime.gallery.sightings import CameraHour, PersonSighting, SeenPerson
from edge_runtime.link.wire_types import Space, TrackId

_LATEST_NS = 2**63 - 1
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _written_out(value: object) -> object:
    """Pydantic would take a number, also one as text, for seconds since 1970."""
    if not (isinstance(value, datetime.datetime) or (isinstance(value, str) and _DATE.match(value))):
        raise ValueError("expected a time with its zone, such as 2026-11-27T14:00:00Z")
    return value


Track = TrackId
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]
PersonName = Annotated[str, Field(pattern=r"^[!-~]{1,200}$")]
LevelName = Annotated[str, Field(pattern=r"^[^\x00-\x1f/+#]{1,200}$")]
Number = Annotated[float, Field(ge=-1e6, le=1e6)]


class Fault(StrictModel):
    """Why a request was not answered, in one sentence."""

    error: str


class CameraName(StrictModel):
    """A camera by its full name."""

    site: LevelName
    node: LevelName
    camera: LevelName


class SightingView(CameraName):
    """A person was in front of a camera for a while.

    probability: that the track is this person's; null after a correction by hand. borrowed: how much of the figures
    behind it comes from another site, from 1 to 0. state: first (the person's first track), joined (by the program),
    confirmed or undone (by hand).
    """

    space: str
    track: str
    person: str | None
    since: str
    until: str
    probability: float | None
    borrowed: float | None
    state: Literal["first", "joined", "confirmed", "undone"]

    @classmethod
    def of(cls, one: PersonSighting) -> "SightingView":
        """Take over what is stored."""
        return cls.model_construct(
            site=one.site,
            node=one.node,
            camera=one.camera,
            space=one.space,
            track=one.track,
            person=one.person,
            since=moment_text(one.start_ns),
            until=moment_text(one.capture_ns),
            probability=one.probability,
            borrowed=one.borrowed,
            state=one.state,
        )


class PersonView(StrictModel):
    """A person within the time that was asked for. unsure: joins that nobody has confirmed."""

    person: str
    since: str
    until: str
    tracks: int
    cameras: int
    unsure: int

    @classmethod
    def of(cls, one: SeenPerson) -> "PersonView":
        """Take over what is stored."""
        return cls(
            person=one.person,
            since=moment_text(one.first_ns),
            until=moment_text(one.last_ns),
            tracks=one.tracks,
            cameras=one.cameras,
            unsure=one.unsure,
        )


class FlowView(CameraName):
    """Tracks that ended in one hour in front of a camera, and of how many people they were."""

    since: str
    tracks: int
    people: int

    @classmethod
    def of(cls, one: CameraHour) -> "FlowView":
        """Take over what is stored."""
        return cls.model_construct(
            site=one.site,
            node=one.node,
            camera=one.camera,
            since=moment_text(one.start_ns),
            tracks=one.tracks,
            people=one.people,
        )


class MatchView(CameraName):
    """Something that looks like what was searched for. cosine: 1 is the same vector; it is no probability.

    space: of the descriptor as it came. If a bridge carried it, its cosine is what two native descriptors would have.
    """

    space: str
    track: str
    person: str | None
    captured: str
    cosine: float


class SearchRequest(StrictModel):
    """Search by a vector of a space, or by a track; exactly one of the two."""

    space: Space | None = None
    vector: Annotated[tuple[Number, ...], Field(min_length=1, max_length=8192)] | None = None
    track: Track | None = None
    since: Moment | None = None
    until: Moment | None = None
    count: Annotated[int, Field(ge=1, le=200)] = 20


class ErasureRequest(StrictModel):
    """Erase what fulfils all conditions that are given; at least one. camera: with all that it has seen."""

    person: PersonName | None = None
    tracks: Annotated[tuple[Track, ...], Field(min_length=1, max_length=1000)] | None = None
    camera: CameraName | None = None
    since: Moment | None = None
    until: Moment | None = None

    def where(self) -> Where:
        """The same for the store."""
        return Where(
            person=self.person,
            tracks=self.tracks,
            cameras=None if self.camera is None else (Camera(self.camera.site, self.camera.node, self.camera.camera),),
            since_ns=None if self.since is None else to_ns(self.since),
            until_ns=None if self.until is None else to_ns(self.until),
        )


class ReceiptView(StrictModel):
    """The receipt of an erasure, as it stands in the log: what, when, how many rows, and a digest of their names."""

    what: dict[str, Any]
    asked: str
    done: str | None
    rows: int
    digest: str
    previous: str

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptView":
        """Take over the receipt."""
        return cls.model_construct(**asdict(receipt))


class CheckView(StrictModel):
    """One condition that should hold."""

    name: str
    ok: bool
    detail: str


class SpaceView(StrictModel):
    """A space, and what is kept of it."""

    space: str
    days: int
    stored_mb: float
    sightings: int


class HealthView(StrictModel):
    """State of the gallery.

    joined_by: how tracks are joined, in one sentence. keep_h: hours after which a descriptor is erased. stored: rows
    since the start of the program. unsent: identity messages on their way.
    """

    ok: bool
    checks: tuple[CheckView, ...]
    joined_by: str
    keep_h: float
    flow: bool
    search: bool
    disk_free_mb: float
    disk_total_mb: float
    stored_mb: float
    stored: int
    refused: int
    duplicates: int
    last_row: str | None
    last_refusal: str | None
    last_expiry: str | None


def moment_text(moment_ns: int) -> str:
    """A time such as `2026-11-27T14:00:00.123Z`."""
    moment = datetime.datetime.fromtimestamp(moment_ns // 1_000_000 / 1000, datetime.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_ns(moment: datetime.datetime) -> int:
    """UTC nanoseconds, within what a store can hold."""
    try:
        return min(max(int(moment.timestamp() * 1e6) * 1000, 0), _LATEST_NS)
    except OverflowError:
        return 0
