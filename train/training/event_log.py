"""A run's figures as TensorBoard shows them, where TensorBoard is installed."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class EventLog:
    """Writes TensorBoard's event files into a folder; without the package tensorboard it does nothing.

    finished_epochs: what an earlier, stopped run wrote of later epochs is to be left out.
    """

    def __init__(self, folder: Path, *, finished_epochs: int) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("no TensorBoard files: the package tensorboard is not installed")
            return
        self._writer = SummaryWriter(str(folder), purge_step=finished_epochs + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add the numbers of one line of the log, also those of its nested parts."""
        if self._writer is None:
            return
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            numbers |= {f"{name}/{inner}": number for inner, number in value.items()}
        else:
            numbers[name] = value
    return numbers
