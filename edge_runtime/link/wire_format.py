"""Messages as bytes: CBOR for descriptors, tracks and gaps, JSON for statuses, births and metrics.

A CBOR message also has a JSON form, which `listen.py --json` prints. The two differ in one thing: bytes are base64 text
in JSON. `messages.schema.json` describes the JSON forms. The rule of growth is in `messages`.

Any bytes may come from the network. Before CBOR is decoded, its structure is checked against these limits: no tags
(decoders build objects from them), no indefinite lengths, at most 64 KiB, lists and maps of at most 64 entries, nested
at most 4 deep. JSON payloads may have up to 1 MiB.
"""

import hashlib
import json
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
_BYTES, _LIST, _MAP, _TAG, _SIMPLE = 2, 4, 5, 6, 7  # major types of CBOR, RFC 8949 section 3.1; 3 is text
_SIMPLE_VALUES = (20, 21, 22)  # false, true, null
_EXPONENTS = {25: 0x7C00, 26: 0x7F80_0000, 27: 0x7FF0 << 48}  # of floats; all ones: infinite, or no number
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
        fields = _with_tuples(cbor2.loads(payload))
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


def _check_structure(payload: bytes) -> None:
    """Walk over the structure of a CBOR payload without decoding it.

    Raises:
        ValueError: it is damaged, or beyond the limits.
    """
    size = len(payload)
    if size > _MAX_CBOR_BYTES:
        raise ValueError(f"expected at most {_MAX_CBOR_BYTES} bytes")
    position, items = 0, 1  # items: still to come in the list or map that is read
    around: list[int] = []  # the same of the lists and maps around it
    while items or around:
        if not items:
            items = around.pop()
            continue
        items -= 1
        if position >= size:
            raise ValueError("it ends too early")
        kind, detail = payload[position] >> 5, payload[position] & 31
        argument, position = (detail, position + 1) if detail < 24 else _read_argument(payload, position)
        if kind == _SIMPLE:
            _check_simple(detail, argument)
        elif kind >= _LIST:
            around.append(items)
            items = _count_items(kind, argument, depth=len(around))
        elif kind >= _BYTES:
            position += argument
    if position != size:
        raise ValueError(f"expected {position} bytes")


def _read_argument(payload: bytes, position: int) -> tuple[int, int]:
    """The number, length, count or tag that follows the head at `position`, and where the content is."""
    detail = payload[position] & 31
    if detail > 27:
        raise ValueError("indefinite lengths and reserved values are not allowed")
    end = position + 1 + (1 << (detail - 24))
    return int.from_bytes(payload[position + 1 : end], "big"), end


def _check_simple(detail: int, argument: int) -> None:
    exponent = _EXPONENTS.get(detail)
    if exponent is None and detail not in _SIMPLE_VALUES:
        raise ValueError("undefined and other simple values are not allowed")
    if exponent and argument & exponent == exponent:
        raise ValueError("numbers that are infinite or none at all are not allowed")


def _count_items(kind: int, argument: int, *, depth: int) -> int:
    """How many items a list or map holds."""
    if kind == _TAG:
        raise ValueError(f"tag {argument} is not allowed")
    if argument > _MAX_ENTRIES or depth > _MAX_DEPTH:
        raise ValueError(f"expected at most {_MAX_ENTRIES} entries in a list or map, {_MAX_DEPTH} levels deep")
    return 2 * argument if kind == _MAP else argument


def _with_tuples(value: Any) -> Any:
    """What a decoder of CBOR gives, in the types of the models: text keys, and tuples for lists."""
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            raise TypeError("a key of a map is not text")
        return {key: _with_tuples(item) if type(item) in (dict, list) else item for key, item in value.items()}
    return tuple(map(_with_tuples, value)) if type(value) is list else value


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
    if missing := required_fields(model) - parsed.model_fields_set:
        raise _refuse(what, f"{', '.join(sorted(missing))} missing")
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
        del reduce(getitem, parents, fields)[name]
    return validate(fields)


def _refuse(what: str, faults: str) -> PublishError:
    return PublishError(f"a {what} message is not as expected: {faults}; it is damaged, or of an unknown version")
