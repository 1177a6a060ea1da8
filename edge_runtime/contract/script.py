"""How every entry script ends: an exit code, and one sentence on stderr when something a user can act on went wrong."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from edge_runtime.contract.errors import ReidError


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
