"""Free memory is what a program can still take: of the host, and of its container."""

from pathlib import Path

import pytest

from train.machine.memory import free_host_memory

MIB = 1024**2
HOST = {"proc/meminfo": f"MemTotal: {900 * 1024} kB\nMemAvailable: {800 * 1024} kB\n"}
NEW = {"memory.max": f"{500 * MIB}\n", "memory.current": f"{300 * MIB}\n", "memory.stat": f"inactive_file {50 * MIB}\n"}
OLD = {
    "memory.limit_in_bytes": f"{400 * MIB}\n",
    "memory.usage_in_bytes": f"{300 * MIB}\n",
    "memory.stat": f"inactive_file 0\ntotal_inactive_file {20 * MIB}\n",
}


def of_group(files: dict[str, str], folder: str = "sys/fs/cgroup") -> dict[str, str]:
    return {f"{folder}/{name}": content for name, content in files.items()}


@pytest.mark.parametrize(
    ("files", "free_mib"),
    [
        (HOST, 800),
        (HOST | of_group(NEW), 250),
        (HOST | of_group(NEW | {"memory.max": "max\n"}), 800),
        (HOST | of_group(NEW | {"memory.max": f"{200 * MIB}\n"}), 0),
        (HOST | of_group(OLD, "sys/fs/cgroup/memory"), 120),
        (HOST | of_group(OLD | {"memory.limit_in_bytes": f"{2**63 - 4096}\n"}, "sys/fs/cgroup/memory"), 800),
    ],
    ids=["host", "container", "no limit", "full", "version 1", "version 1 without limit"],
)
def test_a_container_takes_no_more_than_its_limit(files: dict[str, str], free_mib: int, tmp_path: Path) -> None:
    """What the host states is not all for it. The cache of files counts as free: Linux gives it up on demand."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert free_host_memory(tmp_path) == free_mib * MIB


def test_without_linux_all_memory_counts(tmp_path: Path) -> None:
    """No file says what is free."""
    assert free_host_memory(tmp_path) > 64 * MIB
