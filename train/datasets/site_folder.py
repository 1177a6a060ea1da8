"""A site set read as a data set: its tracks stand for people, and nobody had to label them.

What is certain: the crops of one track are of one person. What is not: that two tracks are of two people, since
somebody may come back. Such a person counts as a wrong answer here, for every network alike: the scores compare
networks on a site, and say less about one of them alone.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.site_set import SiteCrop, SiteTrack, read_site_tracks
from train.datasets.samples import DISTRACTOR, ReidData, Sample

logger = logging.getLogger(__name__)

TERMS = "crops of a site without consent for anything else; personal data, not to be passed on"
_MOST_QUERIES = 2  # of each end of a track


def read_site_set(folder: Path, *, name: str) -> ReidData:
    """Read a site set. The first half of the tracks trains and calibrates, the later half is the test.

    A track's first third and its last third count as taken by two cameras, so that a crop is looked for at the other
    end of its track, seconds away, and never among its neighbours, which are nearly the same picture. Tracks of the
    test whose ends are not a second apart are distractors.

    Raises:
        DataError: see `read_site_tracks`; or there are too few tracks.
    """
    tracks = read_site_tracks(folder)
    cameras = {camera: number for number, camera in enumerate(sorted({track.camera for track in tracks}))}
    early, late = tracks[: len(tracks) // 2], tracks[len(tracks) // 2 :]
    train = [
        sample
        for identity, track in enumerate(early, start=1)
        for sample in _both_halves(track, identity=identity, camera=2 * cameras[track.camera])
    ]
    query: list[Sample] = []
    gallery: list[Sample] = []
    for identity, track in enumerate(late, start=len(early) + 1):
        first, last = track.ends()
        if first and last:
            camera = 2 * cameras[track.camera]
            ends = [_samples(first, identity, camera=camera), _samples(last, identity, camera=camera + 1)]
            query += [sample for end in ends for sample in end[:_MOST_QUERIES]]
            gallery += [sample for end in ends for sample in end]
        else:
            gallery += _samples(track.crops, DISTRACTOR, camera=2 * cameras[track.camera])
    people = len({sample.identity for sample in query})
    if len(early) < 2 or people < 2:
        raise DataError(
            f"expected two or more tracks to calibrate with and two to test with whose ends are a second apart, found "
            f"{len(early)} and {people} of {len(tracks)} tracks in {folder}; collect for longer"
        )
    logger.info(
        "%s: tracks stand for people: %d calibrate or train, %d others are looked for by %d queries in %d crops",
        folder,
        len(early),
        people,
        len(query),
        len(gallery),
    )
    return ReidData(name, TERMS, tuple(train), tuple(query), tuple(gallery))


def _both_halves(track: SiteTrack, *, identity: int, camera: int) -> list[Sample]:
    """All crops of a track, its later half as of the next camera."""
    middle_ns = (track.start_ns + track.end_ns) // 2
    first = [crop for crop in track.crops if crop.time_ns <= middle_ns]
    later = [crop for crop in track.crops if crop.time_ns > middle_ns]
    return _samples(first, identity, camera=camera) + _samples(later, identity, camera=camera + 1)


def _samples(crops: Sequence[SiteCrop], identity: int, *, camera: int) -> list[Sample]:
    return [Sample(crop.path, identity, camera) for crop in crops]
