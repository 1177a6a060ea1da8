"""A site set of made-up people: each of one colour and pattern, so that any network tells them apart."""

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.people.best_shot import Shot
from edge_runtime.people.shot_quality import ShotQuality
from edge_runtime.streams.site_keeper import CollectSettings, SiteKeeper

SECOND_NS = 1_000_000_000
GOOD = ShotQuality(0.0, 1.0, 0.0, 128.0, 1.0)


def made_up_person(number: int, *, moment: int = 0) -> NDArray[np.uint8]:
    """(48, 24, 3) uint8: stripes of the person's own colours, with a little noise of the moment."""
    own, now = np.random.default_rng(number), np.random.default_rng((number, moment))
    stripes = own.integers(30, 226, (6, 1, 3)).repeat(8, axis=0).repeat(24, axis=1)
    return np.asarray(stripes + now.integers(-20, 21, (48, 24, 3)), np.uint8)


def shot_of(pixels: NDArray[np.uint8], time_ns: int) -> Shot:
    """A good moment of somebody at this time."""
    return Shot(GOOD, pixels, None, {"capture_ns": time_ns}, pixels)


def write_site(folder: Path, *, tracks: int = 12, camera: str = "door", seed: int = 0) -> Path:
    """Tracks of six seconds with seven crops each, one begins every 1.5 s, so that four are there at one moment."""
    begin_ns = time.time_ns() - 3600 * SECOND_NS
    with SiteKeeper(CollectSettings(folder, min_free_mib=0)) as keeper:
        for track in range(tracks):
            for moment in range(7):
                time_ns = begin_ns + (3 * track + 2 * moment) * SECOND_NS // 2
                pixels = made_up_person(100 * seed + track, moment=moment)
                keeper.keep(shot_of(pixels, time_ns), camera=camera, track=f"t{track}")
    return folder
