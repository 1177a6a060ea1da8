"""Crops of people are kept in bounds, for their owner alone, and not for ever."""

import os
import stat
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import read_image
from edge_runtime.contract.site_set import SITE_CARD, group_tracks, list_site_crops, read_site_card, read_site_tracks
from edge_runtime.streams.site_keeper import CollectSettings, SiteKeeper, erase_site_set
from tests.support.site_folder import SECOND_NS, made_up_person, shot_of, write_site

BEGIN_NS = time.time_ns() - 3600 * SECOND_NS


def settings(folder: Path, **changes: float) -> CollectSettings:
    """Settings of a site set in this folder."""
    return CollectSettings(folder, min_free_mib=changes.pop("min_free_mib", 0), **changes)  # type: ignore[arg-type]


def keep(keeper: SiteKeeper, track: str, at_s: float, *, camera: str = "door", continues: str | None = None) -> None:
    """Keep a crop of somebody at this second."""
    shot = shot_of(made_up_person(1), BEGIN_NS + int(at_s * SECOND_NS))
    keeper.keep(shot, camera=camera, track=track, continues=continues)


def test_a_crop_is_kept_as_it_was_seen(tmp_path: Path) -> None:
    """The same pixels, with camera, track and time, whatever the camera is called."""
    pixels = made_up_person(3)
    with SiteKeeper(settings(tmp_path / "site")) as keeper:
        keeper.keep(shot_of(pixels, BEGIN_NS), camera="../shop floor", track="a-1")
    [crop] = list_site_crops(tmp_path / "site")
    assert (crop.camera, crop.track, crop.time_ns) == ("../shop floor", "a-1", BEGIN_NS)
    found = read_image(crop.path)
    assert found is not None
    np.testing.assert_array_equal(found, pixels)


def test_only_the_owner_can_read_anything(tmp_path: Path) -> None:
    """Files 0600, folders 0700, also where the user's mask is open."""
    mask = os.umask(0)
    try:
        folder = write_site(tmp_path / "site", tracks=2)
    finally:
        os.umask(mask)
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_the_bounds_hold_and_windows_of_time_have_the_same_chance(tmp_path: Path) -> None:
    """Whole tracks go; those who were there at one moment stay together, though one window is far busier."""
    with SiteKeeper(settings(tmp_path / "site", max_crops=40)) as keeper:
        for window in range(30):
            for person in range(12 if window == 0 else 2):
                for moment in range(3):
                    keep(keeper, f"w{window}p{person}", 20 * window + moment)
        assert keeper.counts.crops <= 40
    tracks = read_site_tracks(tmp_path / "site")
    assert {len(track.crops) for track in tracks} == {3}
    of_window = Counter((track.start_ns - BEGIN_NS) // (20 * SECOND_NS) for track in tracks)
    cut = [window for window, people in of_window.items() if people < (12 if window == 0 else 2)]
    assert len(cut) <= 1  # the last one of the queue, be it the busy one or another
    assert len(of_window) >= (5 if 0 in cut or 0 not in of_window else 1)


def test_bytes_are_bounded_too(tmp_path: Path) -> None:
    """By the size of the files on the disk."""
    with SiteKeeper(settings(tmp_path / "site", max_mib=0.02)) as keeper:
        for track in range(30):
            keep(keeper, f"t{track}", track)
    assert sum(crop.path.stat().st_size for crop in list_site_crops(tmp_path / "site")) <= 0.02 * 2**20


def test_a_long_track_keeps_a_few_crops_over_all_its_time(tmp_path: Path) -> None:
    """The first and the last are among them; moments that are near each other are one."""
    with SiteKeeper(settings(tmp_path / "site")) as keeper:
        for moment in range(1000):
            keep(keeper, "t", moment / 10)
    [track] = read_site_tracks(tmp_path / "site")
    assert len(track.crops) == 12
    times_s = [(crop.time_ns - BEGIN_NS) / SECOND_NS for crop in track.crops]
    assert times_s[0] == 0
    assert times_s[-1] > 99
    assert max(np.diff(times_s)) < 30


def test_a_track_that_carries_on_another_is_the_same_one(tmp_path: Path) -> None:
    """Over several links."""
    with SiteKeeper(settings(tmp_path / "site")) as keeper:
        keep(keeper, "a", 0)
        keep(keeper, "b", 5, continues="a")
        keep(keeper, "c", 9, continues="b")
    [track] = read_site_tracks(tmp_path / "site")
    assert (track.name, len(track.crops)) == ("a", 3)


def test_crops_expire_at_every_start(tmp_path: Path) -> None:
    """Those that are too old, and those from a future that cannot be; the others go on."""
    folder = tmp_path / "site"
    with SiteKeeper(settings(folder)) as keeper:
        for hours in (-400, -2, 0, 400):
            keep(keeper, f"t{abs(hours)}{hours > 0}", 3600 * hours)
    with SiteKeeper(settings(folder, expire_after_h=300)) as keeper:
        assert keeper.counts.crops == 2
    with SiteKeeper(settings(folder, expire_after_h=2)) as keeper:
        assert keeper.counts.crops == 1
    assert len(list_site_crops(folder)) == 1


def test_a_clock_before_the_set_was_begun_deletes_nothing(tmp_path: Path) -> None:
    """A board without a battery starts in 1970."""
    card = read_site_card(write_site(tmp_path / "site", tracks=1))
    assert not card.is_expired(card.created_ns, now_ns=0)
    assert card.is_expired(card.created_ns, now_ns=card.created_ns + 169 * 3600 * SECOND_NS)


def test_a_full_disk_is_told_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once, when it begins; nothing is written meanwhile."""
    with SiteKeeper(settings(tmp_path / "site", min_free_mib=1e9)) as keeper:
        for moment in range(3):
            keep(keeper, "t", moment)
        assert keeper.fault is not None
        assert keeper.counts.crops == 0
    [line] = [record.getMessage() for record in caplog.records]
    assert "MiB left, expected 1e+09 or more; make room" in line


def test_two_processes_do_not_share_a_set(tmp_path: Path) -> None:
    """The second one is refused, to collect and to erase."""
    with SiteKeeper(settings(tmp_path / "site")):
        for attempt in (
            lambda: SiteKeeper(settings(tmp_path / "site")).__enter__(),
            lambda: erase_site_set(tmp_path / "site"),
        ):
            with pytest.raises(DataError, match="another process collects into"):
                attempt()


def test_erasing_leaves_nothing(tmp_path: Path) -> None:
    """Not even the folder."""
    folder = write_site(tmp_path / "site", tracks=2)
    assert erase_site_set(folder) == 14
    assert not folder.exists()


@pytest.mark.parametrize("name", ["photo.jpg", "deeper/photo.jpg"])
def test_a_folder_with_something_else_is_not_touched(tmp_path: Path, name: str) -> None:
    """Nothing in it is deleted, and nobody's rights are changed."""
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(DataError, match="holds something else than a site set"):
        SiteKeeper(settings(tmp_path / "mine")).__enter__()
    with pytest.raises(DataError, match=f"found no {SITE_CARD}"):
        erase_site_set(tmp_path / "mine")
    assert path.exists()


def test_half_a_crop_is_nothing(tmp_path: Path) -> None:
    """What a power cut left is deleted at the next start."""
    folder = write_site(tmp_path / "site", tracks=1)
    half = list_site_crops(folder)[0].path.with_name("t9_1.png.partial")
    half.touch()
    assert len(list_site_crops(folder)) == 7
    with SiteKeeper(settings(folder)):
        assert not half.exists()


def test_two_tracks_at_one_moment_are_two_people(tmp_path: Path) -> None:
    """In one camera; in two only where these are declared to be apart."""
    with SiteKeeper(settings(tmp_path / "site")) as keeper:
        for track, camera, times in (("a", "x", (0, 4)), ("b", "x", (3, 8)), ("c", "x", (5, 9)), ("d", "y", (0, 9))):
            for at_s in times:
                keep(keeper, track, at_s, camera=camera)
    tracks = {track.name: track for track in group_tracks(list_site_crops(tmp_path / "site"))}
    assert tracks["a"].is_surely_another(tracks["b"], cameras_apart=False)
    assert not tracks["a"].is_surely_another(tracks["c"], cameras_apart=True)
    assert not tracks["a"].is_surely_another(tracks["d"], cameras_apart=False)
    assert tracks["a"].is_surely_another(tracks["d"], cameras_apart=True)
