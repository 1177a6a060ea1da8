"""What a gallery keeps of each descriptor, and what every store of it can do."""

import datetime
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import EncodedDescriptor
from edge_runtime.contract.errors import GalleryError
from edge_runtime.link.messages import DescriptorMessage, Message, Quality
from edge_runtime.link.topics import Topic
from edge_runtime.link.wire_types import NormalisedBox

Kind = Literal["crop", "track"]
_LARGEST = 2**63 - 1  # what an integer column of SQLite and PostgreSQL holds
_DAY_NS = 86_400_000_000_000
_FIRST_DAY = datetime.date(1970, 1, 1)


class Camera(NamedTuple):
    """A camera by its full name."""

    site: str
    node: str
    camera: str


class Key(NamedTuple):
    """What makes a message unique, however often it is delivered."""

    node: str
    boot: str
    seq: int


class ErasedKey(NamedTuple):
    """The name of a row that was erased, remembered until its time would have been over."""

    node: str
    boot: str
    seq: int
    expires_at_ns: int


@dataclass(frozen=True, slots=True)
class Row:
    """One descriptor with what its message said. Times are UTC nanoseconds.

    vector: as it came, so that its bytes can be compared with the sender's. `uncertainty_ns` is None when the node's
    clock is not synchronised; `quality` is None for a track, which has many crops; `person` until tracks are joined.
    """

    space: str
    site: str
    node: str
    camera: str
    boot: str
    seq: int
    track: str
    kind: Kind
    capture_ns: int
    uncertainty_ns: int | None
    box: NormalisedBox
    quality: Quality | None
    dispersion: float
    crops: int
    precision: str
    vector: EncodedDescriptor
    person: str | None
    expires_at_ns: int

    @property
    def day(self) -> str:
        """The UTC day of the capture."""
        return day_of(self.capture_ns)

    @property
    def key(self) -> Key:
        """What makes the row unique."""
        return Key(self.node, self.boot, self.seq)


@dataclass(frozen=True)
class Where:
    """Which rows are meant: those that fulfil every condition that is not None.

    since_ns, until_ns: captured at or after, before. expired_by_ns: whose time is over at that moment. An empty tuple
    of cameras or tracks matches no row.
    """

    space: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    cameras: tuple[Camera, ...] | None = None
    kind: Kind | None = None
    tracks: tuple[str, ...] | None = None
    person: str | None = None
    expired_by_ns: int | None = None

    def is_everything(self) -> bool:
        """Whether no condition is given."""
        return all(getattr(self, field.name) is None for field in fields(self))

    def may_match(self, space: str, day: str) -> bool:
        """Whether a row of this space and day may fulfil the conditions."""
        return (
            self.space in (None, space)
            and (self.since_ns is None or day_of(self.since_ns) <= day)
            and (self.until_ns is None or day <= day_of(self.until_ns - 1))
        )


@dataclass(frozen=True)
class StoredDay:
    """What is kept of one space and day; `stored_bytes` is its size on the disk."""

    space: str
    day: str
    stored_bytes: int

    def where(self) -> Where:
        """Its rows."""
        start_ns = (datetime.date.fromisoformat(self.day) - _FIRST_DAY).days * _DAY_NS
        return Where(space=self.space, since_ns=start_ns, until_ns=start_ns + _DAY_NS)


@dataclass(frozen=True)
class RowDigest:
    """How many rows, and the SHA-256 of their names (space, day, node, boot, seq), in that order, one a line."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Match:
    """A row that was found, and the cosine between its vector and the query's."""

    row: Row
    cosine: float


class Store(Protocol):
    """Keeps rows by space and day. Every method may be called from any thread.

    Raises:
        GalleryError: from every method: the store cannot be read or written. Nothing that `add` had returned from is
            lost, and the call can be repeated when the reason is gone.
    """

    def add(self, rows: Sequence[Row]) -> int:
        """Keep rows, on the disk when this returns; one that is there already, or was erased, is not added again.

        Returns how many were new.
        """

    def days(self) -> list[StoredDay]:
        """The spaces and days that are kept, in order."""

    def digest(self, where: Where) -> RowDigest:
        """Count the rows, and give the digest of their names."""

    def rows(self, where: Where) -> Iterator[Row]:
        """The rows in the order of space, day, node, boot and seq."""

    def search(self, query: NDArray[np.float32], *, where: Where, count: int) -> list[Match]:
        """The `count` rows that are most like the query, best first. query: (D,) of any length; `where` has a space."""

    def find_like(self, query: NDArray[np.float32], *, where: Where, at_least: float) -> list[Match]:
        """All rows whose cosine with the query is `at_least`, best first; compares with every row."""

    def assign(self, people: Mapping[str, str], *, where: Where) -> int:
        """Set the person of tracks (track -> person) among the rows meant. Returns how many rows that changed."""

    def erase(self, where: Where) -> RowDigest:
        """Delete rows for good: no byte of their vectors is left in any file when this returns.

        The names of the rows are remembered, so that a message which is delivered again stays erased.
        """

    def drop_expired(self, now_ns: int) -> RowDigest:
        """Erase the rows whose time is over; a day that is over as a whole goes with all its files.

        Names of erased rows are forgotten at the same time as the rows would have been.
        """

    def erased_keys(self, part: StoredDay) -> list[ErasedKey]:
        """The names of rows that were erased before their time."""

    def add_erased_keys(self, part: StoredDay, keys: Sequence[ErasedKey]) -> None:
        """Refuse these rows from now on."""

    def finish_day(self, part: StoredDay) -> None:
        """Prepare a day that gets hardly any more rows for searching."""

    def close(self) -> None:
        """Give back files and connections."""


def make_row(topic: Topic, message: Message, *, keep_s: float, now_ns: int) -> Row | None:
    """Turn a checked message into a row that is kept for `keep_s` after its capture.

    None for a message without a descriptor, and for one whose time is over already.

    Raises:
        GalleryError: a number is beyond what a store can hold.
    """
    expires_at_ns = message.capture_ns + int(keep_s * 1e9)
    if message.descriptor is None or expires_at_ns <= now_ns:
        return None
    if max(message.seq, expires_at_ns, message.crops) > _LARGEST:
        raise GalleryError(
            f"{topic.site}/{topic.node}: expected seq {message.seq}, crops {message.crops} and capture_ns "
            f"{message.capture_ns} below 2^63; the node's counter or clock is wrong"
        )
    return Row(
        space=message.space,
        site=topic.site,
        node=topic.node,
        camera=topic.camera or "",
        boot=message.boot,
        seq=message.seq,
        track=message.track,
        kind=message.kind if isinstance(message, DescriptorMessage) else "track",
        capture_ns=message.capture_ns,
        uncertainty_ns=message.uncertainty_ns,
        box=message.box,
        quality=message.quality if isinstance(message, DescriptorMessage) else None,
        dispersion=message.dispersion,
        crops=message.crops,
        precision=message.precision,
        vector=message.descriptor.encoded(),
        person=None,
        expires_at_ns=expires_at_ns,
    )


def day_of(capture_ns: int) -> str:
    """The UTC day of a moment, such as `2026-11-27`."""
    return _day_text(capture_ns // _DAY_NS)


@functools.lru_cache(maxsize=1024)
def _day_text(days: int) -> str:
    return (_FIRST_DAY + datetime.timedelta(days)).isoformat()
