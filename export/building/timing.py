"""Time several networks fairly: in one run, in random order, after a warm-up."""

import time
from collections.abc import Callable, Hashable, Mapping
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)


def interleave(
    calls: Mapping[Name, Call], *, rounds: int, seed: int = 0, clock: Callable[[], float] = time.perf_counter
) -> dict[Name, NDArray[np.float64]]:
    """Time everything once per round, in another order each round, so that a slow moment of the machine hits all.

    Each timed call follows an untimed one, so that caches are as warm as in steady service. Give single-threaded calls
    only: pools of several libraries spin and slow each other down. clock: gives seconds; `time.process_time` counts the
    work instead of the time it takes.

    Returns milliseconds by name, (rounds,) float64 each; three rounds of warm-up are left out.
    """
    warm_up = 3
    order = list(calls)
    random = Random(seed)
    samples: dict[Name, list[float]] = {name: [] for name in calls}
    for _ in range(warm_up + rounds):
        random.shuffle(order)
        for name in order:
            calls[name]()
            start = clock()
            calls[name]()
            samples[name].append(1000 * (clock() - start))
    return {name: np.array(values[warm_up:]) for name, values in samples.items()}
