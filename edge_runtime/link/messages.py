"""The messages that a node sends: one model per kind. `wire_format` turns them into bytes and back.

How the messages may grow. The major version is in the topic (`reid/v1`), the minor version in the field `minor`.
A new minor version may only add fields, so that old and new nodes and receivers understand each other:

- A receiver ignores fields that it does not know, and accepts any `minor`. It refuses another major version.
- A field that is added later has the type `X | None` and the default None: older nodes do not send it. All other
  fields must be there.
- Anything else needs a new major version: another meaning, type or unit, a field less, or a new value in one of the
  fixed lists (`TimeSource`, `GapReason`, ...), because older receivers would refuse such a message.

A node cannot send a field that its own model does not have: making such a message raises a ValidationError.
To add a field: write it into its class below, raise MINOR by one, run `python tests/golden/wire_messages.py`, and set
the field where the message is made (descriptors and tracks: `edge_runtime/streams/followed.py`).
"""

import secrets
import time
from typing import Literal
from uuid import UUID

from pydantic import ConfigDict, JsonValue

from edge_runtime.contract.descriptor import Codec, EncodedDescriptor
from edge_runtime.contract.manifest import Manifest, Precision
from edge_runtime.contract.time_source import TimeSource
from edge_runtime.link.wire_types import (
    Boot,
    Bytes,
    Count,
    Fraction,
    GapReason,
    Name,
    NormalisedBox,
    NotNegative,
    Space,
    TrackId,
    Unsigned,
    WireModel,
)

MINOR = 3
"""The minor version that this node sends."""


class Vector(WireModel):
    """An encoded descriptor: see `contract.descriptor.EncodedDescriptor`."""

    codec: Codec
    scale: float
    length: Count
    data: Bytes

    @classmethod
    def of(cls, encoded: EncodedDescriptor) -> "Vector":
        """Take over an encoded descriptor, field by field."""
        return cls(codec=encoded.codec, scale=encoded.scale, length=encoded.length, data=encoded.data)

    def encoded(self) -> EncodedDescriptor:
        """The same as `contract.descriptor.decode` takes it."""
        return EncodedDescriptor(self.codec, self.scale, self.length, self.data)


class Quality(WireModel):
    """Quality of a crop.

    size_px: height of the box in pixels of the frame. blur: variance of the Laplacian, low in a blurred crop.
    truncation: share of the box's four sides that lie on or beyond the edge of the frame. Since minor 2: overlap and
    sharpness, see `people.shot_quality`; value: the one number made of all of them and of the detector's score.
    """

    size_px: NotNegative
    blur: NotNegative
    truncation: Fraction
    overlap: Fraction | None = None
    sharpness: NotNegative | None = None
    value: Fraction | None = None


class _Spooled(WireModel):
    """Order and sending. Whoever makes a message leaves these at their defaults: spool and publisher set them.

    boot: id of one run of the node. seq: sequence number of the node, counted on over restarts.
    publish_ns: when it was sent, UTC. historical: it waited in the spool while the broker was not connected.
    digest: see `wire_format.seal`; since minor 1.
    """

    minor: Unsigned = MINOR
    boot: Boot = "0" * 16
    seq: Unsigned = 0
    publish_ns: Unsigned = 0
    historical: bool = False
    digest: Bytes | None = None


class _Observation(_Spooled):
    """What all observations tell.

    is_clock_synchronised: whether the node's clock was set by somebody who knows the time; None if the node cannot
    tell. Where it was not, `uncertainty_ns` is 2^63 - 1: nobody knows. Since minor 1; the publisher sets it.
    zones: those of the camera in which the middle of the box's lower side is, maybe none; None: the camera has no
    zones. given_track: the name of the track where boxes and names come from outside the node. Both since minor 3.
    """

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
    is_clock_synchronised: bool | None = None
    zones: tuple[Name, ...] | None = None
    given_track: Name | None = None


class DescriptorMessage(_Observation):
    """One descriptor of one person, of a single crop or of `crops` crops of the track so far, as `kind` says.

    capture_ns: when the frame was captured, UTC, `uncertainty_ns` more or less. monotonic_ns: the same moment by the
    node's monotonic clock. box: (left, top, right, bottom) in fractions of the frame. score: of the detector.
    dispersion: mean cosine distance of the crops' descriptors from their mean, weighed as the mean is. waited_ns: how
    long the node has waited for a better moment, in vain, until it told this one; None: not at all; since minor 2.
    """

    kind: Literal["crop", "track"]
    crops: Count
    dispersion: NotNegative
    quality: Quality
    descriptor: Vector
    waited_ns: Unsigned | None = None


class TrackMessage(_Observation):
    """A track starts, continues or ends. At its end it holds the mean descriptor of its `crops` crops, if any.

    The mean is weighed by the quality of the crops. quality: the best of these. continues: an earlier track of this
    camera of which this one is the rest: both are of one person, whose name for a receiver is the earlier one; every
    message of the track says so from the moment when it is known. Both fields since minor 2.
    """

    event: Literal["start", "update", "end"]
    crops: Unsigned
    dispersion: NotNegative
    descriptor: Vector | None
    quality: Fraction | None = None
    continues: TrackId | None = None


class GapMessage(WireModel):
    """Numbers from `first` to `last` that have not arrived will never arrive. It has no number of its own.

    why: overflow (the spool was full), age (older than the spool keeps messages), disk (the disk was full), lost (the
    spool's file, or the message in it, was damaged or deleted).
    """

    minor: Unsigned = MINOR
    boot: Boot
    first: Unsigned
    last: Unsigned
    why: GapReason
    publish_ns: Unsigned
    digest: Bytes | None = None


class NodeStatus(WireModel):
    """Retained. State of the node, and which numbers it has still to send.

    next_seq: the number that the next new message will get. oldest_seq: the lowest number in the spool, or `next_seq`
    if the spool is empty. Both are None in the last will (`offline`), which is written before they are known.
    """

    state: Literal["online", "stopped", "offline"]
    boot: Boot
    oldest_seq: Unsigned | None
    next_seq: Unsigned | None


class CameraStatus(WireModel):
    """Retained. State of a camera, and the reason unless it is live."""

    state: Literal["live", "stalled", "reconnecting", "disabled"]
    why: str


class ModelCard(WireModel):
    """The manifest of a model, as the sender's version has it. A receiver relies on the two fields below only."""

    model_config = ConfigDict(extra="allow")

    model_id: str
    space_id: Space

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelCard":
        """The whole manifest as it is sent."""
        return cls.model_validate(manifest.model_dump(mode="json"))


class Birth(WireModel):
    """Retained. What a node is (`node_card`, any fields) and the models it runs. Sent after every connection."""

    boot: Boot
    node_card: dict[str, JsonValue]
    models: tuple[ModelCard, ...]

    @classmethod
    def shorten(cls, payload: bytes) -> bytes:
        """The same birth with only what a receiver relies on, for a broker that takes only small messages."""
        birth = cls.model_validate_json(payload)
        cards = tuple(ModelCard(model_id=model.model_id, space_id=model.space_id) for model in birth.models)
        return birth.model_copy(update={"node_card": {}, "models": cards}).model_dump_json().encode()

    def spaces(self) -> frozenset[str]:
        """The spaces that this node's descriptors may belong to."""
        return frozenset(model.space_id for model in self.models)


Message = DescriptorMessage | TrackMessage


def normalise_box(
    box: tuple[float, float, float, float], *, frame_height_px: int, frame_width_px: int
) -> NormalisedBox:
    """Convert a box (left, top, right, bottom) from pixels to fractions of the frame, clipped to the frame."""
    left, right = (min(max(x / frame_width_px, 0.0), 1.0) for x in (box[0], box[2]))
    top, bottom = (min(max(y / frame_height_px, 0.0), 1.0) for y in (box[1], box[3]))
    return left, top, right, bottom


def new_boot() -> str:
    """A random id for one run of a node: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def new_track_id() -> str:
    """A new UUIDv7 (RFC 9562): 48 bits of UTC milliseconds, then 74 random bits. Ids sort by time."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return str(UUID(int=number))
