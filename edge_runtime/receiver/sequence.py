"""Which sequence numbers of a node arrived, which came twice, which are missing and why."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edge_runtime.link.messages import GapReason

Arrival = Literal["new", "double", "reused"]


class Ranges:
    """A set of whole numbers, kept as stretches: small as long as few numbers are missing between them."""

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
    """A stretch of numbers that did not arrive; `why` is what the node said of it, None if it said nothing."""

    first: int
    last: int
    why: GapReason | None


class SequenceTracker:
    """The numbers of one node. They go on over restarts, so one line holds for all its boots.

    A double is the same number of the same boot. The same number of another boot is `reused`: the node's spool was
    thrown away, and its numbering began again.
    """

    def __init__(self) -> None:
        self._of_boot: dict[str, Ranges] = {}
        self._arrived = Ranges()
        self._gaps: list[Missing] = []
        self._start: int | None = None
        self._stop = 0

    @property
    def first(self) -> int | None:
        """The first number that is due; None as long as nothing is."""
        return self._start

    @property
    def last(self) -> int | None:
        """The last number that is due; None as long as nothing is."""
        return self._stop - 1 if self._start is not None and self._stop > self._start else None

    def expect(self, first: int, stop: int) -> None:
        """Count the numbers first <= n < stop as due, even if none of them arrives."""
        self._start = first if self._start is None else min(self._start, first)
        self._stop = max(self._stop, stop)

    def add(self, boot: str, seq: int) -> Arrival:
        """Take note of a message."""
        self.expect(seq, seq + 1)
        of_boot = self._of_boot.setdefault(boot, Ranges())
        if seq in of_boot:
            return "double"
        of_boot.add(seq, seq)
        if seq in self._arrived:
            return "reused"
        self._arrived.add(seq, seq)
        return "new"

    def add_gap(self, first: int, last: int, why: GapReason) -> None:
        """Take note that what is missing from `first` to `last` will never come.

        Such numbers are due, but for those of a `lost` spool: nobody knows which of them were delivered before.
        """
        if why != "lost":
            self.expect(first, last + 1)
        gap = Missing(first, last, why)
        if gap not in self._gaps:
            self._gaps.append(gap)

    def missing(self) -> list[Missing]:
        """What is due and did not arrive, in order, cut where the node's explanation changes."""
        if self._start is None:
            return []
        holes: list[tuple[int, int]] = []
        following = self._start
        for first, last in [*self._arrived, (self._stop, self._stop)]:
            if first > following:
                holes.append((following, first - 1))
            following = max(following, last + 1)
        return [part for first, last in holes for part in self._explain(first, last)]

    def _explain(self, first: int, last: int) -> Iterator[Missing]:
        while first <= last:
            gap = next((gap for gap in self._gaps if gap.first <= first <= gap.last), None)
            if gap:
                end = min(last, gap.last)
            else:
                end = min([last, *(gap.first - 1 for gap in self._gaps if gap.first > first)])
            yield Missing(first, end, gap.why if gap else None)
            first = end + 1
