"""Messages as nobody should send them: what is in a good one, changed by chance but with its structure known."""

import random
from collections.abc import Callable
from typing import Any

import cbor2
import numpy as np

from edge_runtime.contract.descriptor import encode, normalise
from edge_runtime.link.broker import Received
from edge_runtime.link.messages import Birth, DescriptorMessage, ModelCard, Quality, Vector
from edge_runtime.link.topics import camera_topic, descriptor_topic, node_topic
from edge_runtime.link.wire_format import encode_message

SITE, NODE, CAMERA, SPACE, BOOT = "shop", "gate", "door", "a" * 16, "5" * 16
LENGTH = 512
_NUMBERS = (0, -1, 2**31, 2**63, 2**64 - 1, 1e308, -1e308, float("nan"), float("inf"), 0.5)
_HEADS = (b"\x9b", b"\xbb", b"\x5b", b"\x7b", b"\x9f", b"\xbf", b"\x5f", b"\x7f")


def birth(node: str = NODE) -> Received:
    """What a node says of itself."""
    payload = Birth(boot=BOOT, node_card={}, models=(ModelCard(model_id="model", space_id=SPACE),)).model_dump_json()
    return Received(node_topic(SITE, node, leaf="birth"), payload.encode(), True)


def good_messages(count: int, *, seed: int, first: int = 0, node: str = NODE) -> list[Received]:
    """Descriptors of 512 numbers, numbered from `first`."""
    vectors = random_descriptors(seed)
    topic = descriptor_topic(SITE, node, camera=CAMERA, space=SPACE)
    return [
        Received(topic, encode_message(descriptor_message(first + number, vectors[number % 64])), False)
        for number in range(count)
    ]


def random_descriptors(seed: int) -> Any:
    """Random descriptors: (64, 512) float32."""
    return normalise(np.random.default_rng(seed).standard_normal((64, LENGTH)).astype(np.float32))


def hostile_messages(count: int, *, seed: int) -> list[tuple[str, Received]]:
    """The kind of fault, and the message."""
    draw, [good] = random.Random(seed), good_messages(1, seed=seed)
    kinds = list(_FAULTS)
    return [(kind, _FAULTS[kind](draw, good)) for kind in (kinds[number % len(kinds)] for number in range(count))]


def descriptor_message(seq: int, vector: Any) -> DescriptorMessage:
    """A message that is as a node sends it. vector: (512,) float32, unit length."""
    return DescriptorMessage(
        boot=BOOT,
        seq=seq,
        track="01890a5d-ac96-774b-bcce-b302099a8057",
        space=SPACE,
        model="model",
        precision="fp32",
        capture_ns=1_795_780_800_000_000_000 + seq,
        time_source="arrival",
        uncertainty_ns=50_000_000,
        monotonic_ns=seq,
        publish_ns=1_795_780_800_100_000_000 + seq,
        box=(0.1, 0.2, 0.3, 0.9),
        frame_height_px=576,
        frame_width_px=768,
        score=0.9,
        kind="crop",
        crops=1,
        dispersion=0.0,
        quality=Quality(size_px=200.0, blur=12.5, truncation=0.0),
        descriptor=Vector.of(encode(vector, codec="f16")),
    )


def _of_fields(change: Callable[[random.Random, dict[str, Any]], Any]) -> Callable[[random.Random, Received], Received]:
    def make(draw: random.Random, good: Received) -> Received:
        fields = change(draw, cbor2.loads(good.payload))
        payload = fields if isinstance(fields, bytes) else cbor2.dumps(fields)
        return Received(good.topic, payload, draw.random() < 0.3)

    return make


def _other_value(draw: random.Random, fields: dict[str, Any]) -> Any:
    place = draw.choice([fields, fields["descriptor"], fields["quality"]])
    values: tuple[Any, ...] = (
        None,
        True,
        "",
        "x" * draw.choice((1, 300, 60_000)),
        b"",
        [],
        {},
        [[]] * 60,
        draw.choice(_NUMBERS),
    )
    place[draw.choice(list(place))] = draw.choice(values)
    return fields


def _other_fields(draw: random.Random, fields: dict[str, Any]) -> Any:
    for name in draw.sample(list(fields), draw.randint(0, 3)):
        del fields[name]
    return fields | {f"new{number}": draw.choice(_NUMBERS) for number in range(draw.choice((0, 1, 40, 500)))}


def _tagged(draw: random.Random, fields: dict[str, Any]) -> Any:
    fields[draw.choice(list(fields))] = cbor2.CBORTag(
        draw.choice((0, 1, 2, 28, 29, 35, 55799, 2**40)), draw.choice((0, "x"))
    )
    return fields


def _shared(draw: random.Random, _fields: dict[str, Any]) -> bytes:
    """References to what holds them, each level twice: a decoder that follows them never ends."""
    levels = draw.randint(2, 30)
    return (
        b"".join((b"\xd8\x1c\x82", *(b"\xd8\x1c\x82\xd8\x1d" + bytes([level % 24]) for level in range(levels))))
        + b"\xd8\x1d\x00"
    )


def _deep(draw: random.Random, fields: dict[str, Any]) -> bytes:
    levels = draw.choice((5, 100, 20_000, 65_000))
    return cbor2.dumps(fields)[: draw.randint(0, 40)] + draw.choice((b"\x81", b"\xa1\x61x", b"\x9f")) * levels


def _huge(draw: random.Random, fields: dict[str, Any]) -> bytes:
    start = cbor2.dumps(fields)
    at = draw.randrange(len(start))
    return start[:at] + draw.choice(_HEADS) + draw.choice((2**63, 2**40, 2**32, 70_000)).to_bytes(8, "big") + start[at:]


def _damaged(draw: random.Random, fields: dict[str, Any]) -> bytes:
    data = bytearray(cbor2.dumps(fields))
    for _ in range(draw.randint(1, 8)):
        data[draw.randrange(len(data))] = draw.randrange(256)
    return bytes(data[: draw.choice((len(data), draw.randrange(len(data))))])


def _retained(draw: random.Random, good: Received) -> Received:
    """Statuses, births and metrics with JSON of any kind, and topics that are none of ours."""
    topics = (
        *(node_topic(SITE, f"stranger{draw.randrange(100_000)}", leaf=leaf) for leaf in ("status", "birth", "metrics")),
        camera_topic(SITE, NODE, camera=CAMERA, leaf="status"),
        node_topic(SITE, NODE, leaf="gap"),
        "reid/v1/" + "x/" * draw.choice((0, 3, 300)),
        "\x1b[2J\x00",
    )
    texts = (
        b"",
        b"null",
        b"[" * 5000,
        b'{"a":' * 3000,
        b"1e999",
        b"9" * 5000,
        b"\xff\xfe",
        good.payload,
        b" " * (2 << 20),
    )
    return Received(draw.choice(topics), draw.choice(texts), True)


_FAULTS: dict[str, Callable[[random.Random, Received], Received]] = {
    "another value": _of_fields(_other_value),
    "fields more or less": _of_fields(_other_fields),
    "tags": _of_fields(_tagged),
    "shared references": _of_fields(_shared),
    "nested deeply": _of_fields(_deep),
    "a huge length": _of_fields(_huge),
    "damaged bytes": _of_fields(_damaged),
    "retained, JSON and topics": _retained,
}
