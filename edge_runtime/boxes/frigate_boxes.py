"""Frigate's `frigate/events`: one tracked object, told when it begins, changes noticeably, and ends.

Boxes are in pixels of the camera's `detect` picture. The boxes of `frigate/tracked_object_update` and of snapshots are
not used: they are none, or of an earlier frame.

Source: docs.frigate.video/integrations/mqtt; blakeblackshear/frigate#2574 (which frame `box` is of).
"""

from typing import Literal

from edge_runtime.boxes.given_boxes import BoxMessage, GivenBox, PayloadModel, clip_score, parse_payload


class FrigateObject(PayloadModel):
    """The state of an object at `frame_time`, seconds since 1970."""

    id: str
    camera: str
    frame_time: float
    label: str
    score: float
    box: tuple[float, float, float, float]
    false_positive: bool = False


class FrigateEvent(PayloadModel):
    """A change of an object; `after` is its state now."""

    type: Literal["new", "update", "end"]
    after: FrigateObject


def read_frigate(payload: bytes) -> list[BoxMessage]:
    """Read an event. One that ends, or that Frigate is not sure of yet, has no box.

    Raises:
        DataError: it is none.
    """
    event = parse_payload(payload, FrigateEvent)
    seen = event.after
    if event.type == "end" or seen.false_positive:
        return []
    box = GivenBox(seen.box, clip_score(seen.score), seen.label, seen.id)
    return [BoxMessage(seen.camera, round(seen.frame_time * 1e9), (box,), is_whole=False)]
