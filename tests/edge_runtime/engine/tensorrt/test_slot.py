"""Batches in flight: which sizes runs are recorded for, and in which order two slots give their descriptors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.engine.tensorrt.batch_buckets import batch_buckets
from edge_runtime.engine.tensorrt.tensorrt_engine import describe_in_turns


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1, 8, 32), (1, 2, 4, 8, 16, 32)),
        ((1, 1, 1), (1,)),
        ((3, 8, 20), (3, 4, 8, 16, 20)),
        ((1, 6, 33), (1, 2, 4, 6, 8, 16, 32, 33)),
    ],
)
def test_runs_are_recorded_for_powers_of_two_both_ends_and_the_best(
    sizes: tuple[int, int, int], expected: tuple[int, ...]
) -> None:
    """Any number of crops from the smallest to the largest batch is padded to less than twice its size."""
    smallest, best, largest = sizes
    assert batch_buckets(smallest=smallest, best=best, largest=largest) == expected


class Device:
    """A slot without a GPU: results stay in a buffer until `finish`, and the next start overwrites them."""

    def __init__(self, log: list[str], name: str) -> None:
        self._log, self._name = log, name
        self._buffer = np.zeros((4, 1), np.float32)
        self._count = 0

    @property
    def is_busy(self) -> bool:
        """See `Slot.is_busy`."""
        return self._count > 0

    def start(self, crops: NDArray[np.uint8]) -> None:
        """See `Slot.start`."""
        assert not self.is_busy
        assert 0 < len(crops) <= 4
        self._log.append(f"start {self._name}")
        self._buffer[: len(crops), 0] = crops[:, 0, 0, 0]
        self._count = len(crops)

    def finish(self) -> NDArray[np.float32]:
        """See `Slot.finish`."""
        self._log.append(f"finish {self._name}")
        count, self._count = self._count, 0
        return self._buffer[:count]


@pytest.mark.parametrize("count", [1, 4, 5, 8, 9, 23])
def test_descriptors_come_in_the_order_of_the_crops(count: int) -> None:
    """However the batches take turns, row i belongs to crop i, and every slot ends free."""
    slots = (Device([], "a"), Device([], "b"))
    crops = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    found = describe_in_turns(slots, crops, batch_max=4)  # type: ignore[arg-type]
    assert found[:, 0].tolist() == list(range(count))
    assert not any(slot.is_busy for slot in slots)


def test_the_next_batch_starts_before_the_last_one_is_waited_for() -> None:
    """While one slot computes, the other is filled: that is what two are for."""
    log: list[str] = []
    slots = (Device(log, "a"), Device(log, "b"))
    describe_in_turns(slots, np.zeros((12, 1, 1, 1), np.uint8), batch_max=4)  # type: ignore[arg-type]
    assert log == ["start a", "start b", "finish a", "start a", "finish b", "finish a"]
