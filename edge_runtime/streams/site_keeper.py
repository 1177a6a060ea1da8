"""Keeps a bounded, fair choice of people's crops on the device: a site set, see `contract.site_set`.

Which crops stay when there is no more room: time is cut into windows of 20 s, and each window has a random place in a
queue that depends on nothing but its time. The tracks of the last window go first, so that windows, busy or not, have
the same chance, and those who were seen together stay together. Nothing has to be remembered for it: a keeper that
starts again goes on as if it had never stopped. Of one track a few crops stay, spread evenly over its time.
"""

import contextlib
import fcntl
import logging
import os
import shutil
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.settings import FilePath
from edge_runtime.contract.site_set import (
    CROPS,
    SITE_CARD,
    SiteCard,
    crop_path,
    is_site_set,
    list_site_crops,
    read_site_card,
)
from edge_runtime.people.best_shot import Shot

logger = logging.getLogger(__name__)

_MOST_OF_TRACK = 12
_LEAST_GAP_NS = 400_000_000  # of two crops of one track: nearer ones are nearly the same picture
_MOST_NAMES = 1000  # of tracks that carry on earlier ones, or that are not kept
_WINDOW_NS = 20_000_000_000
_SWEEP_S = 3600.0
_LOCK = ".lock"
_PARTIAL = ".partial"
_Track = tuple[str, str]  # camera and name


@dataclass(frozen=True)
class CollectSettings:
    """Where crops of people are kept, and how many for how long. They are personal data.

    max_crops, max_mib: when either is reached, a fair choice over time and tracks stays.
    expire_after_h: older crops are deleted, at every start and every hour.
    min_free_mib: how much of the disk is left free. cameras_apart: no two of the cameras see the same place, so that
    those who are seen in two of them at one moment are two people.
    """

    path: FilePath
    max_crops: Annotated[int, Field(ge=10, le=1_000_000)] = 4000
    max_mib: Annotated[float, Field(gt=0)] = 256.0
    expire_after_h: Annotated[float, Field(gt=0, le=8760)] = 168.0
    min_free_mib: Annotated[float, Field(ge=0)] = 64.0
    cameras_apart: bool = False


@dataclass(frozen=True)
class _Kept:
    path: Path
    time_ns: int
    size: int


@dataclass(frozen=True)
class SiteCounts:
    """How much a site set holds."""

    crops: int
    tracks: int
    bytes: int

    def __str__(self) -> str:
        """As a sentence tells it."""
        return f"{self.crops} crops of {self.tracks} tracks, {self.bytes / 2**20:.1f} MiB"


class SiteKeeper:
    """A site set that grows, within its bounds. Use it as a context manager.

    fault: why nothing can be written now; None while all is well. `keep` raises nothing, since a daemon must go on.
    Threads: any thread may call `keep`; a thread of its own deletes what expires.
    """

    def __init__(self, settings: CollectSettings) -> None:
        self.settings = settings
        self.fault: str | None = None
        self._mutex = threading.Lock()  # guards everything below
        self._tracks: dict[_Track, list[_Kept]] = {}
        self._places: dict[_Track, tuple[bytes, bytes]] = {}
        self._names: dict[str, str] = {}
        self._refused: dict[_Track, None] = {}
        self._crops = self._bytes = 0
        self._card = SiteCard(
            created_ns=time.time_ns(), expire_after_h=settings.expire_after_h, cameras_apart=settings.cameras_apart
        )
        self._lock: IO[bytes] | None = None
        self._closed = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="site-keeper", daemon=True)

    def __enter__(self) -> "SiteKeeper":
        """Open the folder, or make it, delete what has expired, and go on from what is there.

        Raises:
            DataError: it cannot be made or written, is something else, or another process collects into it.
        """
        try:
            self._open(self.settings.path)
            self.expire()
        except OSError as error:
            raise DataError(
                f"cannot collect people in {self.settings.path}: {error.strerror}; name a folder that can be written"
            ) from error
        self._sweeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; the crops stay until they expire, which the next start looks after."""
        self._closed.set()
        self._sweeper.join()
        if self._lock is not None:
            self._lock.close()

    @property
    def counts(self) -> SiteCounts:
        """What is kept now."""
        with self._mutex:
            return SiteCounts(self._crops, len(self._tracks), self._bytes)

    def keep(self, shot: Shot, *, camera: str, track: str, continues: str | None = None) -> None:
        """Keep a moment of somebody, if it belongs to the fair choice.

        shot: with its pixels. continues: an earlier track of the same person, under whose name the crop is kept.
        """
        assert shot.pixels is not None, "the camera's own pixels are kept"
        time_ns: int = shot.fields["capture_ns"]
        with self._mutex:
            key = camera, self._first_name(track, continues)
            kept = self._tracks.get(key, [])
            if key in self._refused or any(abs(one.time_ns - time_ns) < _LEAST_GAP_NS for one in kept):
                return
            place = self._places.get(key) or _place(key, time_ns)
            if self._is_full() and place > max(self._places.values()):
                self._refuse(key)
                return
            try:
                self._check_disk()
                path = crop_path(self.settings.path, camera=camera, track=key[1], time_ns=time_ns)
                size = _write_crop(path, shot.pixels)
            except OSError as error:
                self._tell(error.strerror or str(error))
                return
            self._tell(None)
            self._count_in(key, _Kept(path, time_ns, size))
            self._thin(key)
            self._drop_last()

    def expire(self) -> None:
        """Delete crops that are too old, and see again what the folder holds: somebody may have deleted some."""
        with self._mutex:
            self._tracks, self._places, self._crops, self._bytes = {}, {}, 0, 0
            now_ns = time.time_ns()
            for crop in list_site_crops(self.settings.path):
                if self._card.is_expired(crop.time_ns, now_ns=now_ns):
                    crop.path.unlink(missing_ok=True)
                    continue
                with contextlib.suppress(FileNotFoundError):
                    size = crop.path.stat().st_size
                    self._count_in((crop.camera, crop.track), _Kept(crop.path, crop.time_ns, size))
            self._drop_last()

    def _sweep(self) -> None:
        while not self._closed.wait(_SWEEP_S):
            try:
                self.expire()
            except (OSError, DataError) as error:
                logger.error("crops that have expired cannot be deleted in %s: %s", self.settings.path, error)

    def _open(self, folder: Path) -> None:
        if folder.is_dir() and not is_site_set(folder) and any(path.name != _LOCK for path in folder.iterdir()):
            raise DataError(f"{folder} holds something else than a site set; give a folder that is new or empty")
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._lock = lock_site_set(folder)
        if is_site_set(folder):
            self._card = self._card.model_copy(update={"created_ns": read_site_card(folder).created_ns})
        for half in (folder / CROPS).glob(f"*/*{_PARTIAL}"):
            half.unlink()
        _write_private(folder / SITE_CARD, self._card.model_dump_json(indent=2).encode() + b"\n")

    def _first_name(self, track: str, continues: str | None) -> str:
        if continues is not None:
            self._names[track] = self._names.get(continues, continues)
            while len(self._names) > _MOST_NAMES:
                self._names.pop(next(iter(self._names)))
        return self._names.get(track, track)

    def _check_disk(self) -> None:
        free_mib = shutil.disk_usage(self.settings.path).free / 2**20
        if free_mib < self.settings.min_free_mib:
            raise OSError(f"the disk has {free_mib:.0f} MiB left, expected {self.settings.min_free_mib:g} or more")

    def _is_full(self) -> bool:
        return self._crops >= self.settings.max_crops or self._bytes >= self.settings.max_mib * 2**20

    def _count_in(self, key: _Track, one: _Kept) -> None:
        kept = self._tracks.setdefault(key, [])
        kept.append(one)
        kept.sort(key=lambda crop: crop.time_ns)
        self._places.setdefault(key, _place(key, kept[0].time_ns))
        self._crops, self._bytes = self._crops + 1, self._bytes + one.size

    def _thin(self, key: _Track) -> None:
        """Of a track with too many crops drop the one whose neighbours are nearest to each other."""
        kept = self._tracks[key]
        if len(kept) > _MOST_OF_TRACK:
            gaps = [after.time_ns - before.time_ns for before, after in zip(kept, kept[2:], strict=False)]
            self._delete(kept.pop(1 + gaps.index(min(gaps))))

    def _drop_last(self) -> None:
        """Drop whole tracks, the last of the queue first, until the bounds are kept."""
        while self._crops > self.settings.max_crops or self._bytes > self.settings.max_mib * 2**20:
            last = max(self._places, key=lambda key: self._places[key])
            for one in self._tracks.pop(last):
                self._delete(one)
            del self._places[last]
            self._refuse(last)

    def _refuse(self, key: _Track) -> None:
        """Take no more crops of a track: half of one would be kept, or it would come back under a later window."""
        self._refused[key] = None
        while len(self._refused) > _MOST_NAMES:
            self._refused.pop(next(iter(self._refused)))

    def _delete(self, one: _Kept) -> None:
        one.path.unlink(missing_ok=True)
        self._crops, self._bytes = self._crops - 1, self._bytes - one.size

    def _tell(self, fault: str | None) -> None:
        """Remember a fault, and log it once when it comes and once when it goes."""
        if fault is not None and self.fault is None:
            logger.warning("people are not collected in %s: %s; make room there", self.settings.path, fault)
        if fault is None and self.fault is not None:
            logger.info("people are collected in %s again", self.settings.path)
        self.fault = fault


def lock_site_set(folder: Path) -> IO[bytes]:
    """Make sure that no other process collects into a folder, until the file returned is closed.

    Raises:
        DataError: another one does.
        OSError: the folder cannot be written.
    """
    lock = open(os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600), "wb")  # noqa: SIM115 - held by the caller
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise DataError(f"another process collects into {folder}; stop it first, or give another folder") from error
    return lock


def erase_site_set(folder: Path) -> int:
    """Delete a site set with everything in it. Returns how many crops it had.

    Raises:
        DataError: it is no site set, or a process collects into it.
        OSError: something cannot be deleted.
    """
    read_site_card(folder)
    with lock_site_set(folder):
        crops = list_site_crops(folder)
        shutil.rmtree(folder)
    return len(crops)


def _place(key: _Track, time_ns: int) -> tuple[bytes, bytes]:
    """A random place in the queue of those that stay: by the window of time, then by the track."""
    window = sha256(f"window {time_ns // _WINDOW_NS}".encode()).digest()
    return window, sha256("\0".join(key).encode()).digest()


def _write_crop(path: Path, pixels: NDArray[np.uint8]) -> int:
    """Write a crop for its owner alone. Returns its bytes."""
    for folder in (path.parent.parent, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    _, png = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    _write_private(path, png.tobytes())
    return len(png)


def _write_private(path: Path, content: bytes) -> None:
    """Write a file atomically that only its owner can read."""
    partial = path.with_name(path.name + _PARTIAL)
    try:
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
