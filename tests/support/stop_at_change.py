"""Exchanges the engine of a node again and again, each time in a process that is killed one change of the disk later.

Run by tests as `python -m tests.support.stop_at_change COMMAND CONFIG ONE OTHER`, with a node that uses the engine of
the bundle ONE. COMMAND is `install`, to the other bundle and back, or `rollback`, after which the other one is
installed again. Prints a line of JSON for each time, see `Attempt`; the last one is that of a process which ended by
itself.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from edge_runtime.contract.manifest import read_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.rollout import commands

_CHANGES = ("os.rename", "os.symlink", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "subprocess.Popen")
_WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True)
class Attempt:
    """One process that was killed before a change. Engines are named by their digest.

    status: its exit code, negative for a signal. before: the engine in use at its start. after: at its end; it was
    opened as the daemon opens it. again: the exit code of the same command when it was given again. at_last: the engine
    then in use, and kept: the number of engines on the disk.
    """

    change: str
    status: int
    before: str
    after: str
    again: int
    at_last: str
    kept: int


def main(command: str, config: str, one: str, other: str) -> None:
    """See above."""
    stop_at, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        words = [other, "--config", config]
        act = partial(commands.install, words)
        if command == "rollback":
            assert fork(act) == 0
            act = partial(commands.rollback, words)
        attempt = try_once(act, Path(config).parent / "engines", stop_at=stop_at)
        print(json.dumps(asdict(attempt)), flush=True)
        if command == "install":
            one, other = other, one
        status, stop_at = attempt.status, stop_at + 1


def try_once(act: Callable[[], int], engines: Path, *, stop_at: int) -> Attempt:
    """Let a process be killed before its change of this number, and then do the same without."""
    note = engines.parent / "change"
    before = in_use(engines)
    status = fork(act, before=lambda: kill_at(stop_at, note))
    after = in_use(engines)
    again = fork(act)
    kept = [path for path in engines.iterdir() if path.is_dir() and not path.is_symlink()]
    return Attempt(note.read_text(), status, before, after, again, in_use(engines), len(kept))


def in_use(engines: Path) -> str:
    """The digest of the engine in use, which opens."""
    engine = engines / "current/engine"
    with open_engine(engine):
        return read_manifest(engine).artefact.sha256


def fork(act: Callable[[], int], *, before: Callable[[], None] = lambda: None) -> int:
    """Call it in a process of its own. Returns its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
                before()
                code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(number: int, note: Path) -> None:
    """Kill this process before its change of this number, and write down which one that is."""
    left = number
    note.write_text("none")
    file = os.open(note, os.O_WRONLY | os.O_TRUNC)

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        is_writing = event == "open" and bool(arguments[2] & _WRITING)
        if event not in _CHANGES and not is_writing:
            return
        if left == 0:
            os.write(file, f"{event} {arguments[0]}".encode())
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    sys.addaudithook(count)


if __name__ == "__main__":
    main(*sys.argv[1:])
