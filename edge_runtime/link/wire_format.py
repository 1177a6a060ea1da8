"""Messages as bytes: CBOR for descriptors, tracks and gaps, JSON for statuses, births and metrics.

A CBOR message also has a JSON form, which `listen.py --json` prints. The two differ in one thing: bytes are base64 text
in JSON. `messages.schema.json` describes the JSON forms. The rule of growth is in `messages`.

Any bytes may come from the network. Before CBOR is decoded, its structure is checked against these limits: no tags
(decoders build objects from them), no indefinite lengths, at most 64 KiB, lists and maps of at most 64 entries, nested
at most 4 deep. JSON payloads may have up to 1 MiB.
"""

import hashlib
import json
import math
from collections.abc import Callable
from functools import reduce
from operator import getitem
from typing import Any, TypeVar

import cbor2
from pydantic import JsonValue, TypeAdapter, ValidationError

from edge_runtime.contract.errors import PublishError
from edge_runtime.link.messages import (
    Birth,
    CameraStatus,
    DescriptorMessage,
    GapMessage,
    Message,
    NodeStatus,
    TrackMessage,
)
from edge_runtime.link.wire_types import WireModel, required_fields

_MAX_CBOR_BYTES = 64 << 10
_MAX_JSON_BYTES = 1 << 20
_MAX_ENTRIES = 64
_DIGEST_BYTES = 8
_DIGEST_HEAD = b"\x66digest\x48"  # the key, text of 6 bytes, and the head of 8 bytes
_MAX_DEPTH = 4
_UNSIGNED, _BYTES, _TEXT, _LIST, _MAP, _TAG = 0, 2, 3, 4, 5, 6  # major types of CBOR, RFC 8949 section 3.1
_ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}  # of the number, length or count that follows a head
Model = TypeVar("Model", bound=WireModel)
_MESSAGES: dict[str, type[WireModel]] = {
    "descriptor": DescriptorMessage,
    "track": TrackMessage,
    "gap": GapMessage,
}


def encode_message(message: Message | GapMessage) -> bytes:
    """Encode a message as a CBOR map with text keys. Fields of later minor versions that are None are left out."""
    required = required_fields(type(message))
    fields = message.model_dump()
    return cbor2.dumps({name: value for name, value in fields.items() if value is not None or name in required})


def seal(payload: bytes) -> bytes:
    """The same message with a last field `digest`: the first 8 bytes of SHA-256 over all bytes before that field.

    Checksums of the disk and of TCP end where a computer takes over the message; this one ends at the receiver.
    """
    fields = cbor2.loads(payload)
    fields.pop("digest", None)
    body = cbor2.dumps(fields | {"digest": bytes(_DIGEST_BYTES)})[: -len(_DIGEST_HEAD) - _DIGEST_BYTES]
    return body + _DIGEST_HEAD + _digest(body)


def decode_message(payload: bytes, *, leaf: str) -> DescriptorMessage | TrackMessage | GapMessage:
    """Decode and check a CBOR payload of a topic of kind `leaf` (`descriptor`, `track`, `gap`).

    Raises:
        PublishError: it is not CBOR within the limits, or a field is missing or wrong; all faults are listed.
    """
    try:
        _check_structure(payload)
        _check_digest(payload)
        fields = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, TypeError, ValueError) as error:
        raise PublishError(f"a {leaf} message of {len(payload)} bytes is not a CBOR map of ours: {error}") from error
    model = _MESSAGES[leaf]
    return _parse(fields, model, validate=model.model_validate, what=leaf)  # type: ignore[return-value]


def decode_json(payload: bytes, model: type[Model]) -> Model:
    """Decode and check a JSON payload: a status or a birth.

    Raises:
        PublishError: it is not JSON, or too long, or a field is missing or wrong; all faults are listed.
    """
    fields = _load_json(payload, model.__name__)

    def validate(known: object) -> Model:
        return model.model_validate_json(json.dumps(known, allow_nan=False))

    return _parse(fields, model, validate=validate, what=model.__name__)


def decode_metrics(payload: bytes) -> dict[str, JsonValue]:
    """Decode the metrics of a node: a JSON object with any fields.

    Raises:
        PublishError: it is not a JSON object, or too long.
    """
    fields = _load_json(payload, "metrics")
    if not isinstance(fields, dict):
        raise _refuse("metrics", "expected a JSON object")
    return fields


def message_schema() -> dict[str, Any]:
    """JSON Schema of the JSON forms, as committed in `messages.schema.json`."""
    union: Any = DescriptorMessage | TrackMessage | GapMessage | NodeStatus | CameraStatus | Birth
    schema = TypeAdapter(union).json_schema(mode="serialization")
    rule = "Receivers ignore unknown fields and accept any minor version; later minor versions only add fields."
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "reid/v1", "description": rule}
    return head | schema


def _check_digest(payload: bytes) -> None:
    """Check the digest of a sealed message. A message that was encoded again without its digest is not checked.

    Raises:
        ValueError: a byte has changed since it was sealed.
    """
    body, end = payload[: -len(_DIGEST_HEAD) - _DIGEST_BYTES], payload[-len(_DIGEST_HEAD) - _DIGEST_BYTES :]
    if end.startswith(_DIGEST_HEAD) and end[len(_DIGEST_HEAD) :] != _digest(body):
        raise ValueError("its digest is not that of its content: bytes have changed on the way")


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_DIGEST_BYTES]


def _steps() -> tuple[int, ...]:
    """For each first byte of an item, how many bytes the item has; 0 where that byte alone does not say it.

    Numbers, short bytes and texts, true, false and null: nearly all items of a message.
    """
    steps = [0] * 256
    for detail in range(28):
        for kind in (_UNSIGNED, _UNSIGNED + 1):
            steps[kind << 5 | detail] = 1 + _ARGUMENT_BYTES.get(detail, 0)
        if detail < 24:
            steps[_BYTES << 5 | detail] = steps[_TEXT << 5 | detail] = 1 + detail
    steps[0xF4:0xF7] = 1, 1, 1  # false, true, null
    steps[0xF9:0xFC] = 3, 5, 9  # floats
    return tuple(steps)


_STEPS = _steps()


def _check_structure(payload: bytes) -> None:
    """Walk over the structure of a CBOR payload without decoding it.

    Raises:
        ValueError: it is damaged, or beyond the limits.
    """
    if len(payload) > _MAX_CBOR_BYTES:
        raise ValueError(f"expected at most {_MAX_CBOR_BYTES} bytes")
    try:
        end = _skip_items(payload, 0, items=1, depth=0)
    except IndexError:
        raise ValueError("it ends too early") from None
    if end != len(payload):
        raise ValueError(f"expected {end} bytes")


def _skip_items(payload: bytes, position: int, *, items: int, depth: int) -> int:
    """Where so many items end that begin at `position`, `depth` lists and maps deep."""
    steps = _STEPS
    for _ in range(items):
        head = payload[position]
        if step := steps[head]:
            position += step
            continue
        argument, position = _read_argument(payload, position)
        if head >> 5 in (_BYTES, _TEXT):
            position += argument
        else:
            count = _count_items(head >> 5, argument, depth=depth)
            position = _skip_items(payload, position, items=count, depth=depth + 1)
    return position


def _read_argument(payload: bytes, position: int) -> tuple[int, int]:
    """The length, count or tag in the head at `position`, and where the content is."""
    detail = payload[position] & 31
    if detail < 24:
        return detail, position + 1
    if detail not in _ARGUMENT_BYTES:
        raise ValueError("indefinite lengths and reserved values are not allowed")
    end = position + 1 + _ARGUMENT_BYTES[detail]
    return int.from_bytes(payload[position + 1 : end], "big"), end


def _count_items(kind: int, argument: int, *, depth: int) -> int:
    """How many items a list or map holds. depth: of lists and maps around it."""
    if kind == _TAG:
        raise ValueError(f"tag {argument} is not allowed")
    if kind > _TAG:
        raise ValueError("undefined and other simple values are not allowed")
    if argument > _MAX_ENTRIES or depth >= _MAX_DEPTH:
        raise ValueError(f"expected at most {_MAX_ENTRIES} entries in a list or map, {_MAX_DEPTH} levels deep")
    return 2 * argument if kind == _MAP else argument


def _check_ignored(value: object) -> None:
    """Check what no model checks, because a newer sender has written it: text keys, and no number without a value."""
    if isinstance(value, dict):
        if not all(type(key) is str for key in value):
            raise TypeError("a key of a map is not text")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _check_ignored(item)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("numbers that are infinite or none at all are not allowed")


def _load_json(payload: bytes, what: str) -> object:
    if len(payload) > _MAX_JSON_BYTES:
        raise _refuse(what, f"expected at most {_MAX_JSON_BYTES} bytes, found {len(payload)}")
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise _refuse(what, f"not JSON: {error}") from error


def _parse(fields: object, model: type[Model], *, validate: Callable[[Any], Model], what: str) -> Model:
    """Read a message as a receiver: unknown fields are dropped, all else that differs from the model is a fault."""
    try:
        parsed = _validate_known(fields, validate)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'message'}: {e['msg']}" for e in error.errors())
        raise _refuse(what, faults) from error
    except (TypeError, ValueError, RecursionError) as error:
        raise _refuse(what, str(error)) from error
    if not required_fields(model) <= parsed.model_fields_set:
        raise _refuse(what, f"{', '.join(sorted(required_fields(model) - parsed.model_fields_set))} missing")
    return parsed


def _validate_known(fields: Any, validate: Callable[[Any], Model]) -> Model:
    """Validate, and once more without the unknown fields if there are any: only a newer sender has some."""
    try:
        return validate(fields)
    except ValidationError as error:
        unknown = [fault["loc"] for fault in error.errors() if fault["type"] == "extra_forbidden"]
        if not unknown:
            raise
    for *parents, name in unknown:
        _check_ignored(reduce(getitem, parents, fields).pop(name))
    return validate(fields)


def _refuse(what: str, faults: str) -> PublishError:
    return PublishError(f"a {what} message is not as expected: {faults}; it is damaged, or of an unknown version")
