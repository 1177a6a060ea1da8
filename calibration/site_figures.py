"""What a network makes of a place: limits on the cosine, the mean descriptor, and figures that tell when it moved.

No picture and no descriptor of anybody is in it, only means over all tracks and cosines.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from calibration.site_pairs import DescribedTracks
from edge_runtime.contract.cosine_limit import CosineLimit
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import read_image
from edge_runtime.contract.provenance import read_utc
from edge_runtime.contract.script import replace_file
from edge_runtime.contract.sharpness import sharpness
from edge_runtime.contract.site_set import SiteTrack
from edge_runtime.contract.strict_model import StrictModel
from train.scoring.metrics import Interval, bootstrap

SHARES = (0.01, 0.001)
_ROUNDS = 200
_Compared = Literal["crops", "tracks"]


class SiteLimit(StrictModel):
    """A pair with a higher cosine is one person, if so small a share of wrong pairs may pass for one.

    mean_off: the mean descriptor is taken off both before they are compared. share_low, share_high: 95 % interval of
    the share that really passes here; cosine_low, cosine_high: of the limit. found: share of right pairs above it, the
    two ends of a track. is_borrowed: from the network's manifest, because too few people were seen at one moment.
    """

    compared: _Compared
    mean_off: bool
    share: float
    share_low: float
    share_high: float
    cosine: float
    cosine_low: float
    cosine_high: float
    found: float | None
    is_borrowed: bool


class SiteFigure(StrictModel):
    """A figure with its 95 % interval over tracks."""

    name: str
    value: float
    low: float
    high: float


class SiteFigures(StrictModel):
    """See the file. mean: (D,); mean_spread: 95 % of the means of other draws of tracks are as near to it."""

    schema_version: Literal[1] = 1
    created: str
    model_id: str
    space_id: str
    precision: str
    cameras: tuple[str, ...]
    crops: int
    tracks: int
    first_ns: int
    last_ns: int
    limits: tuple[SiteLimit, ...]
    figures: tuple[SiteFigure, ...]
    mean: tuple[float, ...]
    mean_spread: float


def measure_figures(site: DescribedTracks, manifest: Manifest) -> SiteFigures:
    """All figures of a described site set; manifest: of the network that described it."""
    means = site.means
    mean = means.mean(0)
    random = np.random.default_rng(0)
    drawn = [means[random.integers(0, len(means), len(means))].mean(0) for _ in range(_ROUNDS)]
    return SiteFigures(
        created=read_utc(),
        model_id=manifest.model_id,
        space_id=manifest.space_id,
        precision=manifest.build.precision,
        cameras=tuple(sorted({track.camera for track in site.tracks})),
        crops=sum(len(track.crops) for track in site.tracks),
        tracks=len(site.tracks),
        first_ns=min(track.start_ns for track in site.tracks),
        last_ns=max(track.end_ns for track in site.tracks),
        limits=tuple(_limits(site, manifest)),
        figures=tuple(_figures(site)),
        mean=tuple(float(number) for number in mean),
        mean_spread=float(np.quantile([np.linalg.norm(other - mean) for other in drawn], 0.95)),
    )


def read_site_figures(path: Path) -> SiteFigures:
    """Read what `write_site_figures` wrote.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        return SiteFigures.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read the figures {path}: {error.strerror}; make them with measure_site.py") from error
    except ValidationError as error:
        fault = error.errors()[0]["msg"]
        raise DataError(f"{path} holds no figures of measure_site.py: {fault}; make them again") from error


def write_site_figures(figures: SiteFigures, path: Path) -> None:
    """Write them, atomically.

    Raises:
        DataError: they cannot be written.
    """
    try:
        replace_file(path, figures.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; give another --output") from error


def find_moved(before: SiteFigures, now: SiteFigures) -> list[str]:
    """One sentence for each figure that moved by more than both intervals allow.

    Raises:
        DataError: they are of two spaces, which cannot be compared.
    """
    if before.space_id != now.space_id:
        raise DataError(
            f"the figures before are of space {before.space_id}, those now of {now.space_id}: another network; measure "
            "both with one"
        )
    known = {figure.name: figure for figure in _comparable(before)}
    moved = [
        f"{new.name}: {old.value:.3g} ({old.low:.3g} to {old.high:.3g}) before, {new.value:.3g} ({new.low:.3g} to "
        f"{new.high:.3g}) now"
        for new in _comparable(now)
        if (old := known.get(new.name)) and abs(new.value - old.value) > _reach(old, new)
    ]
    distance = float(np.linalg.norm(np.array(now.mean) - np.array(before.mean)))
    allowed = float(np.hypot(before.mean_spread, now.mean_spread))
    if distance > allowed:
        moved.append(f"mean descriptor: it moved by {distance:.3g}, where {allowed:.3g} may be chance")
    return moved


def _comparable(figures: SiteFigures) -> list[SiteFigure]:
    """All figures with intervals, the limits among them."""
    limits = [
        SiteFigure(name=_title(one), value=one.cosine, low=one.cosine_low, high=one.cosine_high)
        for one in figures.limits
        if not one.is_borrowed
    ]
    return [*figures.figures, *limits]


def _title(limit: SiteLimit) -> str:
    off = ", mean taken off" if limit.mean_off else ""
    return f"limit of {limit.compared} at {100 * limit.share:g} % wrong{off}"


def _reach(old: SiteFigure, new: SiteFigure) -> float:
    """How far two figures with these intervals may be apart by chance."""
    is_up = new.value > old.value
    sides = (old.high - old.value, new.value - new.low) if is_up else (old.value - old.low, new.high - new.value)
    return float(np.hypot(*sides))


def _limits(site: DescribedTracks, manifest: Manifest) -> list[SiteLimit]:
    limits = []
    compared: tuple[_Compared, ...] = ("crops", "tracks")
    for what in compared:
        for mean_off in (False, True):
            wrong = site.wrong_pairs(of_tracks=what == "tracks", mean_off=mean_off)
            right = np.concatenate([np.zeros(0), *site.right_pairs(of_tracks=what == "tracks", mean_off=mean_off)])
            for share in SHARES:
                limit = wrong.limit(share) or (None if mean_off else _borrowed(manifest, share))
                if limit is not None:
                    limits.append(_site_limit(limit, right, compared=what, mean_off=mean_off, share=share))
    return limits


def _borrowed(manifest: Manifest, share: float) -> CosineLimit | None:
    """The limit that the network's manifest states for its own test images, if it states this share."""
    stated = manifest.evidence.verification if manifest.evidence else ()
    for row in stated:
        if np.isclose(row.false_positive_rate, share):
            return CosineLimit(row.threshold, 0.0, 1.0, True)
    return None


def _site_limit(
    limit: CosineLimit, right: NDArray[np.floating], *, compared: _Compared, mean_off: bool, share: float
) -> SiteLimit:
    return SiteLimit(
        compared=compared,
        mean_off=mean_off,
        share=share,
        share_low=limit.low,
        share_high=limit.high,
        cosine=limit.cosine,
        cosine_low=limit.cosine_low,
        cosine_high=limit.cosine_high,
        found=float((right > limit.cosine).mean()) if len(right) else None,
        is_borrowed=limit.is_borrowed,
    )


def _figures(site: DescribedTracks) -> list[SiteFigure]:
    """What tells how a place looks: over tracks, so that a person who stands for an hour counts once."""
    figures = []
    right = [cosines.mean() for cosines in site.right_pairs(of_tracks=False, mean_off=False)]
    if right:
        figures.append(_figure("cosine of one person's crops", np.array(right)))
    wrong = site.wrong_pairs(of_tracks=False, mean_off=False)
    if len(wrong.cosines):
        figures.append(_figure("cosine of two people's crops", wrong.means_of_tracks()))
    looks: dict[str, Callable[[NDArray[np.uint8]], float]] = {
        "height of a crop in pixels": lambda crop: float(crop.shape[0]),
        "brightness, of 255": lambda crop: float(crop.mean()),
        "sharpness": sharpness,
    }
    first = [image for track in site.tracks if (image := _middle(track)) is not None]
    return figures + [_figure(name, np.array([look(image) for image in first])) for name, look in looks.items()]


def _middle(track: SiteTrack) -> NDArray[np.uint8] | None:
    return read_image(track.crops[len(track.crops) // 2].path)


def _figure(name: str, of_tracks: NDArray[np.floating]) -> SiteFigure:
    found: Interval = bootstrap(of_tracks, rounds=_ROUNDS)
    return SiteFigure(name=name, value=found.value, low=found.low, high=found.high)
