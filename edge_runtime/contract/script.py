"""How every entry script ends: an exit code, and one sentence on stderr when something a user can act on went wrong."""

import sys
from collections.abc import Callable

from edge_runtime.contract.errors import ReidError


def run(main: Callable[[], int]) -> int:
    """Call the script's `main` and return its exit code: 1 after a ReidError, 130 after Ctrl-C.

    Use it as `if __name__ == "__main__": sys.exit(run(main))`.
    """
    try:
        return main()
    except ReidError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: stopped by the user", file=sys.stderr)
        return 130
