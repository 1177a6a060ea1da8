"""What every entry script shares: options that teach, an exit code, one sentence on stderr for a fault."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from edge_runtime.contract.errors import ReidError


class ScriptParser(argparse.ArgumentParser):
    """Options of a script that teaches: typed bare or wrongly, it answers in three lines, not with all its options.

    purpose: what the script does, in one sentence that --help shows, too. shortest: the arguments of the shortest
    command that works here and now. next_step: what comes after this script, or where to read on.
    """

    def __init__(
        self, *, purpose: str | None, shortest: str, next_step: str, examples: str, prog: str | None = None
    ) -> None:
        super().__init__(
            prog=prog or command_name(sys.argv[0]),
            description=purpose,
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self._shortest = shortest
        self._next_step = next_step
        self._is_bare = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """See `argparse.ArgumentParser`; remembers whether anything was typed."""
        self._is_bare = not (sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Say what is missing or wrong, and the shortest command that works; exit code 2."""
        first = str(self.description).partition("\n\n")[0] if self._is_bare else f"error: {message}"
        self.exit(2, f"{first}\ntry:  {self.prog} {self._shortest}\nnext: {self._next_step}; {self.prog} --help\n")


def command_name(program: str) -> str:
    """How a user calls a program again. program: as `sys.argv[0]` holds it.

    `python train/run.py` for a script of the checkout, its own name for an installed command.
    """
    path = Path(program)
    return f"python {path.parent.name}/{path.name}" if path.suffix == ".py" else path.name


class Terminated(KeyboardInterrupt):
    """SIGTERM, in a script that ends by it as by Ctrl-C."""


def raise_terminated(*_: object) -> NoReturn:
    """Handler of SIGTERM for scripts that have something to say at their end."""
    raise Terminated


def run(main: Callable[[], int]) -> int:
    """Call the script's `main` and return its exit code: 1 after a ReidError or an OSError, 130 after Ctrl-C,
    143 after SIGTERM.

    An OSError that nobody gave a better sentence is a file or folder the user may not read or write, or a full disk.

    Use it as `if __name__ == "__main__": sys.exit(run(main))`.
    """
    try:
        return main()
    except ReidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = error.filename2 or error.filename or "input or output"  # of two files the second is the one written
        print(f"error: {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped by the user", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file atomically: a reader finds the old one or the new one, and a failure leaves nothing of the new.

    Raises:
        OSError: it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
