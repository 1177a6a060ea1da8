"""What the spool holds: messages as they are handed in, kept and given out, and gaps in their numbers."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from edge_runtime.link.wire_types import GapReason

_OBJECT_BYTES = 300  # what a message in memory costs beside its payload


class Priority(IntEnum):
    """Which messages are dropped when there is no room: those of the lowest priority, the oldest of them first."""

    CROP = 0
    TRACK = 1
    TRACK_END = 2


@dataclass(frozen=True)
class Entry:
    """A message to be spooled. payload: as `encode_message` returns it."""

    topic: str
    payload: bytes
    priority: Priority


@dataclass(frozen=True)
class SpooledMessage:
    """A message in the spool. boot: id of the run of the node that stored it. created_ns: when, by the wall clock."""

    seq: int
    boot: str
    topic: str
    payload: bytes
    created_ns: int


@dataclass(frozen=True)
class Record:
    """A numbered message as it is kept. created_ns: the uptime of the machine when it was handed in."""

    seq: int
    priority: int
    created_ns: int
    boot: str
    topic: str
    payload: bytes

    def crc(self) -> int:
        """CRC-32 over all fields: it finds bits that changed on the disk, in the number too."""
        head = f"{self.seq} {self.priority} {self.created_ns} {self.boot} {self.topic}\n"
        return zlib.crc32(self.payload, zlib.crc32(head.encode(errors="replace")))

    def size(self) -> int:
        """About how many bytes it takes in memory."""
        return len(self.payload) + len(self.topic) + _OBJECT_BYTES

    def at(self, clock_ns: int) -> SpooledMessage:
        """The message as it is given out. clock_ns: what to add to the uptime to get UTC."""
        return SpooledMessage(self.seq, self.boot, self.topic, self.payload, self.created_ns + clock_ns)


@dataclass(frozen=True)
class Gap:
    """Sequence numbers from `first` to `last`: those that have not been delivered never will be."""

    first: int
    last: int
    why: GapReason


def find_holes(numbers: Iterable[int], stop: int) -> list[Gap]:
    """The numbers from 0 to `stop` - 1 that are not among `numbers` (ascending), as gaps of reason `lost`."""
    holes, following = [], 0
    for number in [*(number for number in numbers if number < stop), stop]:
        if number > following:
            holes.append(Gap(following, number - 1, "lost"))
        following = number + 1
    return holes


def join_number(gaps: Iterable[Gap], number: int, *, why: GapReason) -> list[Gap]:
    """The gaps with one more number, which joins those that it adjoins."""
    before = next((gap for gap in gaps if gap.last == number - 1 and gap.why == why), None)
    after = next((gap for gap in gaps if gap.first == number + 1 and gap.why == why), None)
    joined = Gap(before.first if before else number, after.last if after else number, why)
    return [*(gap for gap in gaps if gap not in (before, after)), joined]


def text_crc(*values: object) -> int:
    """CRC-32 of some values, written one after the other."""
    return zlib.crc32(" ".join(map(str, values)).encode(errors="replace"))
