"""Named parts of a camera's picture, such as the entrance or the queue, and how many people are in each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from edge_runtime.contract.preprocess import Box
from edge_runtime.link.messages import normalise_box
from edge_runtime.people.detector import Detection
from edge_runtime.streams.polygons import Polygon, stands_in

ZoneName = Annotated[str, Field(pattern=r"^[^\x00-\x1f]{1,64}$")]
Zones = Annotated[dict[ZoneName, Polygon], Field(max_length=32)]
"""Name -> polygon. Zones may overlap: a person may be in several."""


@dataclass(frozen=True)
class ZoneCount:
    """people: in the zone at the last look. tracks: of people who were in it since the start, each counted once."""

    people: int
    tracks: int


class ZoneCounter:
    """Counts the people of one camera in each zone.

    counts: zone -> count; each change replaces the whole mapping, so any thread may read it.
    """

    def __init__(self, zones: Mapping[str, Polygon]) -> None:
        self.counts = {name: ZoneCount(0, 0) for name in zones}
        self._entered: dict[int, set[str]] = {}

    def note_look(self, places: Mapping[int, Sequence[str]]) -> None:
        """Take the people of a look. places: track -> the zones in which the person is."""
        new = {id_: set(names) - self._entered.get(id_, set()) for id_, names in places.items()}
        for id_, names in new.items():
            self._entered.setdefault(id_, set()).update(names)
        self.counts = {
            zone: ZoneCount(
                sum(zone in names for names in places.values()),
                count.tracks + sum(zone in names for names in new.values()),
            )
            for zone, count in self.counts.items()
        }

    def note_ended(self, track: int) -> None:
        """Forget a track that has ended."""
        self._entered.pop(track, None)


def zones_of(box: Box, zones: Mapping[str, Polygon]) -> tuple[str, ...]:
    """The zones in which a person stands. box: in shares of the picture."""
    return tuple(name for name, polygon in zones.items() if stands_in(box, polygon))


def inside_zones(
    detections: Sequence[Detection], zones: Mapping[str, Polygon], *, height_px: int, width_px: int
) -> tuple[Detection, ...]:
    """The people who stand in a zone. height_px, width_px: of the frame in whose pixels the boxes are."""

    def is_inside(detection: Detection) -> bool:
        return bool(zones_of(normalise_box(detection.box, frame_height_px=height_px, frame_width_px=width_px), zones))

    return tuple(detection for detection in detections if is_inside(detection))
