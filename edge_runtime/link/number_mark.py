"""The `.seq` file of a spool: a number above all that were given out, so that none is given out twice.

Numbers are given out below this mark only, and a thread raises it long before they reach it. Where nothing can tell
which numbers were given out (the files are damaged), or the mark could not be raised in time (a dead disk), numbers go
on so far above that they meet no others: by a random step of 2^40 to 2^48, which leaves room below 2^53 for decades.
"""

import logging
import os
import secrets
import time
import zlib
from pathlib import Path

from edge_runtime.contract.errors import PublishError

logger = logging.getLogger(__name__)

_DIGITS = 20
_FEWEST_NUMBERS = 1024  # how far above the next number the mark is set at least
_ENOUGH_S = 60.0  # and for so much time, by how fast numbers were given out lately
_STEP, _LONGEST_STEP = 1 << 40, 1 << 48


class NumberMark:
    """Not thread-safe, but `is_above` and `is_near` may be asked by any thread while another one raises it.

    value: None if there is no file, or the number in it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.value = _read(path)
        self._left_for: int | None = None
        self._raised_at = (0, time.monotonic())

    def is_above(self, number: int) -> bool:
        """Whether `number` may be given out: the next process will begin above it, or far away from it."""
        has_left = self._left_for is not None and number >= self._left_for
        return has_left or (self.value is not None and number < self.value)

    def is_near(self, next_seq: int) -> bool:
        """Whether it is time to raise it."""
        return self.value is None or next_seq + _FEWEST_NUMBERS // 2 > self.value

    def raise_above(self, next_seq: int) -> None:
        """Raise it well above the next number, if it is near.

        Raises:
            PublishError: the disk is full, or fails.
        """
        if not self.is_near(next_seq):
            return
        number, then_s = self._raised_at
        now_s = time.monotonic()
        per_s = max(0, next_seq - number) / max(1.0, now_s - then_s) if number else 0.0
        self.put(next_seq + max(_FEWEST_NUMBERS, int(_ENOUGH_S * per_s)))
        self._raised_at = next_seq, now_s

    def put(self, number: int) -> None:
        """Write it in place, which needs no room on a full disk. It is on the disk when this returns.

        Raises:
            PublishError: the disk is full, or fails.
        """
        try:
            file = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o644)
            try:
                # One write of a few bytes of one sector: a power cut leaves the old number or the new one.
                os.pwrite(file, _with_checksum(number), 0)
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            raise PublishError(
                f"cannot write {self._path}: {error.strerror}; free some space, nothing in the spool is lost"
            ) from error
        self.value = number
        if self._left_for is not None and number > self._left_for:
            self._left_for = None

    def leave(self, number: int) -> int:
        """A number so far above `number` that it, and those that follow, were never given out."""
        self._raised_at = (0, time.monotonic())
        self._left_for = number + _STEP + secrets.randbelow(_LONGEST_STEP - _STEP)
        logger.error("%s does not say which numbers are free: after %d comes %d", self._path, number, self._left_for)
        return self._left_for


def _read(path: Path) -> int | None:
    try:
        content = path.read_bytes()
        number = int(content[:_DIGITS])
    except (OSError, ValueError):
        return None
    return number if content == _with_checksum(number) else None


def _with_checksum(number: int) -> bytes:
    digits = f"{number:0{_DIGITS}d}".encode()
    return b"%b %08x\n" % (digits, zlib.crc32(digits))
