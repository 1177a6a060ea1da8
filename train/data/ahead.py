"""Preparing what comes next while what is there is used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def ahead(prepare: Callable[[Item], Prepared], items: Iterable[Item], *, count: int) -> Iterator[Prepared]:
    """Yield `prepare(item)` for each item in order, worked on by one thread that is up to `count` items ahead.

    Raises:
        What `prepare` raises, when it is that item's turn.
    """
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(1) as thread:
        for item in items:
            waiting.append(thread.submit(prepare, item))
            if len(waiting) > count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
