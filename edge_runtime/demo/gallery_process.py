"""The gallery of the demo: a process of its own, and what it has joined when the demo ends."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edge_runtime.contract.errors import GalleryError
from edge_runtime.demo.walks_picture import WalkedTrack
from edge_runtime.gallery.descriptor_store import Where
from edge_runtime.gallery.sightings import PersonSighting, Sightings
from edge_runtime.gallery.sqlite_store import SqliteStore

_SCRIPT = Path(__file__).resolve().parents[1] / "gallery" / "gallery_server.py"
_START_S, _FINISH_S = 20.0, 8.0


class DemoGallery:
    """The process, from `start` until `stop`. folder: for its files."""

    def __init__(self, folder: Path) -> None:
        self._settings, self._log = folder / "gallery.yaml", folder / "gallery.log"
        self._folder = folder / "gallery"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, *, broker_port: int) -> None:
        """Start it and wait until it answers. Without FastAPI and uvicorn it says so, and does nothing.

        Raises:
            GalleryError: it does not start.
        """
        if find_spec("fastapi") is None or find_spec("uvicorn") is None:
            print("without the gallery, which needs: pip install 'reid-edge[gallery]'")
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        settings = {
            "folder": str(self._folder),
            "keep_h": 1,
            "broker": {"host": "127.0.0.1", "port": broker_port},
            "page": {"port": self._port},
        }
        self._settings.write_text(json.dumps(settings))  # JSON is YAML too
        command = [sys.executable, str(_SCRIPT), "--config", str(self._settings)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        if not _wait_until(lambda: self._tracks() is not None, _START_S):
            last = (self._log.read_text(errors="replace").strip() or "it says nothing").splitlines()[-1]
            raise GalleryError(f"the gallery did not start within {_START_S:g} s: {last}")

    def finish(self, *, tracks: int) -> list[WalkedTrack]:
        """Wait until so many tracks have arrived and were looked at once more, stop, and return what was joined."""
        if self._process is None:
            return []
        _wait_until(lambda: (self._tracks() or 0) >= tracks, _FINISH_S)
        self.stop()
        sightings = Sightings(self._folder / "people.sqlite")
        try:
            known = [one for one in sightings.since(0) if one.person]
        finally:
            sightings.close()
        with SqliteStore(self._folder) as store:
            return [_walked(one, store) for one in known]

    def stop(self) -> None:
        """End the process."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_FINISH_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _tracks(self) -> int | None:
        """How many tracks have a person; None while nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/people?count=1000")
            answer = connection.getresponse()
            return sum(one["tracks"] for one in json.loads(answer.read())) if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()


def _wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether it has become true in time."""
    deadline = time.monotonic() + seconds
    while not (is_true := condition()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return is_true


def _walked(sighting: PersonSighting, store: SqliteStore) -> WalkedTrack:
    where = Where(
        space=sighting.space,
        since_ns=sighting.start_ns,
        until_ns=sighting.capture_ns + 1,
        tracks=(sighting.track,),
    )
    rows = sorted(store.rows(where), key=lambda row: row.capture_ns)
    feet = [((row.box[0] + row.box[2]) / 2, row.box[3]) for row in rows]
    return WalkedTrack(
        camera=sighting.camera,
        person=sighting.person or "",
        start_ns=sighting.start_ns,
        end_ns=sighting.capture_ns,
        feet=np.array(feet, np.float32).reshape(-1, 2),
    )
