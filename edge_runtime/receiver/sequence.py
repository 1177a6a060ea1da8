"""Which sequence numbers of a node arrived, which arrived twice, and which are missing and why."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from edge_runtime.link.wire_types import GapReason

Arrival = Literal["new", "duplicate", "reused"]


class Ranges:
    """A set of whole numbers, stored as ranges: it stays small as long as few numbers are missing between them."""

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def add(self, first: int, last: int) -> None:
        """Add all numbers from `first` to `last`, both included."""
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high], self._lasts[low:high] = [first], [last]


@dataclass(frozen=True)
class Missing:
    """Numbers from `first` to `last` that did not arrive; `why` is the node's reason, None if it gave none."""

    first: int
    last: int
    why: GapReason | None


class SequenceTracker:
    """The sequence numbers of one node, over all its runs: the numbers go on when the node restarts.

    A duplicate is the same number of the same run (`boot`). The same number of another run is `reused`: the node's
    spool was deleted and its numbering began again, or two machines have the same name. Then each run has an account
    of its own, because one's numbers would hide what the other lost.
    Not thread-safe.
    """

    def __init__(self) -> None:
        self._arrived_by_boot: dict[str, Ranges] = {}
        self._arrived = Ranges()
        self._gaps: list[Missing] = []
        self._gaps_by_boot: dict[str, list[Missing]] = {}
        self.is_reused = False
        self._start: int | None = None
        self._stop = 0

    @property
    def first(self) -> int | None:
        """The first number that is expected; None as long as none is."""
        return self._start

    @property
    def last(self) -> int | None:
        """The last number that is expected; None as long as none is."""
        return self._stop - 1 if self._start is not None and self._stop > self._start else None

    def expect(self, first: int, stop: int) -> None:
        """Expect the numbers first <= n < stop: those that do not arrive are missing."""
        self._start = first if self._start is None else min(self._start, first)
        self._stop = max(self._stop, stop)

    def add(self, boot: str, seq: int) -> Arrival:
        """Record that a message arrived."""
        self.expect(seq, seq + 1)
        of_boot = self._arrived_by_boot.setdefault(boot, Ranges())
        if seq in of_boot:
            return "duplicate"
        of_boot.add(seq, seq)
        if seq in self._arrived:
            self.is_reused = True
            return "reused"
        self._arrived.add(seq, seq)
        return "new"

    def add_gap(self, gap: Missing, *, boot: str) -> None:
        """Record that numbers of a gap that have not arrived will never arrive. boot: the run that told it.

        They are expected, so that they count as missing. Not so for the reason `lost`: the node does not know which
        of the numbers of a lost spool were delivered before.
        """
        if gap.why != "lost":
            self.expect(gap.first, gap.last + 1)
        for known in (self._gaps, self._gaps_by_boot.setdefault(boot, [])):
            if gap not in known:
                known.append(gap)

    def missing(self) -> list[Missing]:
        """The numbers that are expected and did not arrive, in order, split where the node's reason changes."""
        if self._start is None:
            return []
        return _find_missing(self._arrived, self._gaps, expected=range(self._start, self._stop))

    def accounts(self) -> dict[str, tuple[range, list[Missing]]]:
        """For each run: its numbers from the first to the last that arrived, and which of them are missing."""
        found = {}
        for boot, arrived in self._arrived_by_boot.items():
            ends = list(arrived)
            expected = range(ends[0][0], ends[-1][1] + 1)
            found[boot] = expected, _find_missing(arrived, self._gaps_by_boot.get(boot, []), expected=expected)
        return found


def _find_missing(arrived: Ranges, gaps: Sequence[Missing], *, expected: range) -> list[Missing]:
    holes: list[tuple[int, int]] = []
    following = expected.start
    for first, last in [*arrived, (expected.stop, expected.stop)]:
        if first > following:
            holes.append((following, first - 1))
        following = max(following, last + 1)
    return [part for hole in holes for part in _split_by_reason(hole, gaps)]


def _split_by_reason(hole: tuple[int, int], gaps: Sequence[Missing]) -> Iterator[Missing]:
    first, last = hole
    while first <= last:
        gap = next((gap for gap in gaps if gap.first <= first <= gap.last), None)
        following = [gap.first - 1 for gap in gaps if gap.first > first]
        end = min(last, gap.last) if gap else min([last, *following])
        yield Missing(first, end, gap.why if gap else None)
        first = end + 1
