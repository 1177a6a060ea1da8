"""How much memory is free, and an error that explains full memory."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from edge_runtime.contract.errors import TrainingError


@dataclass(frozen=True)
class _Group:
    """Files in which Linux states a container's memory limit and use. cache: its reclaimable part."""

    folder: str
    limit: str
    taken: str
    cache: str


_GROUPS = (
    _Group("sys/fs/cgroup", limit="memory.max", taken="memory.current", cache="inactive_file"),
    _Group(
        "sys/fs/cgroup/memory",
        limit="memory.limit_in_bytes",
        taken="memory.usage_in_bytes",
        cache="total_inactive_file",
    ),
)
"""The files of control groups version 2, and of version 1."""


def free_host_memory(root: Path = Path("/")) -> int:
    """Bytes that this program may still allocate, as Linux states for host and container; elsewhere all memory."""
    free = _numbers(root / "proc/meminfo").get("MemAvailable:", 0) * 1024
    free = free or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([free, *(_left_in(root / group.folder, group) for group in _GROUPS if _has_limit(root, group))])


def _has_limit(root: Path, group: _Group) -> bool:
    path = root / group.folder / group.limit
    return path.is_file() and path.read_text().strip() != "max"


def _left_in(folder: Path, group: _Group) -> int:
    limit, taken = (int((folder / name).read_text()) for name in (group.limit, group.taken))
    return max(0, limit - taken + _numbers(folder / "memory.stat").get(group.cache, 0))


def _numbers(path: Path) -> dict[str, int]:
    """The first number of each line by the word before it; none where the file is missing."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return {words[0]: int(words[1]) for words in map(str.split, lines)}


@contextmanager
def explain_full_memory(device: torch.device, *, batch_size: int) -> Iterator[None]:
    """Turn the errors of full GPU or host memory into one that says what to do.

    Raises:
        TrainingError: memory is full.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise _full(device, batch_size) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error):  # PyTorch's message for host memory
            raise
        raise _full(torch.device("cpu"), batch_size) from error


def _full(device: torch.device, batch_size: int) -> TrainingError:
    return TrainingError(
        f"the memory of {device} is full at batch size {batch_size}; use a smaller batch (--batch N), "
        "a smaller network or a machine with more memory"
    )
