"""Time several networks fairly: in one run, in random order, after a warm-up."""

import time
from collections.abc import Callable, Hashable, Mapping
from random import Random
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]
CallName = TypeVar("CallName", bound=Hashable)


def interleave(
    calls: Mapping[CallName, Call], *, rounds: int, seed: int = 0, clock: Callable[[], float] = time.perf_counter
) -> dict[CallName, NDArray[np.float64]]:
    """Time each call once per round, in a new random order each round, so that a slow moment affects all of them.

    Before each timed call the same call runs untimed, so that caches are as warm as in steady use. calls: must be
    single-threaded, because idle thread pools of several libraries slow each other down. clock: returns seconds; with
    `time.process_time` it is CPU time.

    Returns milliseconds by name, (rounds,) float64 each, without the first three rounds.
    """
    warm_up = 3
    order = list(calls)
    random = Random(seed)
    samples: dict[CallName, list[float]] = {name: [] for name in calls}
    for _ in range(warm_up + rounds):
        random.shuffle(order)
        for name in order:
            calls[name]()
            start = clock()
            calls[name]()
            samples[name].append(1000 * (clock() - start))
    return {name: np.array(values[warm_up:]) for name, values in samples.items()}
