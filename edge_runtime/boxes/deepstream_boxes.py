"""DeepStream's Gst-nvmsgconv: the minimal payload (all objects of a frame) and the full one (one object each).

Boxes are in pixels of the muxer's picture. Where nvmsgconv makes its payload from NvDsFrameMeta (`msg2p-newapi`),
`@timestamp` is the time at which it does that, later than the frame: see `offset_ms`.

Source: docs.nvidia.com/metropolis/deepstream, "Gst-nvmsgconv"; deepstream_schema/eventmsg_payload.cpp and
dsmeta_payload.cpp as NVIDIA publishes them (order of the fields between `|`, names in the full payload).
"""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from edge_runtime.boxes.given_boxes import (
    BoxMessage,
    GivenBox,
    PayloadModel,
    UtcTime,
    clip_score,
    describe_faults,
    parse_payload,
)
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import Box

_UNTRACKED = str(2**64 - 1)
_NO_LABELS = ("bbox", "bbox3d", "location", "coordinate", "pose", "embedding")


def _split(text: object) -> object:
    """`id|left|top|right|bottom|label`, and maybe `|#|attribute|...|score`."""
    parts = text.split("|") if isinstance(text, str) else []
    if len(parts) < 6:
        raise ValueError("expected id|left|top|right|bottom|label")
    more = parts[7:] if parts[6:7] == ["#"] else []
    first = more[: more.index("#")] if "#" in more else more
    try:
        score = float(first[-1])
    except (IndexError, ValueError):
        score = 1.0  # DeepStream says none where it has no classifier: what it tells passed its own threshold
    return {"track": parts[0], "box": parts[1:5], "label": parts[5], "score": score}


class MinimalObject(PayloadModel):
    """One object of a minimal payload."""

    track: str
    box: tuple[float, float, float, float]
    label: str
    score: float


class MinimalPayload(PayloadModel):
    """All objects of a frame."""

    time_ns: UtcTime = Field(alias="@timestamp")
    sensor: str = Field(alias="sensorId")
    objects: tuple[Annotated[MinimalObject, BeforeValidator(_split)], ...]


class FullSensor(PayloadModel):
    """The camera."""

    id: str


class FullBox(PayloadModel):
    """Corners in pixels."""

    topleftx: float
    toplefty: float
    bottomrightx: float
    bottomrighty: float

    @property
    def corners(self) -> Box:
        """(left, top, right, bottom)."""
        return self.topleftx, self.toplefty, self.bottomrightx, self.bottomrighty


class FullAttributes(PayloadModel):
    """What is known of an object, under its label."""

    confidence: float = 1.0


class FullPayload(PayloadModel):
    """One object. `found`: its id, its box, and its attributes under the name of its label."""

    time_ns: UtcTime = Field(alias="@timestamp")
    sensor: FullSensor
    found: dict[str, Any] = Field(alias="object")


class _EitherPayload(PayloadModel):
    """Which of the two it is."""

    objects: Any = None
    object: Any = None


def read_deepstream(payload: bytes) -> list[BoxMessage]:
    """Read a minimal or a full payload.

    Raises:
        DataError: it is neither.
    """
    if parse_payload(payload, _EitherPayload).objects is None:
        return [_read_full(parse_payload(payload, FullPayload))]
    message = parse_payload(payload, MinimalPayload)
    boxes = [GivenBox(one.box, clip_score(one.score), one.label, _tracked(one.track)) for one in message.objects]
    return [BoxMessage(message.sensor, message.time_ns, tuple(boxes), is_whole=True)]


def _read_full(message: FullPayload) -> BoxMessage:
    found = message.found
    labels = [name for name, value in found.items() if isinstance(value, dict) and name not in _NO_LABELS]
    if not labels:
        raise DataError("expected the object's attributes under its label, such as `person`, found no label")
    try:
        corners = FullBox.model_validate(found.get("bbox")).corners
        score = FullAttributes.model_validate(found[labels[0]]).confidence
    except ValidationError as error:
        raise DataError(f"object.{describe_faults(error)}") from error
    track = found.get("id")
    box = GivenBox(corners, clip_score(score), labels[0], _tracked(str(track)) if track is not None else None)
    return BoxMessage(message.sensor.id, message.time_ns, (box,), is_whole=False)


def _tracked(track: str) -> str | None:
    return None if track in ("", "-1", _UNTRACKED) else track
