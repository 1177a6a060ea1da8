"""The daemon of this node as an install sees it: started anew by a command, asked over HTTP whether it is ready."""

import http.client
import subprocess
import time
from dataclasses import dataclass

from edge_runtime.contract.errors import RolloutError
from edge_runtime.health.checks import name_file
from edge_runtime.health.server import HealthSettings

_ASK_S = 5.0
_BETWEEN_S = 0.5


@dataclass(frozen=True)
class Readiness:
    """An answer of /readyz."""

    status: int
    text: str

    @property
    def faults(self) -> str:
        """The checks that have failed, in one line."""
        failed = [line.removeprefix("FAILED ") for line in self.text.splitlines() if line.startswith("FAILED ")]
        return "; ".join(failed) or f"status {self.status}"


@dataclass(frozen=True)
class RunningDaemon:
    """The daemon that runs, or should.

    command: starts it anew; empty if somebody else does. health: where it answers; with port 0 it does not.
    ready_within_s: after a change it must be ready within this time; None if nobody waits for that.
    """

    command: tuple[str, ...]
    health: HealthSettings
    ready_within_s: float | None

    def restart(self) -> None:
        """Start the daemon anew and wait for the command's end.

        Raises:
            RolloutError: the command is not there, or fails.
        """
        if not self.command:
            return
        said = " ".join(self.command)
        try:
            found = subprocess.run(self.command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except OSError as error:
            raise RolloutError(f"cannot run `{said}` to restart the daemon: {error.strerror}") from error
        if found.returncode:
            reason = (found.stderr or found.stdout).strip().rpartition("\n")[2]
            raise RolloutError(f"`{said}`, which restarts the daemon, ends with {found.returncode}: {reason}")

    def readiness(self) -> Readiness | None:
        """What it says of itself; None if it does not answer."""
        if self.health.port == 0:
            return None
        connection = http.client.HTTPConnection(self.health.host, self.health.port, timeout=_ASK_S)
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            return Readiness(answer.status, answer.read().decode(errors="replace"))
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def run_with(self, engine_sha256: str) -> None:
        """Let it run with the engine that is in use now, unless it does, and wait until it is ready if that is wanted.

        Raises:
            RolloutError: it cannot be restarted, or it is not ready in time; it says why.
        """
        answer = self.readiness()
        if answer is None or name_file(engine_sha256) not in answer.text:
            self.restart()
            print("the daemon was restarted" if self.command else "restart the daemon now", flush=True)
        if self.ready_within_s is not None:
            self._wait_until_ready(engine_sha256, timeout_s=self.ready_within_s)
            print("the daemon is ready with it", flush=True)

    def _wait_until_ready(self, engine_sha256: str, *, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        while True:
            answer = self.readiness()
            is_new = answer is not None and name_file(engine_sha256) in answer.text
            if answer and is_new and answer.status == http.client.OK:
                return
            if time.monotonic() >= deadline_s:
                break
            time.sleep(_BETWEEN_S)
        if answer is None:
            reason = f"nobody answers on {self.health.host}:{self.health.port}"
        else:
            reason = answer.faults if is_new else "the daemon still runs another engine"
        raise RolloutError(f"the daemon is not ready with it after {timeout_s:g} s: {reason}")
