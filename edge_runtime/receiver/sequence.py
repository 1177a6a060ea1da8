"""Which sequence numbers of a node arrived, which arrived twice, and which are missing and why."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from edge_runtime.link.wire_types import GapReason

Arrival = Literal["new", "duplicate", "reused"]
_MOST_RANGES = 100_000
_MOST_BOOTS = 100


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
        if self._lasts and first == self._lasts[-1] + 1:  # nearly always the next number comes
            self._lasts[-1] = last
            return
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first, last = min(first, self._firsts[low]), max(last, self._lasts[high - 1])
        self._firsts[low:high], self._lasts[low:high] = [first], [last]
        if len(self._firsts) > _MOST_RANGES:  # forget the hole that is lowest: somebody sends numbers at random
            del self._firsts[1], self._lasts[0]

    def holes(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """What of the numbers from `first` to `last` is not in the set, in order."""
        index = bisect_left(self._lasts, first)
        while first <= last:
            if index == len(self._firsts) or self._firsts[index] > last:
                yield first, last
                return
            if self._firsts[index] > first:
                yield first, self._firsts[index] - 1
            first = self._lasts[index] + 1
            index += 1


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
        self._gaps: dict[Missing, None] = {}  # in order of arrival
        self._gaps_by_boot: dict[str, dict[Missing, None]] = {}
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
        if self._start is None or first < self._start:
            self._start = first
        if stop > self._stop:
            self._stop = stop

    def add(self, boot: str, seq: int) -> Arrival:
        """Record that a message arrived."""
        self.expect(seq, seq + 1)
        of_boot = self._ranges_of(boot)
        if seq in of_boot:
            return "duplicate"
        of_boot.add(seq, seq)
        if seq in self._arrived:
            self.is_reused = True
            return "reused"
        self._arrived.add(seq, seq)
        return "new"

    def _ranges_of(self, boot: str) -> Ranges:
        """What arrived of a run, which becomes the latest one."""
        of_boot = self._arrived_by_boot.get(boot)
        if of_boot is None or boot != next(reversed(self._arrived_by_boot)):
            of_boot = self._arrived_by_boot.pop(boot, None) or Ranges()
            self._arrived_by_boot[boot] = of_boot
            if len(self._arrived_by_boot) > _MOST_BOOTS:
                del self._arrived_by_boot[next(iter(self._arrived_by_boot))]
        return of_boot

    def add_gap(self, gap: Missing, *, boot: str) -> None:
        """Record that numbers of a gap that have not arrived will never arrive. boot: the run that told it.

        They are expected, so that they count as missing. Not so for the reason `lost`: the node does not know which
        of the numbers of a lost spool were delivered before.
        """
        if gap.why != "lost":
            self.expect(gap.first, gap.last + 1)
        for known in (self._gaps, self._gaps_by_boot.setdefault(boot, {})):
            known[gap] = None
            if len(known) > _MOST_RANGES:
                del known[next(iter(known))]
        if len(self._gaps_by_boot) > _MOST_BOOTS:
            del self._gaps_by_boot[next(iter(self._gaps_by_boot))]

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
            found[boot] = expected, _find_missing(arrived, self._gaps_by_boot.get(boot, {}), expected=expected)
        return found


def _find_missing(arrived: Ranges, gaps: Iterable[Missing], *, expected: range) -> list[Missing]:
    holes = arrived.holes(expected.start, expected.stop - 1)
    return list(_split_by_reason(holes, _without_overlap(gaps)))


def _without_overlap(gaps: Iterable[Missing]) -> list[Missing]:
    """The gaps in order of their numbers; where two overlap, the numbers are of the one that arrived first."""
    taken, chosen = Ranges(), list[Missing]()
    for gap in gaps:
        chosen += [Missing(first, last, gap.why) for first, last in taken.holes(gap.first, gap.last)]
        taken.add(gap.first, gap.last)
    return sorted(chosen, key=lambda gap: gap.first)


def _split_by_reason(holes: Iterable[tuple[int, int]], reasons: list[Missing]) -> Iterator[Missing]:
    """Holes in parts, each with its reason. Both in order and without overlap."""
    index = 0
    for first, last in holes:
        while first <= last:
            while index < len(reasons) and reasons[index].last < first:
                index += 1
            gap = reasons[index] if index < len(reasons) else None
            if gap is None or gap.first > last:
                yield Missing(first, last, None)
                break
            if gap.first > first:
                yield Missing(first, gap.first - 1, None)
            yield Missing(max(first, gap.first), min(last, gap.last), gap.why)
            first = gap.last + 1
