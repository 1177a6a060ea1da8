"""Messages: what goes out comes back, the twin obeys the committed schema, and nothing else is let in."""

import contextlib
import json
from pathlib import Path
from typing import Any, get_args

import cbor2
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.descriptor import Codec, decode, encode, normalise
from edge_runtime.contract.errors import PublishError
from edge_runtime.contract.manifest import Precision
from edge_runtime.link import messages
from edge_runtime.link.messages import (
    DescriptorMessage,
    GapMessage,
    GapReason,
    NodeStatus,
    TimeSource,
    TrackMessage,
    Vector,
    decode_json,
    decode_message,
    encode_message,
    new_track_id,
    normalise_box,
)
from tests.support.sample_messages import descriptor_message, track_message

SCHEMA = json.loads(Path(messages.__file__).with_name("messages.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
UNSIGNED = st.integers(0, 2**64 - 1)
FRACTION = st.floats(0, 1)
NOT_NEGATIVE = st.floats(0, 1e6)
HEX = st.text("0123456789abcdef", min_size=16, max_size=16)
VECTORS = st.builds(
    lambda numbers, codec: Vector.of(encode(normalise(np.array([numbers], np.float32))[0], codec=codec)),
    st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=16),
    st.sampled_from(get_args(Codec)),
)
OBSERVATION: dict[str, Any] = {
    "boot": HEX,
    "seq": UNSIGNED,
    "publish_ns": UNSIGNED,
    "historical": st.booleans(),
    "track": st.builds(new_track_id),
    "space": HEX,
    "model": st.text(),
    "precision": st.sampled_from(get_args(Precision)),
    "capture_ns": UNSIGNED,
    "time_source": st.sampled_from(get_args(TimeSource)),
    "uncertainty_ns": UNSIGNED,
    "monotonic_ns": UNSIGNED,
    "box": st.tuples(FRACTION, FRACTION, FRACTION, FRACTION),
    "frame_height_px": st.integers(1, 10000),
    "frame_width_px": st.integers(1, 10000),
    "score": FRACTION,
    "dispersion": NOT_NEGATIVE,
}
QUALITIES = st.builds(messages.Quality, size_px=NOT_NEGATIVE, blur=NOT_NEGATIVE, truncation=FRACTION)
DESCRIPTORS = st.builds(
    DescriptorMessage,
    **OBSERVATION,
    kind=st.sampled_from(["crop", "track"]),
    crops=st.integers(1, 1000),
    quality=QUALITIES,
    descriptor=VECTORS,
)
TRACKS = st.builds(
    TrackMessage,
    **OBSERVATION,
    event=st.sampled_from(["start", "update", "end"]),
    crops=st.integers(0, 1000),
    descriptor=st.none() | VECTORS,
)
GAPS = st.builds(
    GapMessage, boot=HEX, first=UNSIGNED, last=UNSIGNED, why=st.sampled_from(get_args(GapReason)), publish_ns=UNSIGNED
)
LEAVES = {DescriptorMessage: "descriptor", TrackMessage: "track", GapMessage: "gap"}
EXAMPLES = [
    descriptor_message(),
    track_message(),
    track_message(event="start", descriptor=None),
    GapMessage(boot="0" * 16, first=1, last=2, why="age", publish_ns=3),
]


@given(st.one_of(DESCRIPTORS, TRACKS, GAPS))
def test_a_message_survives_the_wire(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """Decoding what was encoded gives the same message, bit by bit."""
    assert decode_message(encode_message(message), leaf=LEAVES[type(message)]) == message


@given(st.one_of(DESCRIPTORS, TRACKS, GAPS))
def test_the_twin_obeys_the_committed_schema(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """What `listen.py --json` prints is what the schema promises, and reading it gives the message again."""
    text = message.model_dump_json()
    VALIDATOR.validate(json.loads(text))
    assert type(message).model_validate_json(text) == message


def wrong_values(fields: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """A message with one fault each: a field missing, one too many, one of another type or out of its range."""
    faults = [(f"{name} missing", {k: v for k, v in fields.items() if k != name}) for name in fields]
    faults += [(f"{name} of another type", fields | {name: ["x"]}) for name in fields]
    faults += [(f"{name} null", fields | {name: None}) for name in fields if name != "descriptor"]
    changes: dict[str, Any] = {
        "surplus": 1,
        "seq": -1,
        "boot": "0" * 15,
        "box": [0.0, 0.0, 1.5, 1.0],
        "score": "0.5",
        "historical": 1,
        "space": "g" * 16,
        "crops": 1.5,
        "first": 2**64,
        "event": "middle",
        "why": "because",
        "minor": 1,
        "track": "0" * 36,
    }
    return faults + [(f"{k}={v}", fields | {k: v}) for k, v in changes.items() if k == "surplus" or k in fields]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_schema_and_decoder_refuse_the_same(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """Whatever the decoder refuses breaks the schema too, so that others can rely on either."""
    definition = {"$ref": f"#/$defs/{type(message).__name__}", "$defs": SCHEMA["$defs"]}
    validator = jsonschema.Draft202012Validator(definition)
    twins = wrong_values(message.model_dump(mode="json"))
    for (what, fields), (_, twin) in zip(wrong_values(message.model_dump()), twins, strict=True):
        with pytest.raises(PublishError, match=r"not as expected|not a CBOR map"):
            decode_message(cbor2.dumps(fields), leaf=LEAVES[type(message)])
        assert not validator.is_valid(twin), what


def test_the_committed_schema_is_the_one_in_use() -> None:
    """It names the same fields; how to write it anew: `python -c` with `messages.json_schema()` into the file."""
    current = messages.json_schema()
    assert SCHEMA["$defs"].keys() == current["$defs"].keys()
    for name, definition in current["$defs"].items():
        assert SCHEMA["$defs"][name]["properties"].keys() == definition["properties"].keys(), name
        assert sorted(SCHEMA["$defs"][name]["required"]) == sorted(definition["required"]), name


def test_a_fault_is_said_with_its_field() -> None:
    """All faults at once, each with its place."""
    fields = descriptor_message().model_dump() | {"score": 2.0, "colour": "red"}
    fields["quality"] = {"size_px": 1.0, "blur": 1.0, "truncation": -1.0}
    with pytest.raises(PublishError) as caught:
        decode_message(cbor2.dumps(fields), leaf="descriptor")
    assert all(place in str(caught.value) for place in ("score: ", "colour: ", "quality.truncation: "))


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"\xa1", b"\x00" * 100, cbor2.dumps([1]), cbor2.dumps({1: 2}), cbor2.dumps({"box": {b"x": 1}})],
)
def test_rubbish_is_refused_in_one_sentence(payload: bytes) -> None:
    """No payload, however broken, raises anything but PublishError."""
    with pytest.raises(PublishError):
        decode_message(payload, leaf="descriptor")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_sentence(payload: bytes) -> None:
    """The same for whatever a stranger may send."""
    with pytest.raises(PublishError):
        decode_message(payload, leaf="track")


@given(st.data())
def test_a_damaged_message_raises_nothing_else(data: st.DataObject) -> None:
    """A true message with some bytes changed is either a message or a PublishError."""
    payload = bytearray(encode_message(descriptor_message()))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PublishError):
        decode_message(bytes(payload), leaf="descriptor")


def test_no_nan_gets_through() -> None:
    """Not a number is no score."""
    with pytest.raises(PublishError):
        decode_message(cbor2.dumps(descriptor_message().model_dump() | {"score": float("nan")}), leaf="descriptor")


@pytest.mark.parametrize("codec", get_args(Codec))
def test_a_descriptor_survives_the_wire(codec: Codec) -> None:
    """Through codec, message and back it is the same descriptor, but for the codec's rounding."""
    descriptor = normalise(np.random.default_rng(0).standard_normal((1, 512), np.float32))[0]
    message = descriptor_message(descriptor=Vector.of(encode(descriptor, codec=codec)))
    arrived = decode_message(encode_message(message), leaf="descriptor")
    assert isinstance(arrived, DescriptorMessage)
    # Half a step of i8 is 1/254 of the largest element, and normalising again adds a little; f16 and f32 are closer.
    np.testing.assert_allclose(decode(arrived.descriptor.encoded()), descriptor, atol=np.abs(descriptor).max() / 200)


def test_a_status_is_read_as_strictly() -> None:
    """JSON payloads know no surplus and no default either."""
    status = NodeStatus(state="online", boot="0" * 16, oldest_seq=1, next_seq=2)
    assert decode_json(status.model_dump_json().encode(), NodeStatus) == status
    with pytest.raises(PublishError, match="next_seq"):
        decode_json(b'{"state": "online", "boot": "0000000000000000", "oldest_seq": 1}', NodeStatus)
    with pytest.raises(PublishError):
        decode_json(b"\xff\xfe", NodeStatus)


def test_track_ids_sort_by_time() -> None:
    """They are UUIDs of version 7, and differ."""
    ids = [new_track_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert {(i[14], i[19] in "89ab") for i in ids} == {("7", True)}


def test_a_box_is_cut_off_at_the_edges_of_the_frame() -> None:
    """A person who is half outside has a box that ends with the picture."""
    assert normalise_box((-10, 50, 100, 250), frame_height_px=200, frame_width_px=200) == (0.0, 0.25, 0.5, 1.0)
