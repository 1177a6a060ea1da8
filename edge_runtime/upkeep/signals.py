"""What an operator asks of the running daemon by signals."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Signals:
    """What we were asked by signals. stop: by SIGTERM and SIGINT. reload: by SIGHUP; whoever has reloaded clears it.

    The SIGHUP of a terminal that is closed means stop.
    """

    stop: threading.Event = field(default_factory=threading.Event)
    reload: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def take_signals() -> Iterator[Signals]:
    """Set events for signals. At the end signals are ignored, so that they cannot change the exit code."""
    signals, had_terminal = Signals(), _has_terminal()

    def note(number: int, _: object) -> None:
        # A terminal that is closed says so by SIGHUP, too: whoever ran us in it wants us to end.
        is_reload = number == signal.SIGHUP and not (had_terminal and not _has_terminal())
        (signals.reload if is_reload else signals.stop).set()

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for number in numbers:
        signal.signal(number, note)
    try:
        yield signals
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def _has_terminal() -> bool:
    """Whether this process belongs to a terminal that is still open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
