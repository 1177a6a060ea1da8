"""What a script's --help says. It runs in this process, so that libraries are loaded once for all scripts."""

import io
import os
import runpy
import signal
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest import mock

from tests.conftest import ROOT


@cache
def help_of(script: str, *kind: str) -> str:
    """Run a script in the folder / as `python SCRIPT KIND --help`. script: counted from the project's root.

    kind: of picture, which visualise.py has options of its own for. Whatever ends a script but exit code 0 is raised.
    """
    path, folder, handler = ROOT / script, Path.cwd(), signal.getsignal(signal.SIGTERM)
    shown = io.StringIO()
    os.chdir("/")
    try:
        with (
            mock.patch.object(sys, "argv", [str(path), *kind, "--help"]),
            mock.patch.object(sys, "path", [str(path.parent), *sys.path]),
            redirect_stdout(shown),
        ):
            runpy.run_path(str(path), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
    finally:
        os.chdir(folder)
        signal.signal(signal.SIGTERM, handler)
    return shown.getvalue()
