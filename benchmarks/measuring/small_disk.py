"""A disk of a few kibibytes to mebibytes, so that a full one costs nothing else on this machine."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def mount_small_disk(folder: Path, *, size: str) -> Iterator[bool]:
    """Mount a disk in memory at a folder, which is made; gives False where this process may not mount one.

    size: as `mount` takes it, such as `64k` or `4m`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    try:
        is_mounted = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:  # there is no `mount`
        is_mounted = False
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill_disk(folder: Path) -> Path:
    """Write a file that leaves no room on the folder's disk. Returns it, to be deleted again."""
    disk, hog = os.statvfs(folder), folder / "hog"
    hog.write_bytes(b"x" * disk.f_bavail * disk.f_frsize)
    return hog
