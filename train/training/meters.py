"""Means over an epoch, summed on the device, so that no step waits for its figures."""

import torch
from torch import Tensor

from train.machine.processes import Processes


class EpochMeans:
    """Means of named figures over the images of an epoch, of all processes. images: how many were counted."""

    def __init__(self, processes: Processes) -> None:
        self.images = 0
        self._processes = processes
        self._names: tuple[str, ...] = ()
        self._sums = torch.zeros((), dtype=torch.float64)
        self._latest = torch.zeros(())

    def add(self, figures: dict[str, Tensor], *, images: int) -> None:
        """Add the figures of one step, always the same names. images: this process's share of the batch."""
        self._names = tuple(figures)
        self._latest = torch.stack([value.float() for value in figures.values()])
        weighted = self._latest.double() * images
        self._sums = weighted if self.images == 0 else self._sums + weighted
        self.images += images * self._processes.count

    def latest(self, name: str) -> float:
        """A figure of the last step, the mean over processes. Waits for the device."""
        return float(self._processes.mean(self._latest)[self._names.index(name)])

    def means(self) -> dict[str, float]:
        """All figures by name. Waits for the device."""
        means = self._processes.mean(self._sums) * (self._processes.count / self.images)
        return dict(zip(self._names, means.tolist(), strict=True))
