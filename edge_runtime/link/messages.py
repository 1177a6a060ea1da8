"""What travels: one model per message, its CBOR form on the wire, and its JSON twin.

The twin differs from the CBOR map in one thing only: bytes are base64 text. `messages.schema.json` describes it.
Unknown, missing and wrong-typed fields are errors, in either direction.
"""

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

import cbor2
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)

from edge_runtime.contract.descriptor import Codec, EncodedDescriptor
from edge_runtime.contract.errors import PublishError
from edge_runtime.contract.manifest import Manifest, Precision


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


Bytes = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(_to_base64, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}),
]
Unsigned = Annotated[int, Field(ge=0, lt=2**64)]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
NormalisedBox = tuple[Fraction, Fraction, Fraction, Fraction]
Boot = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Space = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
TrackId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
TimeSource = Literal["sensor", "ptp", "rtcp-ntp", "arrival", "file"]
GapReason = Literal["overflow", "age", "disk", "lost"]
Model = TypeVar("Model", bound="_Strict")


class _Strict(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        json_schema_serialization_defaults_required=True,
    )


class Vector(_Strict):
    """A descriptor as it travels: see `contract.descriptor.EncodedDescriptor`."""

    codec: Codec
    scale: float
    length: Count
    data: Bytes

    @classmethod
    def of(cls, encoded: EncodedDescriptor) -> "Vector":
        """Wrap an encoded descriptor for a message."""
        return cls(codec=encoded.codec, scale=encoded.scale, length=encoded.length, data=encoded.data)

    def encoded(self) -> EncodedDescriptor:
        """Unwrap it again, for `contract.descriptor.decode`."""
        return EncodedDescriptor(self.codec, self.scale, self.length, self.data)


class Quality(_Strict):
    """How good a crop is: its height in pixels of the frame, its sharpness, and how much of it the frame cuts off."""

    size_px: NotNegative
    blur: NotNegative
    truncation: Fraction


class _Spooled(_Strict):
    """Order and sending. The maker of a message leaves these alone: spool and publisher fill them in."""

    minor: Literal[0] = 0
    boot: Boot = "0" * 16
    seq: Unsigned = 0
    publish_ns: Unsigned = 0
    historical: bool = False


class _Observation(_Spooled):
    track: TrackId
    space: Space
    model: str
    precision: Precision
    capture_ns: Unsigned
    time_source: TimeSource
    uncertainty_ns: Unsigned
    monotonic_ns: Unsigned
    box: NormalisedBox
    frame_height_px: Count
    frame_width_px: Count
    score: Fraction


class DescriptorMessage(_Observation):
    """One person, one descriptor. `kind` says whether it describes one crop or `crops` crops of the track so far.

    `box` is (left, top, right, bottom) in fractions of the frame, `capture_ns` and `publish_ns` are UTC,
    `monotonic_ns` is the node's own clock, `dispersion` the mean cosine distance of the crops from their mean.
    """

    kind: Literal["crop", "track"]
    crops: Count
    dispersion: NotNegative
    quality: Quality
    descriptor: Vector


class TrackMessage(_Observation):
    """A track starts, goes on, or ends; at its end it carries the aggregated descriptor of `crops` crops, if any."""

    event: Literal["start", "update", "end"]
    crops: Unsigned
    dispersion: NotNegative
    descriptor: Vector | None


class GapMessage(_Strict):
    """Whatever of the numbers `first` to `last` has not arrived never will. It has no number of its own."""

    minor: Literal[0] = 0
    boot: Boot
    first: Unsigned
    last: Unsigned
    why: GapReason
    publish_ns: Unsigned


class NodeStatus(_Strict):
    """Retained: is the node there, and which numbers it has still to send; a last will cannot know them.

    `next_seq` follows the last number given out; `oldest_seq` is the first that waits, or `next_seq` if none does.
    """

    state: Literal["online", "stopped", "offline"]
    boot: Boot
    oldest_seq: Unsigned | None
    next_seq: Unsigned | None


class CameraStatus(_Strict):
    """Retained: is a camera there, and why not."""

    state: Literal["live", "stalled", "reconnecting", "disabled"]
    why: str


class Birth(_Strict):
    """Retained: what a node is (`node_card`, free form) and the manifests of the models it runs."""

    boot: Boot
    node_card: dict[str, JsonValue]
    models: tuple[Manifest, ...]

    def spaces(self) -> frozenset[str]:
        """The spaces this node's descriptors may be of."""
        return frozenset(model.space_id for model in self.models)


Message = DescriptorMessage | TrackMessage
_MESSAGES: dict[str, type[_Strict]] = {
    "descriptor": DescriptorMessage,
    "track": TrackMessage,
    "gap": GapMessage,
}


def encode_message(message: Message | GapMessage) -> bytes:
    """Encode a message as a CBOR map with text keys."""
    return cbor2.dumps(message.model_dump())


def decode_message(payload: bytes, *, leaf: str) -> DescriptorMessage | TrackMessage | GapMessage:
    """Decode and check a CBOR payload that came under a topic ending in `leaf` (`descriptor`, `track`, `gap`).

    Raises:
        PublishError: it is not CBOR, or a field is missing, unknown or wrong; all faults are listed.
    """
    try:
        fields = cbor2.loads(payload)
        text = json.dumps(_twin(fields), allow_nan=False)
    except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError) as error:
        raise PublishError(f"a {leaf} message of {len(payload)} bytes is not a CBOR map of ours: {error}") from error
    return _parse(text, _MESSAGES[leaf], leaf)  # type: ignore[return-value]


def decode_json(payload: bytes, model: type[Model]) -> Model:
    """Decode and check a JSON payload: a status or a birth.

    Raises:
        PublishError: it is not JSON, or a field is missing, unknown or wrong; all faults are listed.
    """
    return _parse(payload, model, model.__name__)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the twins, as committed in `messages.schema.json`."""
    union: Any = DescriptorMessage | TrackMessage | GapMessage | NodeStatus | CameraStatus
    schema = TypeAdapter(union).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "reid/v1", **schema}


def normalise_box(
    box: tuple[float, float, float, float], *, frame_height_px: int, frame_width_px: int
) -> NormalisedBox:
    """Turn a box (left, top, right, bottom) in pixels into fractions of the frame, cut off at its edges."""
    left, right = (min(max(x / frame_width_px, 0.0), 1.0) for x in (box[0], box[2]))
    top, bottom = (min(max(y / frame_height_px, 0.0), 1.0) for y in (box[1], box[3]))
    return left, top, right, bottom


def new_boot() -> str:
    """A random name for one run of a node: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def new_track_id() -> str:
    """A fresh UUIDv7 (RFC 9562): 48 bits of UTC milliseconds, then 74 random bits, so that ids sort by time."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return str(UUID(int=number))


def _twin(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _twin(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_twin(item) for item in value]
    return _to_base64(value) if isinstance(value, bytes) else value


def _parse(text: str | bytes, model: type[Model], what: str) -> Model:
    try:
        parsed = model.model_validate_json(text)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors())
        raise PublishError(f"a {what} message is not as expected: {faults}; sender and receiver differ") from error
    missing = model.model_fields.keys() - parsed.model_fields_set
    if missing:
        names = ", ".join(sorted(missing))
        raise PublishError(f"a {what} message is not as expected: {names} missing; sender and receiver differ")
    return parsed
