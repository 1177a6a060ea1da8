"""The folder of the engines that were installed, one of which is in use.

    current            link to the folder of the engine in use; the configuration names `current/engine`
    ID-RANDOM/         engine, engine.json, bundle.json (what it came from), and `before`: link to the folder of the
                       engine that was in use before it
    lock               held by whoever changes any of this

The link is all that decides, and it is exchanged in one step. So a power cut at any moment leaves the engine before or
the new one in use, and at most a folder that nothing points to, which the next change deletes.
"""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.contract.errors import ConfigError, ManifestError, RolloutError
from edge_runtime.contract.manifest import Manifest, read_manifest

ENGINE_FILE = "engine"
_CURRENT, _NEW_LINK, _BEFORE = "current", "current.new", "before"
_FOLDER = re.compile(r"[0-9a-f]{16}-\w+")


class InstalledEngines:
    """The engines of one node. Made by `open_engines`, which holds the lock.

    Threads: none; one process at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def current(self) -> Path | None:
        """The folder of the engine in use; None if there is none."""
        return self._follow(self._folder / _CURRENT)

    @property
    def before(self) -> Path | None:
        """The folder of the engine that was in use before the one in use; None if there is none."""
        return self._follow(self.current / _BEFORE) if self.current else None

    def came_from(self, bundle_id: str) -> bool:
        """Whether the engine in use came from this bundle."""
        return self.current is not None and self.current.name.startswith(f"{bundle_id}-")

    def manifest(self) -> Manifest | None:
        """The manifest of the engine in use; None if there is no engine or it is damaged."""
        try:
            return read_manifest(self.current / ENGINE_FILE) if self.current else None
        except ManifestError:
            return None

    @contextlib.contextmanager
    def new_folder(self, bundle_id: str) -> Iterator[Path]:
        """A folder for an engine of this bundle that only we can read; deleted at the end unless `use` was called."""
        folder = Path(tempfile.mkdtemp(prefix=f"{bundle_id}-", dir=self._folder))
        try:
            yield folder
        finally:
            if folder != self.current:
                shutil.rmtree(folder, ignore_errors=True)

    def use(self, folder: Path) -> None:
        """Put the engine of a new folder into use, for good also if the power is cut the moment after.

        Everybody on the machine may read the folder from now on: the daemon is another user than who installs.

        Raises:
            OSError: the disk is full or cannot be written; the engine before is in use.
        """
        if self.current:
            (folder / _BEFORE).symlink_to(Path("..", self.current.name))
        for path in (path for path in folder.iterdir() if not path.is_symlink()):
            path.chmod(0o644)
            _store(path)
        folder.chmod(0o755)
        for parent in (folder, self._folder):
            _store(parent)
        self._point_to(folder)

    def go_back(self) -> bool:
        """Put the engine before into use; False if there is none.

        Raises:
            OSError: see `use`.
        """
        if self.before is None:
            return False
        self._point_to(self.before)
        return True

    def clear(self) -> None:
        """Delete every engine but the one in use and the one before it."""
        if self.current is None:
            return  # nothing says what may go
        keep = {self.current, self.before}
        for path in self._folder.iterdir():
            if _FOLDER.fullmatch(path.name) and path not in keep:
                shutil.rmtree(path, ignore_errors=True)

    def _point_to(self, folder: Path) -> None:
        link = self._folder / _NEW_LINK
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        os.replace(link, self._folder / _CURRENT)
        _store(self._folder)

    def _follow(self, link: Path) -> Path | None:
        if not link.is_symlink():
            return None
        folder = self._folder / link.readlink().name
        return folder if (folder / ENGINE_FILE).is_file() else None


@contextlib.contextmanager
def open_engines(folder: Path) -> Iterator[InstalledEngines]:
    """The engines in a folder, which is made; nobody else changes them inside the `with` block.

    Raises:
        ConfigError: the folder's `current` was not made here.
        RolloutError: somebody else changes them now.
        OSError: the folder cannot be written.
    """
    current = folder / _CURRENT
    if current.exists() and not current.is_symlink():
        raise ConfigError(f"expected a link made by an install at {current}, found something else; move it away")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RolloutError(f"another install or rollback works in {folder}; wait until it has ended") from error
        engines = InstalledEngines(folder)
        engines.clear()
        yield engines
        engines.clear()


def engines_folder(model: Path) -> Path:
    """The folder of the installed engines, by the path of the engine in the configuration.

    Raises:
        ConfigError: the path is not that of an engine that can be exchanged.
    """
    if model.parts[-2:] != (_CURRENT, ENGINE_FILE):
        raise ConfigError(
            f"expected `engine: {{model: FOLDER/{_CURRENT}/{ENGINE_FILE}}}` in the configuration, which an install can "
            f"exchange, found {model}"
        )
    return model.parents[1].absolute()


def _store(path: Path) -> None:
    """Wait until a file or a folder's list of files is on the disk for good."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
