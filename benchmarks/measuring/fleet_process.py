"""A process that plays a part of a fleet: its parent gives orders and gets answers."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any

from edge_runtime.contract.errors import PublishError, ReidError

_CONTEXT = multiprocessing.get_context("spawn")
_END_S = 10.0


class FleetProcess:
    """Runs `work(pipe, **arguments)` in a process of its own, which ends when it receives None."""

    def __init__(self, work: Callable[..., None], **arguments: object) -> None:
        self._pipe, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_run, args=(work, theirs), kwargs={"arguments": arguments}, daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, order: object) -> None:
        """Give an order.

        Raises:
            PublishError: the process has ended.
        """
        try:
            self._pipe.send(order)
        except OSError as error:
            raise PublishError(f"a process of the fleet has ended: {error}") from error

    def answer(self, timeout_s: float) -> Any:
        """Wait for an answer.

        Raises:
            PublishError: the process has failed or ended, or does not answer in time.
        """
        if not self._pipe.poll(timeout_s):
            raise PublishError(f"a process of the fleet has not answered for {timeout_s:g} s; simulate fewer nodes")
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise PublishError("a process of the fleet has ended without an answer") from error
        if isinstance(answer, _Failure):
            raise PublishError(answer.why)
        return answer

    def stop(self) -> None:
        """End it."""
        if self._process.is_alive():
            try:
                self._pipe.send(None)
            except OSError:
                self._process.kill()
        self._process.join(_END_S)
        self._process.kill()


class _Failure:
    def __init__(self, why: str) -> None:
        self.why = why


def _run(work: Callable[..., None], pipe: Pipe, *, arguments: dict[str, Any]) -> None:
    try:
        work(pipe, **arguments)
    except ReidError as error:
        pipe.send(_Failure(str(error)))
    except EOFError:
        pass  # the parent is gone
