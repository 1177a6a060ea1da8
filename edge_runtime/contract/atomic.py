"""Files that are there as a whole or not at all."""

import os
from pathlib import Path


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
