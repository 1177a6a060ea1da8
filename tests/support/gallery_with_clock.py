"""The gallery's server on a machine whose clock was set: `python -m tests.support.gallery_with_clock FILE ...`.

FILE holds by how many seconds, and is read whenever the time is asked for; what follows is for the server.
"""

import sys
import time
from pathlib import Path

from edge_runtime.gallery import gallery_server

_REAL_NS = time.time_ns


def main() -> None:
    """Run the server."""
    step = Path(sys.argv.pop(1))
    time.time_ns = lambda: _REAL_NS() + int(step.read_text()) * 10**9
    time.time = lambda: time.time_ns() / 1e9
    gallery_server.command()


if __name__ == "__main__":
    main()
