"""What all entry scripts share: a parser of options that teaches, exit codes, and errors as one sentence on stderr."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn

from edge_runtime.contract.errors import ConfigError, ReidError

_EXTRAS = {
    "torch": "train",
    "scipy": "train",
    "h5py": "train",
    "onnx": "export",
    "tqdm": "export",
    "matplotlib": "export",
    "onnxruntime": "cpu",
    "cv2": "cpu",
    "openvino": "openvino",
    "psycopg": "postgres",
    "fastapi": "gallery",
    "uvicorn": "gallery",
    "gi": "gstreamer",
    "cbor2": "runtime",
    "paho": "runtime",
    "yaml": "runtime",
    "prometheus_client": "runtime",
    "cryptography": "runtime",
}
"""The extra of the installation that brings a module."""


class ScriptParser(argparse.ArgumentParser):
    """Parser of a script's options. Without arguments, or with wrong ones, the script answers with three lines.

    The lines are the purpose or the fault, a command that works, and the next step; --help lists all options.

    purpose: what the script does, in one sentence. shortest: the arguments of the shortest command that works.
    next_step: what to run after this script, or where to read on. examples: shown at the end of --help.
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
        """See `argparse.ArgumentParser`; also records whether there were any arguments."""
        self._is_bare = not (sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Print what is missing or wrong and the shortest command that works; exit code 2."""
        first = str(self.description).partition("\n\n")[0] if self._is_bare else f"error: {message}"
        self.exit(2, f"{first}\ntry:  {self.prog} {self._shortest}\nnext: {self._next_step}; {self.prog} --help\n")


def command_name(program: str) -> str:
    """The command by which a user runs a program again. program: as in `sys.argv[0]`.

    `python train/run.py` for a script of the checkout, its name for an installed command.
    """
    path, root = Path(program), Path(__file__).resolve().parents[2]
    if path.suffix != ".py":
        return path.name
    inside = path.resolve().is_relative_to(root)
    return f"python {path.resolve().relative_to(root) if inside else Path(path.parent.name, path.name)}"


def shipped_model(*, precision: Literal["fp32", "int8"] = "fp32") -> str:
    """Path of the small network that comes with the project, counted from the current folder."""
    name = {"fp32": "osnet_x0_25.onnx", "int8": "osnet_x0_25_int8.onnx"}[precision]
    return os.path.relpath(Path(__file__).parents[1] / "models" / name)


SAMPLE_CLIP = Path(__file__).resolve().parents[2] / ".cache/opencv-doc/usr/share/doc/opencv-doc/examples/data/vtest.avi"
"""OpenCV's clip of pedestrians, where `make demo` puts it."""


def sample_clip() -> Path | None:
    """`SAMPLE_CLIP`, counted from the current folder; None where it is not there."""
    return Path(os.path.relpath(SAMPLE_CLIP)) if SAMPLE_CLIP.is_file() else None


class Terminated(KeyboardInterrupt):
    """Raised by SIGTERM in scripts that handle it like Ctrl-C."""


def raise_terminated(*_: object) -> NoReturn:
    """Signal handler for SIGTERM, in scripts that print or save something when they are stopped."""
    raise Terminated


def run(main: Callable[[], int]) -> int:
    """Call the script's `main` and return its exit code: 1 after a ReidError or an OSError, 2 where a library is not
    installed, 130 after Ctrl-C, 143 after SIGTERM.

    An OSError that gets here is a file or folder that the user may not read or write, or a full disk.

    Use it as `if __name__ == "__main__": sys.exit(run(main))`.
    """
    try:
        return main()
    except ReidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(str(error.name).partition(".")[0])
        if extra is None:
            raise
        print(
            f"error: this needs {error.name}, which is not installed: pip install 'reid-edge[{extra}]'", file=sys.stderr
        )
        return 2
    except BrokenPipeError:  # the reader of a long answer has seen enough, as in `... --list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = error.filename2 or error.filename or "input or output"  # of two files, the second one is written
        print(f"error: {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped by the user", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130


def run_until_stopped(main: Callable[[threading.Event], int]) -> int:
    """Call the `main` of a program that goes on until it is stopped, with an event that SIGINT and SIGTERM set.

    Returns its exit code: 2 after a ConfigError, since a restart would end as it did, and 1 after another ReidError.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        return main(stop)
    except ReidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except BrokenPipeError:  # as in `run`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def replace_file(path: Path, content: bytes | str) -> None:
    """Write a file atomically: a reader finds the old content or the new one; after a failure, the old one remains.

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
