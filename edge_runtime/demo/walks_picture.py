"""The demo's picture: where people walked before each camera, and when, one colour a person. It shows nobody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_PANEL_HEIGHT, _GAP, _ROW, _LABEL = 400, 12, 22, 60
_MOST_ROWS = 24
_INK, _PAPER = (40, 40, 40), 255


@dataclass(frozen=True)
class WalkedTrack:
    """One track of a person. feet: (N, 2), where the described boxes end, as fractions of the frame's width and height.

    start_ns, end_ns: UTC.
    """

    camera: str
    person: str
    start_ns: int
    end_ns: int
    feet: NDArray[np.float32]


def draw_walks(path: Path, streets: Mapping[str, NDArray[np.uint8]], *, tracks: Sequence[WalkedTrack]) -> None:
    """Write the picture. streets: camera -> (H, W, 3) BGR, nobody in it."""
    people = sorted({track.person for track in tracks}, key=lambda one: (-_cameras(one, tracks), _first(one, tracks)))
    colours = {person: _colour(number) for number, person in enumerate(people)}
    panels = [_panel(street, camera, tracks=tracks, colours=colours) for camera, street in streets.items()]
    top = np.concatenate([part for panel in panels for part in (panel, _blank(_PANEL_HEIGHT, _GAP))][:-1], axis=1)
    bottom = _time_line(tracks, people[:_MOST_ROWS], colours=colours, cameras=list(streets), width=top.shape[1])
    cv2.imwrite(str(path), np.concatenate([top, bottom]))


def _panel(
    street: NDArray[np.uint8], camera: str, *, tracks: Sequence[WalkedTrack], colours: Mapping[str, tuple[int, ...]]
) -> NDArray[np.uint8]:
    height, width = street.shape[:2]
    size = (round(width * _PANEL_HEIGHT / height), _PANEL_HEIGHT)
    panel = np.asarray(cv2.resize(street, size, interpolation=cv2.INTER_AREA) // 2 + 110, np.uint8)
    for track in (one for one in tracks if one.camera == camera and len(one.feet)):
        points = np.rint(track.feet * size).astype(np.int32)
        cv2.polylines(panel, [points], False, colours[track.person], 2, cv2.LINE_AA)
        cv2.circle(panel, tuple(points[-1].tolist()), 5, colours[track.person], -1, cv2.LINE_AA)
        number = str(1 + list(colours).index(track.person))
        cv2.putText(
            panel, number, tuple((points[-1] - 8).tolist()), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA
        )
    cv2.putText(panel, camera, (8, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.6, _INK, 1, cv2.LINE_AA)
    return panel


def _time_line(
    tracks: Sequence[WalkedTrack],
    people: Sequence[str],
    *,
    colours: Mapping[str, tuple[int, ...]],
    cameras: Sequence[str],
    width: int,
) -> NDArray[np.uint8]:
    """A row for each person; in it a bar for each track, those of the first camera above those of the second."""
    image = _blank(_ROW * (len(people) + 2), width)
    start_ns = min((track.start_ns for track in tracks), default=0)
    seconds = max((track.end_ns - start_ns for track in tracks), default=0) / 1e9 or 1.0
    for row, person in enumerate(people):
        y = _ROW * row + _GAP
        cv2.putText(image, f"{row + 1}", (8, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _INK, 1, cv2.LINE_AA)
        for track in (one for one in tracks if one.person == person):
            lane = y + (_ROW - 6) * cameras.index(track.camera) // len(cameras)
            first, last = (_x((at - start_ns) / 1e9 / seconds, width) for at in (track.start_ns, track.end_ns))
            cv2.rectangle(image, (first, lane), (max(last, first + 2), lane + 6), colours[person], -1)
    scale_y = _ROW * (len(people) + 1) + _GAP
    for second in range(0, int(seconds) + 1, 5):
        x = _x(second / seconds, width)
        cv2.putText(image, f"{second} s", (x, scale_y), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return image


def _x(share: float, width: int) -> int:
    return _LABEL + round(share * (width - _LABEL - 40))


def _blank(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _PAPER, np.uint8)


def _colour(number: int) -> tuple[int, ...]:
    """BGR; neighbours in the list are far apart on the circle of colours."""
    hue = number * 67 % 180
    pixel = np.array([[[hue, 220, 140 + number % 3 * 45]]], np.uint8)
    return tuple(int(one) for one in cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0])


def _cameras(person: str, tracks: Sequence[WalkedTrack]) -> int:
    return len({track.camera for track in tracks if track.person == person})


def _first(person: str, tracks: Sequence[WalkedTrack]) -> int:
    return min(track.start_ns for track in tracks if track.person == person)
