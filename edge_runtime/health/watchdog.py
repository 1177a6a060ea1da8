"""Tells the program that has started us, such as systemd, that we are ready, alive and ending.

Source: sd_notify(3) of systemd: a datagram to the socket that the environment names.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def tell_starter(environment: Mapping[str, str], *, is_alive: Callable[[], bool]) -> Iterator[None]:
    """Tell that we are ready, then that we live for as long as `is_alive` says so, and at the end that we stop.

    environment: NOTIFY_SOCKET, where to tell it, and WATCHDOG_USEC, after how long a silence we are restarted; without
    the first one nobody wants to know. is_alive: is called in a thread of its own.
    """
    address = environment.get("NOTIFY_SOCKET")
    if not address:
        yield
        return
    silence_s = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(silence_s / 3):
            if is_alive():
                _tell(address, "WATCHDOG=1")

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    _tell(address, "READY=1")
    if silence_s:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        _tell(address, "STOPPING=1")


def _tell(address: str, state: str) -> None:
    """Send one state. A starter that has gone away is no fault of ours."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        # An @ at the beginning stands for an address without a file.
        channel.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
