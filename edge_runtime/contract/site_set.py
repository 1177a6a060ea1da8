"""The form of a site set: a folder of unlabelled people of one place, each crop with its camera, track and time.

`site_set.json` is its card; `crops/camera-NAME/TRACK_TIME.png` are the people as the cameras gave them, without loss.
All that is known of a crop stands in its path, so the folder is whole at every moment, whoever stopped in the middle.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, unquote

from pydantic import Field, ValidationError

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.strict_model import StrictModel

SITE_CARD = "site_set.json"
CROPS = "crops"
PERSONAL = (
    "Pictures of people: personal data. They stay on this device, nobody but their owner may read them, and they are "
    "deleted when they are too old."
)
_CAMERA = "camera-"
_NAME = re.compile(r"(?P<track>[0-9A-Za-z-]{1,64})_(?P<time>\d{1,19})\.png")
_HOUR_NS = 3_600_000_000_000
_APART_NS = 1_000_000_000


class SiteCard(StrictModel):
    """What is true of all crops. created_ns: UTC. cameras_apart: no two of its cameras see the same place."""

    schema_version: Literal[1] = 1
    notice: str = PERSONAL
    created_ns: Annotated[int, Field(ge=0)]
    expire_after_h: Annotated[float, Field(gt=0)]
    cameras_apart: bool = False

    def is_expired(self, time_ns: int, *, now_ns: int) -> bool:
        """Whether a crop of this time must go. One from as far in the future goes too: its clock was wrong.

        A clock that shows a time before the set was begun says nothing: a board without a battery starts in 1970.
        """
        return now_ns >= self.created_ns and abs(now_ns - time_ns) > self.expire_after_h * _HOUR_NS


@dataclass(frozen=True)
class SiteCrop:
    """One picture of somebody. track: of one person in one camera. time_ns: of capture, UTC."""

    path: Path
    camera: str
    track: str
    time_ns: int


@dataclass(frozen=True)
class SiteTrack:
    """The crops of one track by time, one at least."""

    name: str
    camera: str
    crops: tuple[SiteCrop, ...]

    @property
    def start_ns(self) -> int:
        """Of the first crop."""
        return self.crops[0].time_ns

    @property
    def end_ns(self) -> int:
        """Of the last crop."""
        return self.crops[-1].time_ns

    def ends(self) -> tuple[tuple[SiteCrop, ...], tuple[SiteCrop, ...]]:
        """The crops of its first and of its last third; none where these are not a second apart."""
        third = (self.end_ns - self.start_ns) // 3
        first = tuple(crop for crop in self.crops if crop.time_ns <= self.start_ns + third)
        last = tuple(crop for crop in self.crops if crop.time_ns >= self.end_ns - third)
        is_apart = last[0].time_ns - first[-1].time_ns >= _APART_NS
        return (first, last) if is_apart else ((), ())

    def is_surely_another(self, other: "SiteTrack", *, cameras_apart: bool) -> bool:
        """Whether two tracks are of two people: both were there at one moment, in one camera or in two far apart."""
        can_tell = self.camera == other.camera or cameras_apart
        return can_tell and max(self.start_ns, other.start_ns) < min(self.end_ns, other.end_ns)


def is_site_set(folder: Path) -> bool:
    """Whether a folder says that it is a site set."""
    return (folder / SITE_CARD).is_file()


def read_site_card(folder: Path) -> SiteCard:
    """Read the card of a site set.

    Raises:
        DataError: there is none, or it is damaged.
    """
    path = folder / SITE_CARD
    try:
        return SiteCard.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"expected a site set in {folder}, found no {SITE_CARD} that can be read ({error.strerror}); "
            "collect one with calibration/collect_site.py"
        ) from error
    except ValidationError as error:
        raise DataError(
            f"{path} is no card of a site set: {error.errors()[0]['msg']}; collect the set again"
        ) from error


def crop_path(folder: Path, *, camera: str, track: str, time_ns: int) -> Path:
    """Where a crop belongs. Any name of a camera is a safe name of a folder."""
    return folder / CROPS / f"{_CAMERA}{quote(camera, safe='')}" / f"{track}_{time_ns}.png"


def list_site_crops(folder: Path) -> list[SiteCrop]:
    """All crops of a site set by time; empty where it has none. Other files, such as half-written ones, are left out.

    Raises:
        DataError: a folder cannot be read.
    """
    crops = []
    try:
        for inside in sorted((folder / CROPS).glob(f"{_CAMERA}*")):
            camera = unquote(inside.name.removeprefix(_CAMERA))
            named = ((path, _NAME.fullmatch(path.name)) for path in inside.iterdir())
            crops += [SiteCrop(path, camera, match["track"], int(match["time"])) for path, match in named if match]
    except OSError as error:
        raise DataError(f"cannot read the site set {folder}: {error.strerror}; run this as its owner") from error
    return sorted(crops, key=lambda one: (one.time_ns, one.camera, one.track))


def group_tracks(crops: Iterable[SiteCrop]) -> list[SiteTrack]:
    """The tracks of crops, in the order of their first ones."""
    by_track: dict[tuple[str, str], list[SiteCrop]] = defaultdict(list)
    for crop in crops:
        by_track[crop.camera, crop.track].append(crop)
    tracks = [
        SiteTrack(name, camera, tuple(sorted(members, key=lambda one: one.time_ns)))
        for (camera, name), members in by_track.items()
    ]
    return sorted(tracks, key=lambda one: (one.start_ns, one.camera, one.name))


def read_site_tracks(folder: Path) -> list[SiteTrack]:
    """The tracks of a site set.

    Raises:
        DataError: it is no site set, cannot be read, or is empty.
    """
    read_site_card(folder)
    tracks = group_tracks(list_site_crops(folder))
    if not tracks:
        raise DataError(
            f"the site set {folder} is empty: nobody was seen yet, or all crops have expired; collect again with "
            "calibration/collect_site.py"
        )
    return tracks
