"""Messages as bytes: what is written is read again, by older and newer versions too, and hostile bytes are refused."""

import contextlib
import hashlib
import json
import re
from pathlib import Path
from typing import Any, get_args

import cbor2
import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from edge_runtime.contract.descriptor import Codec, decode, encode, normalise
from edge_runtime.contract.errors import PublishError
from edge_runtime.contract.manifest import Precision
from edge_runtime.contract.time_source import TimeSource
from edge_runtime.link import messages
from edge_runtime.link.messages import (
    MINOR,
    Birth,
    CameraStatus,
    DescriptorMessage,
    GapMessage,
    NodeStatus,
    Quality,
    TrackMessage,
    Vector,
    new_track_id,
)
from edge_runtime.link.wire_format import (
    decode_json,
    decode_message,
    decode_metrics,
    encode_message,
    message_schema,
    seal,
)
from edge_runtime.link.wire_types import Fraction, GapReason, required_fields
from tests.golden.wire_messages import FOLDER, MESSAGES, encode_sample
from tests.support.sample_messages import descriptor_message, track_message

SCHEMA = json.loads(Path(messages.__file__).with_name("messages.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
COMMITTED = sorted(path for path in FOLDER.glob("minor_*/*") if path.name != "metrics.json")
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
    "is_clock_synchronised": st.none() | st.booleans(),
    "dispersion": NOT_NEGATIVE,
}
QUALITIES = st.builds(
    Quality,
    size_px=NOT_NEGATIVE,
    blur=NOT_NEGATIVE,
    truncation=FRACTION,
    overlap=st.none() | FRACTION,
    sharpness=st.none() | NOT_NEGATIVE,
    value=st.none() | FRACTION,
)
DESCRIPTORS = st.builds(
    DescriptorMessage,
    **OBSERVATION,
    kind=st.sampled_from(["crop", "track"]),
    crops=st.integers(1, 1000),
    quality=QUALITIES,
    descriptor=VECTORS,
    waited_ns=st.none() | UNSIGNED,
)
TRACKS = st.builds(
    TrackMessage,
    **OBSERVATION,
    event=st.sampled_from(["start", "update", "end"]),
    crops=st.integers(0, 1000),
    descriptor=st.none() | VECTORS,
    quality=st.none() | FRACTION,
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


def read_fields(payload: bytes) -> dict[str, Any]:
    """The fields of a CBOR or JSON payload, without any model."""
    fields = json.loads(payload) if payload.startswith(b"{") else cbor2.loads(payload)
    assert isinstance(fields, dict)
    return fields


def write_fields(fields: dict[str, Any], name: str) -> bytes:
    """The payload of some fields in the format of a sample."""
    return cbor2.dumps(fields) if name.endswith(".cbor") else json.dumps(fields).encode()


def check_holds(found: Any, expected: Any) -> None:
    """All fields of `expected` are in `found`, with their values; fields that `found` has besides are None."""
    if not isinstance(expected, dict):
        assert (list(found) if isinstance(found, tuple) else found) == expected
        return
    assert {name for name, value in found.items() if value is not None} <= expected.keys()
    for name in expected:
        check_holds(found[name], expected[name])


def read_sample(payload: bytes, name: str) -> BaseModel:
    """Decode as a receiver does."""
    kind = name.split(".")[0]
    if name.endswith(".cbor"):
        return decode_message(payload, leaf=kind.split("_")[0])
    model = {"node_status": NodeStatus, "camera_status": CameraStatus, "birth": Birth}[re.sub("_o(n|ff)line", "", kind)]
    return decode_json(payload, model)


# The rule of growth


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_messages_of_older_nodes_are_read(path: Path) -> None:
    """The payloads that any earlier version wrote: every field is read with its value."""
    message = read_sample(path.read_bytes(), path.name)
    found = message.model_dump() if path.suffix == ".cbor" else message.model_dump(mode="json")
    check_holds(found, read_fields(path.read_bytes()))
    VALIDATOR.validate(json.loads(message.model_dump_json()))


def test_every_kind_of_message_is_committed_for_this_minor() -> None:
    """Who changes what a node writes raises MINOR and runs `python tests/golden/wire_messages.py`."""
    folder = FOLDER / f"minor_{MINOR}"
    committed = {path.name: read_fields(path.read_bytes()) for path in COMMITTED if path.parent == folder}
    assert committed == {name: read_fields(encode_sample(name)) for name in MESSAGES}


def grow(value: Any) -> Any:
    """The same with two unknown fields in every map, also inside the others."""
    if not isinstance(value, dict):
        return [grow(item) if isinstance(item, dict) else item for item in value] if isinstance(value, list) else value
    return {name: grow(item) for name, item in value.items()} | {"later_number": 1.5, "later_map": {"a": [1, "b"]}}


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - {"birth.json"}))
def test_messages_of_newer_nodes_are_read(name: str) -> None:
    """Unknown fields are ignored wherever they are, and a higher minor version is accepted."""
    fields = grow(read_fields(encode_sample(name))) | {"minor": MINOR + 7}
    message = read_sample(write_fields(fields, name), name)
    known = MESSAGES[name]
    later = {"minor": MINOR + 7, "digest": fields.get("digest")} if "minor" in type(known).model_fields else {}
    assert message == known.model_copy(update=later)
    VALIDATOR.validate(json.loads(json.dumps(fields, default=lambda _: "AA==")))


def test_the_birth_of_a_newer_node_is_read() -> None:
    """Manifests grow faster than messages: a receiver relies on their space and model, and ignores the rest."""
    fields = grow(read_fields(encode_sample("birth.json")))
    [card] = fields["models"]
    card["input"]["antialias"], card["build"]["precision"] = True, "fp4"
    birth = decode_json(json.dumps(fields).encode(), Birth)
    original = MESSAGES["birth.json"]
    assert isinstance(original, Birth)
    assert birth.spaces() == original.spaces()
    assert birth.models[0].model_id == original.models[0].model_id
    del card["space_id"]
    with pytest.raises(PublishError, match=r"models\.0\.space_id"):
        decode_json(json.dumps(fields).encode(), Birth)


class LaterStatus(NodeStatus):
    """A status of a later minor version."""

    load: Fraction | None = None


def test_a_field_of_a_later_minor_version_may_be_absent() -> None:
    """Its default is None, in the model and in the schema: older nodes do not send it."""
    status = NodeStatus(state="online", boot="0" * 16, oldest_seq=1, next_seq=2)
    assert decode_json(status.model_dump_json().encode(), LaterStatus) == LaterStatus(**dict(status))
    assert "load" not in LaterStatus.model_json_schema(mode="serialization")["required"]
    later = LaterStatus(**dict(status), load=0.5)
    assert decode_json(later.model_dump_json().encode(), NodeStatus) == status


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_field_that_is_missing_is_named(name: str) -> None:
    """Every field of version 1.0 must be there, those with a default too."""
    fields = read_fields((FOLDER / "minor_0" / name).read_bytes())
    for missing in fields:
        rest = {field: value for field, value in fields.items() if field != missing}
        with pytest.raises(PublishError, match=missing):
            read_sample(write_fields(rest, name), name)


# Writing and reading


@given(st.one_of(DESCRIPTORS, TRACKS, GAPS))
def test_a_message_survives_the_wire(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """Decoding what was encoded gives the same message, bit by bit."""
    assert decode_message(encode_message(message), leaf=LEAVES[type(message)]) == message


@given(st.one_of(DESCRIPTORS, TRACKS, GAPS))
def test_the_json_form_obeys_the_committed_schema(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """What `listen.py --json` prints is what the schema promises, and reading it gives the message again."""
    text = message.model_dump_json()
    VALIDATOR.validate(json.loads(text))
    assert type(message).model_validate_json(text) == message


def wrong_values(fields: dict[str, Any], required: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """A message with one fault each: a field missing, of another type, or out of its range."""
    faults = [(f"{name} missing", {k: v for k, v in fields.items() if k != name}) for name in required]
    faults += [(f"{name} of another type", fields | {name: {"x": "x"}}) for name in fields]
    faults += [(f"{name} null", fields | {name: None}) for name in required if name != "descriptor"]
    changes: dict[str, Any] = {
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
        "minor": -1,
        "track": "0" * 36,
    }
    return faults + [(f"{k}={v}", fields | {k: v}) for k, v in changes.items() if k in fields]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_schema_and_decoder_refuse_the_same(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """Whatever the decoder refuses breaks the schema too, so that others can rely on either."""
    definition = {"$ref": f"#/$defs/{type(message).__name__}", "$defs": SCHEMA["$defs"]}
    validator = jsonschema.Draft202012Validator(definition)
    required = required_fields(type(message))
    faults = wrong_values(message.model_dump(), required)
    json_forms = wrong_values(message.model_dump(mode="json"), required)
    for (what, fields), (_, json_form) in zip(faults, json_forms, strict=True):
        with pytest.raises(PublishError, match=r"not as expected|not a CBOR map"):
            decode_message(cbor2.dumps(fields), leaf=LEAVES[type(message)])
        assert not validator.is_valid(json_form), what


def test_the_committed_schema_is_the_one_in_use() -> None:
    """The same fields, required and optional; `python tests/golden/wire_messages.py` writes it again."""
    current = message_schema()
    assert SCHEMA["description"] == current["description"]
    assert SCHEMA["$defs"].keys() == current["$defs"].keys()
    models = {name: definition for name, definition in current["$defs"].items() if "properties" in definition}
    assert len(models) == 9
    for name, definition in models.items():
        assert SCHEMA["$defs"][name]["properties"].keys() == definition["properties"].keys(), name
        assert sorted(SCHEMA["$defs"][name]["required"]) == sorted(definition["required"]), name
        assert SCHEMA["$defs"][name]["additionalProperties"] is definition["additionalProperties"] is True, name


def test_a_fault_is_said_with_its_field() -> None:
    """All faults at once, each with its place."""
    fields = descriptor_message().model_dump() | {"score": 2.0, "colour": "red"}
    fields["quality"] = {"size_px": 1.0, "blur": 1.0, "truncation": -1.0}
    with pytest.raises(PublishError) as caught:
        decode_message(cbor2.dumps(fields), leaf="descriptor")
    assert all(place in str(caught.value) for place in ("score: ", "quality.truncation: "))
    assert "colour" not in str(caught.value)


@pytest.mark.parametrize("codec", get_args(Codec))
def test_a_descriptor_survives_the_wire(codec: Codec) -> None:
    """Through codec, message and back it is the same descriptor, but for the codec's rounding."""
    descriptor = normalise(np.random.default_rng(0).standard_normal((1, 512), np.float32))[0]
    message = descriptor_message(descriptor=Vector.of(encode(descriptor, codec=codec)))
    arrived = decode_message(encode_message(message), leaf="descriptor")
    assert isinstance(arrived, DescriptorMessage)
    # Half a step of i8 is 1/254 of the largest element, and normalising again adds a little; f16 and f32 are closer.
    np.testing.assert_allclose(decode(arrived.descriptor.encoded()), descriptor, atol=np.abs(descriptor).max() / 200)


def test_the_longest_descriptor_we_know_fits() -> None:
    """4096 numbers in float32 are a quarter of the 64 KiB that a message may have."""
    vector = Vector(codec="f32", scale=1.0, length=4096, data=b"\0" * 4 * 4096)
    message = descriptor_message(descriptor=vector)
    assert decode_message(encode_message(message), leaf="descriptor") == message


def test_metrics_are_any_json_object() -> None:
    """Those of every version; nothing else."""
    for path in FOLDER.glob("minor_*/metrics.json"):
        assert decode_metrics(path.read_bytes()) == json.loads(path.read_bytes())
    for payload in (b"", b"[]", b"1", b"{", b"\xff\xfe"):
        with pytest.raises(PublishError):
            decode_metrics(payload)


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_bit_that_flips_on_the_way_is_noticed(message: DescriptorMessage | TrackMessage | GapMessage) -> None:
    """Wherever it is: the payload is refused, or (in the name of the digest itself) the message is what was sent."""
    leaf, payload = LEAVES[type(message)], seal(encode_message(message))
    sent = decode_message(payload, leaf=leaf)
    assert sent == message.model_copy(update={"digest": payload[-8:]})
    for position in range(len(payload)):
        changed = bytearray(payload)
        changed[position] ^= 1 << position % 8
        with contextlib.suppress(PublishError):
            assert decode_message(bytes(changed), leaf=leaf).model_copy(update={"digest": None}) == message


def test_anybody_can_compute_the_digest() -> None:
    """The last 16 bytes are the name and the digest of all bytes before them; sealing twice changes nothing."""
    payload = seal(encode_message(descriptor_message()))
    assert payload[-16:] == b"\x66digest\x48" + hashlib.sha256(payload[:-16]).digest()[:8]
    assert seal(payload) == payload
    with pytest.raises(PublishError, match="bytes have changed on the way"):
        decode_message(payload[:-1] + bytes([payload[-1] ^ 1]), leaf="descriptor")
