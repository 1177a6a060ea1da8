"""What systemd is told, and the unit by which it starts the daemon."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from edge_runtime.health.watchdog import tell_starter
from tests.conftest import ROOT

UNIT = ROOT / "edge_runtime/install/reid-edge.service"


def test_nothing_is_told_where_nobody_asks() -> None:
    """Started by hand there is no socket; a watchdog would have nowhere to tell."""
    before = threading.active_count()
    with tell_starter({"WATCHDOG_USEC": "1000"}, is_alive=lambda: True):
        assert threading.active_count() == before


def test_a_loop_that_hangs_is_not_said_to_live(tmp_path: Path) -> None:
    """Then systemd restarts the daemon. The socket may have a name without a file, which begins with an @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        name = f"reid-edge-test-{os.getpid()}"
        systemd.bind(f"\0{name}")
        systemd.settimeout(10)
        asked = threading.Semaphore(0)

        def is_alive() -> bool:
            asked.release()
            return False

        with tell_starter({"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": "3000"}, is_alive=is_alive):
            for _ in range(5):
                assert asked.acquire(timeout=10)
        assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.machine
def test_the_unit_is_valid_and_hardened(tmp_path: Path) -> None:
    """Exposure by systemd-analyze is at most 3.0 of 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", UNIT]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr


def test_the_unit_fits_the_exit_codes_and_the_folders_of_the_package() -> None:
    """2 is final; the state lies where the spool is in the manual's example."""
    lines = UNIT.read_text().splitlines()
    for line in (
        "Type=notify",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "RestartPreventExitStatus=2",
        "StateDirectory=reid-edge",
        "User=reid-edge",
    ):
        assert line in lines
