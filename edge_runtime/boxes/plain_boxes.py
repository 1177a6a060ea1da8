"""Our own form of boxes from outside, for programs that have none; `boxes.schema.json` beside it describes it.

It may grow as our other messages do: unknown fields are ignored, and later versions only add some.
"""

from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from edge_runtime.boxes.given_boxes import BoxMessage, GivenBox, PayloadModel, parse_payload
from edge_runtime.link.wire_types import Count, Fraction, Name, Unsigned

PERSON = "person"


class PlainBox(PayloadModel):
    """One person. box: (left, top, right, bottom) from the upper left corner, in shares of the picture, or in pixels
    where the message has the frame's size. track: the sender's name for the person, the same in every message."""

    model_config = ConfigDict(strict=True)

    box: tuple[float, float, float, float]
    score: Fraction
    track: Name | None = None


class PlainMessage(PayloadModel):
    """All people of one frame. camera: as the configuration names it. capture_ns: of the frame, nanoseconds since 1970,
    UTC. frame_width_px, frame_height_px: if they are given, boxes are in pixels."""

    model_config = ConfigDict(
        strict=True,
        json_schema_extra={
            "additionalProperties": True,
            "dependentRequired": {
                "frame_width_px": ["frame_height_px"],
                "frame_height_px": ["frame_width_px"],
            },
        },
    )

    camera: Name
    capture_ns: Unsigned
    boxes: Annotated[tuple[PlainBox, ...], Field(max_length=256)]
    frame_width_px: Count | None = None
    frame_height_px: Count | None = None

    @model_validator(mode="after")
    def _check_frame(self) -> "PlainMessage":
        if (self.frame_width_px is None) != (self.frame_height_px is None):
            raise ValueError("expected both frame_width_px and frame_height_px, or neither")
        return self


def read_plain(payload: bytes) -> list[BoxMessage]:
    """Read a message of our own form.

    Raises:
        DataError: it is none.
    """
    message = parse_payload(payload, PlainMessage)
    width, height = message.frame_width_px or 1, message.frame_height_px or 1
    boxes = [
        GivenBox(
            (one.box[0] / width, one.box[1] / height, one.box[2] / width, one.box[3] / height),
            one.score,
            PERSON,
            one.track,
        )
        for one in message.boxes
    ]
    return [BoxMessage(message.camera, message.capture_ns, tuple(boxes), is_whole=True)]


def box_schema() -> dict[str, Any]:
    """JSON Schema of the plain form, as committed in `boxes.schema.json`."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return head | PlainMessage.model_json_schema() | {"title": "boxes from outside"}
