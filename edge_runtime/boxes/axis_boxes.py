"""AXIS Scene Metadata, frame by frame: `com.axis.scene.frame.v1` (AXIS OS 12.8) and the beta before it.

Boxes are in shares of the picture. Most objects have no class at first; who got one keeps it, see `PersonLabels`.
Renames of tracks are not used, nor are pictures of objects, which such messages may hold.

Source: developer.axis.com/analytics/axis-scene-metadata, "Data sources", "Frame", "Change log" of the Analytics Data
Format; developer.axis.com/acap, "Message Broker, standard topics" (the beta).
"""

from typing import Any

from pydantic import Field

from edge_runtime.boxes.given_boxes import BoxMessage, GivenBox, PayloadModel, UtcTime, clip_score, parse_payload
from edge_runtime.contract.errors import DataError


class AxisBox(PayloadModel):
    """Sides in shares of the picture, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


class AxisClass(PayloadModel):
    """What an object is."""

    type: str
    score: float


class AxisDetection(PayloadModel):
    """One object; `track_id` is the beta's name for its track."""

    bounding_box: AxisBox
    object_track_id: str | None = None
    track_id: str | None = None
    kind: AxisClass | None = Field(default=None, alias="class")


class AxisFrame(PayloadModel):
    """One frame; without objects the list is missing. `observations` is the beta's name for them."""

    timestamp: UtcTime
    channel_id: int | None = None
    detections: tuple[AxisDetection, ...] = ()
    observations: tuple[AxisDetection, ...] = ()


class _AxisEnvelope(PayloadModel):
    """How the beta wraps a frame; the stable form does not."""

    frame: AxisFrame | None = None
    data: Any = None
    timestamp: Any = None


class _AxisData(PayloadModel):
    data: _AxisEnvelope


def read_axis(payload: bytes) -> list[BoxMessage]:
    """Read a frame of either form.

    Raises:
        DataError: it is none.
    """
    outer = parse_payload(payload, _AxisEnvelope)
    if outer.timestamp is not None:
        frame = parse_payload(payload, AxisFrame)
    else:
        inner = parse_payload(payload, _AxisData).data if outer.frame is None else outer
        if inner.frame is None:
            raise DataError("expected `timestamp` and `detections`, or `frame`, found neither")
        frame = inner.frame
    boxes = [_read_box(one) for one in (*frame.detections, *frame.observations)]
    camera = None if frame.channel_id is None else str(frame.channel_id)
    return [BoxMessage(camera, frame.timestamp, tuple(boxes), is_whole=True)]


def _read_box(found: AxisDetection) -> GivenBox:
    place, kind = found.bounding_box, found.kind
    return GivenBox(
        (place.left, place.top, place.right, place.bottom),
        clip_score(kind.score) if kind else 1.0,
        kind.type if kind else None,
        found.object_track_id or found.track_id,
    )
