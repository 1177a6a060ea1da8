"""Payloads that somebody made to do harm, or that arrived broken: each is refused in one sentence."""

import contextlib
from collections.abc import Callable

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.errors import PublishError
from edge_runtime.link.messages import (
    Birth,
    NodeStatus,
)
from edge_runtime.link.wire_format import (
    decode_json,
    decode_message,
    encode_message,
)
from tests.support.sample_messages import descriptor_message

HOSTILE_VALUES: dict[str, bytes] = {
    "deep nesting": b"\x81" * 10_000 + b"\x01",
    "one level too many": b"\x81" * 4 + b"\x01",
    "reference to itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "string reference": b"\xd9\x01\x00\x81\xd8\x19\x00",
    "regular expression": b"\xd8\x23\x66(a+)+$",
    "big number": b"\xc2\x59\xff\x00" + b"\xff" * 0xFF00,
    "date": b"\xc1\x1b" + b"\xff" * 8,
    "decimal": b"\xc4\x82\x1b" + b"\x7f" * 8 + b"\x01",
    "huge list": b"\x9b" + b"\x7f" * 8,
    "huge map": b"\xbb" + b"\x7f" * 8,
    "huge text": b"\x7b" + b"\x7f" * 8,
    "huge bytes": b"\x5b\x00\x00\x00\x01\x00\x00\x00\x00",
    "many entries": cbor2.dumps(list(range(65))),
    "indefinite list": b"\x9f" * 1000,
    "indefinite text": b"\x7f\x61a\xff",
    "break": b"\xff",
    "reserved length": b"\x1c",
    "head cut short": b"\x19\x00",
    "undefined": b"\xf7",
    "simple value": b"\xf8\xff",
    "not a number": b"\xf9\x7e\x00",
    "text that is no UTF-8": b"\x61\xff",
    "half a surrogate": b"\x63\xed\xa0\x80",
    "number as key": cbor2.dumps({1: 2}),
    "bytes as key": cbor2.dumps({b"x": 1}),
    "list as key": b"\xa1\x81\x01\x01",
    "two values": b"\x00\x00",
    "too long": b"\x5a\x00\x01\x00\x00" + b"\0" * 0x10000,
}
RUBBISH = [b"", b"\xff", b"\xa1", b"\x00" * 100, cbor2.dumps([1]), cbor2.dumps({1: 2}), b"\xbb" + b"\x7f" * 8]


@pytest.mark.parametrize("payload", RUBBISH)
def test_rubbish_is_refused_in_one_sentence(payload: bytes) -> None:
    """No payload, however broken, raises anything but PublishError."""
    with pytest.raises(PublishError):
        decode_message(payload, leaf="descriptor")


@pytest.mark.parametrize("name", sorted(HOSTILE_VALUES))
def test_a_hostile_value_is_refused_in_one_sentence(name: str) -> None:
    """Tags, references, deep nesting, huge lengths: nothing is built from them, not even in a field that is ignored."""
    fields = descriptor_message().model_dump()
    known = bytes([0xB8, len(fields) + 1]) + b"".join(cbor2.dumps(part) for field in fields.items() for part in field)
    decode_message(known + b"\x65later" + b"\x81" * 3 + b"\x01", leaf="descriptor")
    with pytest.raises(PublishError, match=r"not a CBOR map of ours|not as expected") as caught:
        decode_message(known + b"\x65later" + HOSTILE_VALUES[name], leaf="descriptor")
    assert len(str(caught.value)) < 300


HOSTILE_JSON: dict[str, Callable[[bytes], bytes]] = {
    "deep nesting": lambda known: known + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep nesting cut short": lambda known: known + b', "x": ' + b"[" * 100_000,
    "a number of 5000 digits": lambda known: known + b', "x": ' + b"9" * 5000 + b"}",
    "not a number": lambda known: known + b', "x": NaN}',
    "infinity": lambda known: known + b', "x": 1e999}',
    "half a surrogate": lambda known: known + b', "x": "\\ud800"',
    "too long": lambda known: known + b', "x": "' + b"a" * (1 << 20) + b'"}',
    "a known field of another type twice": lambda known: known + b', "boot": 1, "boot": 2, "boot": {"x": 1}}',
    "no UTF-8": lambda known: known + b', "x": "\xff"}',
    "UTF-32": lambda known: (known + b"}").decode().encode("utf-32") + b"\0",
}


@pytest.mark.parametrize("name", sorted(HOSTILE_JSON))
def test_hostile_json_is_refused_in_one_sentence(name: str) -> None:
    """The same for statuses and births."""
    known = NodeStatus(state="online", boot="0" * 16, oldest_seq=1, next_seq=2).model_dump_json().encode()
    payload = HOSTILE_JSON[name](known.removesuffix(b"}"))
    with pytest.raises(PublishError) as caught:
        decode_json(payload, NodeStatus)
    assert len(str(caught.value)) < 1000


def test_a_name_given_twice_counts_once() -> None:
    """The last value counts, for unknown fields too: every decoder that we know does so."""
    known = NodeStatus(state="online", boot="0" * 16, oldest_seq=1, next_seq=2)
    payload = known.model_dump_json().encode().removesuffix(b"}") + b', "x": {"y": 1}, "x": 2, "boot": "%s"}' % (
        b"1" * 16
    )
    assert decode_json(payload, NodeStatus) == known.model_copy(update={"boot": "1" * 16})


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_sentence(payload: bytes) -> None:
    """The same for whatever a stranger may send."""
    with pytest.raises(PublishError):
        decode_message(payload, leaf="track")
    with pytest.raises(PublishError):
        decode_json(payload, Birth)


@given(st.data())
def test_a_damaged_message_raises_nothing_else(data: st.DataObject) -> None:
    """A true message with some bytes changed is either a message or a PublishError."""
    payload = bytearray(encode_message(descriptor_message()))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(PublishError):
        decode_message(bytes(payload), leaf="descriptor")


def test_no_nan_gets_through() -> None:
    """NaN is not a score."""
    with pytest.raises(PublishError):
        decode_message(cbor2.dumps(descriptor_message().model_dump() | {"score": float("nan")}), leaf="descriptor")
